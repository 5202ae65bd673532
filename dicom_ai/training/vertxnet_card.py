"""What stands beside the weights of the radiograph model: manifest, metrics, and the card made of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dicom_ai.training.data.xray_cases import AP_SOURCE, HELD_OUT_LATERAL, LATERAL_SOURCE
from dicom_ai.training.data.xray_phantom import NAME as PHANTOM
from dicom_ai.training.data.xray_phantom import SOURCE as PHANTOM_SOURCE
from dicom_ai.training.recipes import Report

TRAINING_FILE, METRICS_FILE, FOLDS_FILE = "training.json", "metrics.json", "folds.json"
VERSION = "0.1.0"

_MANIFEST = """\
# Written by `dicom-ai train {name} --deliver`. docs/reference/model-toml.md explains every key.
name = "{name}"
version = "{version}"
family = "vertxnet"
description = "Vertebral bodies in lateral radiographs of the spine, and their levels where C2 or S1 is seen"
licence = "{licence}"
measurements = ["radiograph_vertebrae"]
longest_run_s = 300

[input]
kind = "radiograph"
modalities = ["CR", "DX"]
patch = [{rows}, {columns}]

[[outputs]]
value = 1
kind = "vertebra"
name = "Vertebral body"

[[outputs]]
value = 2
kind = "sacrum"
name = "S1"

[thresholds]
found = 0.5
mask = 0.5

[family_options]
net = "{net}"

{weights}
{data}"""

_DATA = """\
[[data]]
name = "{name}"
licence = "{licence}"
source = "{source}"
"""
_SOURCES = {
    "lateral_": (
        "Lateral full-spine films with marked corners",
        "none stated: no licence file came with them",
        LATERAL_SOURCE,
    ),
    PHANTOM: ("Lateral films made from formulas", "Apache-2.0", PHANTOM_SOURCE),
    "ap_": ("AP films, as what is no lateral spine", "CC BY 4.0", AP_SOURCE),
}
"""First letters of a film's name -> what such films are, their licence, and where they come from."""
_LICENCES = {
    True: "Apache-2.0 (code and training); the films carry no licence file, see the card",
    False: "Apache-2.0; the AP films CC BY 4.0",
}
"""Whether films without a licence were trained on -> what model.toml says of the weights."""

_WEIGHTS = """\
[[weights]]
role = "{role}"
file = "{role}.onnx"
sha256 = "{digest}"
"""

_CARD = """\
# {name}

Vertebral bodies in lateral radiographs of the spine, and their levels where a reference vertebra (C2 or S1) is seen.
After VertXNet (arXiv 2207.05476, 2302.03476). Research use only; no diagnosis may rest on it.

{licence}

## What it is

{networks}

The ensemble rule of docs/vertxnet.md makes bodies of what they give; all files together have {size:.1f} MB.

## Training

{data}

{trainings}

{held}
No other hospital, no true cervical or lumbar film, no MONOCHROME1 original was ever seen:
the cervical, thoracic and lumbar views are cut out of standing full-spine films.

## Measured

By `dicom-ai evaluate {name}`, {when}. A body counts as found at an IoU of at least 0.5 with the
polygon of its marked corners, as they are. "Dice" is the mean over bodies found; "Dice, all" compares all that was
drawn, missed bodies included. "Wrong" counts levels given that are not the body's own, and reference vertebrae in the
wrong place.

{table}

{notes}

{few}
{folds}
## Where it fails

- Every level is given only where both networks see the reference vertebra and every step to it is regular: many bodies
  of a whole spine stay without a level. Bodies that are not found are no sign of their absence.
- The angle L1-S1 is off by several degrees (table); the angle C2-C7 is withheld: C2 is not outlined well enough.
{sides}
- C2 and S1 are located only: the films have one endplate of each. Their outlines are no measured areas.
- Upper thoracic bodies behind the shoulders, and bodies under metal, are missed or run together. Levels behind such a
  place are withheld, not guessed.
- Counting from S1 cannot exclude transitional anatomy; the levels say so.
"""


_NETWORKS = {
    "unet": """\
- A 2-D U-Net ({parameters:.2f} million parameters) gives for each pixel: body of C3 to L5, core of a body, C2, S1,
  anterior half.""",
    "detector": """\
- A Mask R-CNN ({parameters:.2f} million parameters) finds vertebrae one by one, and the reference vertebrae C2 and S1
  as classes of their own. Its body is the encoder of a U-Net; it started from the weights of the one above.""",
}
_WAISTS = """\
- Waists taught {who}, where they were drawn or where a film shows them clearly; all else are straight sides. The
  biconcavity ratio and the middle height are therefore not reported. The marked corners that score the model have no
  waists: a body drawn right lies below Dice 1."""
_SIDES = {
    (): """\
- Bodies that are drawn with straight sides: the corners that taught it have no waists, and sunken endplates are not
  seen. The biconcavity ratio and the middle height are therefore not reported.""",
    ("detector",): _WAISTS.format(who="the Mask R-CNN alone"),
    ("unet",): _WAISTS.format(who="the U-Net alone"),
    ("unet", "detector"): _WAISTS.format(who="both networks"),
}
"""The networks that outlines with waists taught -> what the card says of the sides of a body."""
_FEW = {
    True: """\
Five films are few, and the limits behind which levels, sides and the angle C2-C7 are withheld were set after looking at
them: none wrong here is no promise for other films.""",
    False: """\
The limits behind which levels, sides and the angle C2-C7 are withheld were set with five of these films in view.""",
}
_FOLDS = """
## Folds by film

{trained}. Every film is scored once, by weights that have not seen it.

{notes}

{table}
"""
_FOLD_COLUMNS = ("fold", "system", "views", "all right", "bodies", "recall", "precision", "Dice", "right", "wrong")
_NO_DETECTOR = """\
- **The Mask R-CNN of the paper is not part of this model**: the rule's steps for detections are idle, and the reference
  vertebrae come from the U-Net's own channels."""
_TRAINING = """\
- {title}: {steps} steps of {batch} views in {hours:.2f} h on one to three threads of a CPU, seed {seed}."""
_TITLES = {"unet": "U-Net", "detector": "Mask R-CNN"}


_UNLICENSED = """\
**The licence of the training films is not known.** The {trained} lateral films come from a public repository that calls
them "our open test dataset" and holds no licence file
({lateral}).
Whoever serves these weights decides whether that will do. The code that trains them is Apache-2.0.
`dicom-ai train spine-xray-synthetic` trains the same networks without these films."""
_LICENSED = """\
**No film without a licence taught these weights**: the lateral films are made from formulas. What that costs:
{verdict}
No shipped rule uses these weights; those of `spine-xray` do better."""
_SEEN = {
    True: """\
{trained} lateral films and twenty AP films (CADMA, CC BY 4.0) that show no lateral spine. All lateral films face right;
half of the views were mirrored.""",
    False: """\
{phantoms} lateral films made from formulas (docs/vertxnet.md) and twenty AP films (CADMA, CC BY 4.0). Half of the views
were mirrored.""",
}
_HELD = {
    True: """\
Held out, never trained on, and used for every figure below:
{held},
and twenty other AP films.""",
    False: "Every figure below is measured on twenty real lateral and twenty AP films that it was not trained on.",
}


def write_manifest(folder: Path, digests: dict[str, str], *, net: str, patch: tuple[int, int]) -> None:
    """Write model.toml; the name is the folder's. digests: SHA-256 of each ONNX file by its role."""
    films = _training_of(folder)["films"]
    rows = [row for first, row in _SOURCES.items() if any(name.startswith(first) for name in films)]
    text = _MANIFEST.format(
        name=folder.name,
        licence=_LICENCES[_has_real(films)],
        version=VERSION,
        rows=patch[0],
        columns=patch[1],
        net=net,
        weights="\n".join(_WEIGHTS.format(role=role, digest=digest) for role, digest in digests.items()),
        data="\n".join(_DATA.format(name=name, licence=licence, source=source) for name, licence, source in rows),
    )
    (folder / "model.toml").write_text(text, encoding="utf-8")


def _training_of(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / TRAINING_FILE).read_text(encoding="utf-8"))
    return facts


def _has_real(films: Sequence[str]) -> bool:
    return any(name.startswith("lateral_") for name in films)


def write_metrics(folder: Path, report: Report, *, when: str) -> None:
    """Write what an evaluation measured."""
    content = {"when": when, "columns": report.columns, "rows": report.rows, "notes": report.notes}
    (folder / METRICS_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_folds(folder: Path, report: Report, *, trained: str) -> None:
    """Write folds.json: a cross-validation, and how its weights came about."""
    content = {"trained": trained, "columns": report.columns, "rows": report.rows, "notes": report.notes}
    (folder / FOLDS_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_card(folder: Path) -> None:
    """Write MODEL_CARD.md from training.json, metrics.json and folds.json.

    Without metrics it says that nothing is measured.
    """
    training = _training_of(folder)
    real = _has_real(training["films"])
    counts = {
        "trained": sum(name.startswith("lateral_") for name in training["films"]),
        "phantoms": sum(name.startswith(PHANTOM) for name in training["films"]),
    }
    metrics: dict[str, Any] = {"when": "not yet", "columns": [], "rows": [], "notes": ["Nothing is measured yet."]}
    if (folder / METRICS_FILE).is_file():
        metrics = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
    parts = {role: training[role] for role in _NETWORKS if role in training}
    networks = [_NETWORKS[role].format(**facts) for role, facts in parts.items()]
    text = _CARD.format(
        name=folder.name,
        licence=_UNLICENSED.format(lateral=LATERAL_SOURCE, **counts)
        if real
        else _LICENSED.format(verdict=_verdict(metrics)),
        data=_SEEN[real].format(**counts),
        held=_HELD[real].format(held=", ".join(HELD_OUT_LATERAL)),
        networks="\n".join(networks if "detector" in parts else [*networks, _NO_DETECTOR]),
        trainings="\n".join(_TRAINING.format(title=_TITLES[role], **facts) for role, facts in parts.items()),
        size=sum(path.stat().st_size for path in folder.glob("*.onnx")) / 1e6,
        when=metrics["when"],
        table=_table(metrics["columns"], metrics["rows"]),
        notes=_listed(metrics["notes"]),
        few=_FEW[real],
        folds=_folds(folder / FOLDS_FILE),
        sides=_SIDES[tuple(role for role, facts in parts.items() if facts.get("waists"))],
    )
    (folder / "MODEL_CARD.md").write_text(text, encoding="utf-8")


def _verdict(metrics: dict[str, Any]) -> str:
    """Return what the first system, the ensemble, finds of all bodies, as a sentence."""
    every = [row for row in metrics["rows"] if row["view"] == "all"]
    if not every:
        return "not measured yet."
    of = every[0]
    return (
        f"of {of['bodies']} bodies in views of real films it finds {of['found']}, "
        f"and gives {of['right']} of these their level, {of['wrong']} a wrong one."
    )


def _folds(path: Path) -> str:
    """Return the section on the folds, with the sum of each system over the views of each fold."""
    if not path.is_file():
        return ""
    content = json.loads(path.read_text(encoding="utf-8"))
    rows = [row for row in content["rows"] if row["view"] == "all"]
    trained = content["trained"][:1].upper() + content["trained"][1:]
    return _FOLDS.format(trained=trained, notes=_listed(content["notes"]), table=_table([*_FOLD_COLUMNS], rows))


def _listed(notes: Sequence[str]) -> str:
    return "\n".join(f"- {note}" for note in notes)


def _table(columns: list[str], rows: list[dict[str, Any]]) -> str:
    if not rows:
        return ""
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(_cell(row.get(column)) for column in columns) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
