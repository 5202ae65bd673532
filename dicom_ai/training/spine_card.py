"""What stands beside the weights of the spine model: manifest, training cases, metrics, and the card made of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dicom_ai.training.data.spine_batches import COLUMNS, ROWS
from dicom_ai.training.data.spine_cases import DISCS_ONLY, SOURCES
from dicom_ai.training.recipes import Report
from dicom_ai.training.spine_tables import sections, structure_table

TRAINING_FILE, METRICS_FILE, SEEN_FILE = "training.json", "metrics.json", "training_cases.json"
FOLDS_FILE, STRUCTURES_FILE = "folds.json", "structures.json"
VERSION = "0.1.0"

LICENCES = {
    "myosegmentum": "GPL-3.0 repository",
    "chu": "Zenodo 22304, GPL-3.0 repository",
    "menezes": "GPL-3.0 repository",
    "vesal": "MIT",
}
"""Of each source; the template's are in its words."""

_MANIFEST = """\
# Written by `dicom-ai train spine-mr --deliver`. docs/reference/model-toml.md explains every key.
name = "spine-mr"
version = "{version}"
family = "sshsnet"
description = "Vertebrae and discs one by one, with levels where they can be known, in sagittal spine MR"
licence = "Apache-2.0"
measurements = ["vertebrae"]
longest_run_s = 900

[input]
modalities = ["MR"]
planes = ["sagittal"]
spacing_mm = [0.0, 1.0, 1.0]
patch = [1, {rows}, {columns}]
normalisation = "zscore"

[input.slice_spacing_mm]
min = 0.3
max = 10.0

[input.in_plane_mm]
min = 0.1
max = 2.0

[input.slices]
min = 5

[[outputs]]
value = 1
kind = "vertebra"
name = "Vertebra"

[[outputs]]
value = 2
kind = "disc"
name = "Intervertebral disc"

[[outputs]]
value = 3
kind = "vertebra"
name = "C2 vertebra"
level = "C2"

[[outputs]]
value = 4
kind = "sacrum"
name = "First sacral vertebra"

[[outputs]]
value = 5
kind = "spinal_canal"
name = "Spinal canal"

[thresholds]
found = 0.6

[family_options]
net = "{net}"

[[weights]]
file = "weights.onnx"
sha256 = "{digest}"

{data}"""


def write_training(folder: Path, facts: dict[str, Any], seen: Sequence[dict[str, Any]]) -> None:
    """Write training.json and training_cases.json. seen: the cases of all its trainings, each as often as it may be."""
    single = {str(row["name"]): row for row in seen}.values()
    cases = [{key: str(row[key]) for key in ("name", "person", "digest", "source")} for row in single]
    (folder / SEEN_FILE).write_text(json.dumps({"cases": cases}, indent=1) + "\n", encoding="utf-8")
    (folder / TRAINING_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def write_manifest(folder: Path, digest: str, *, net: str) -> None:
    """Write model.toml."""
    data = "\n".join(
        f'[[data]]\nname = "{key}"\nlicence = "{LICENCES.get(key, source)}"\nsource = "{source}"\n'
        for key, source in SOURCES.items()
    )
    text = _MANIFEST.format(version=VERSION, rows=ROWS, columns=COLUMNS, net=net, digest=digest, data=data)
    (folder / "model.toml").write_text(text, encoding="utf-8")


def write_metrics(folder: Path, report: Report) -> None:
    """Write the rows of an evaluation, rounded, and its notes: metrics.json, or structures.json of a quick look."""
    quick = any(row.get("every", 1) > 1 for row in report.rows)
    _write(folder / (STRUCTURES_FILE if quick else METRICS_FILE), report)


def write_folds(folder: Path, report: Report, *, trained: str) -> None:
    """Write folds.json: the rows of a cross-validation and its notes. trained: how its weights came about."""
    _write(folder / FOLDS_FILE, report, trained=trained)


def _write(path: Path, report: Report, **facts: str) -> None:
    """Write a report as JSON, a line per row."""
    rows = [{key: _rounded(value) for key, value in row.items() if key != "seconds"} for row in report.rows]
    head = json.dumps(facts | {"notes": report.notes})
    lines = ",\n".join(json.dumps(row) for row in rows)
    path.write_text(f'{head[:-1]}, "rows": [\n{lines}\n]}}\n', encoding="utf-8")


def _rounded(value: Any) -> Any:
    """Return a value with its numbers rounded to four digits."""
    if isinstance(value, list):
        return [{key: _rounded(one) for key, one in part.items()} for part in value]
    return round(value, 4) if isinstance(value, float) else value


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _quick(content: dict[str, Any]) -> dict[str, str]:
    return {
        "every": str(max(row["every"] for row in content["rows"])),
        "notes": "\n".join(f"- {note}" for note in content["notes"]),
        "table": "\n".join(structure_table(content["rows"])),
    }


def _folds(content: dict[str, Any]) -> dict[str, str]:
    """Return the words of the cross-validation: one table for the folds by person, one for the sources left out."""
    left_out = [row for row in content["rows"] if row["fold"].startswith("without-")]
    by_person = [row for row in content["rows"] if row not in left_out]
    tables = [
        f"{title}:\n\n" + "\n".join(structure_table(rows))
        for title, rows in (("Folds by person", by_person), ("Each source left out once", left_out))
        if rows
    ]
    return {
        "trained": content["trained"],
        "notes": "\n".join(f"- {note}" for note in content["notes"]),
        "table": "\n\n".join(tables),
    }


def write_card(folder: Path) -> None:
    """Write MODEL_CARD.md from training.json, training_cases.json and, where there is one, metrics.json."""
    training = json.loads((folder / TRAINING_FILE).read_text(encoding="utf-8"))
    cases = json.loads((folder / SEEN_FILE).read_text(encoding="utf-8"))["cases"]
    metrics = folder / METRICS_FILE
    scores = "\n".join(sections(_read(metrics))) if metrics.exists() else "Not yet measured."
    folds, quick = folder / FOLDS_FILE, folder / STRUCTURES_FILE
    text = _CARD.format(
        version=VERSION,
        scores=scores,
        quick=_QUICK.format(**_quick(_read(quick))) if quick.exists() else "",
        folds=_FOLDS.format(**_folds(_read(folds))) if folds.exists() else "",
        sources="\n".join(f"- {source}" for source in SOURCES.values() if source in {case["source"] for case in cases}),
        discs=_DISCS[any(case["person"].startswith(DISCS_ONLY) for case in cases)],
        cases=len(cases),
        millions=training["parameters"] / 1e6,
        branches=training["settings"]["branches"],
        size=training["settings"]["batches"]["size"],
        before=_BEFORE.format(**training["before"]) if training.get("before") else "",
        mean=_mean(training.get("mean_of", ())),
        **{key: training[key] for key in ("config", "steps", "minutes")},
    )
    (folder / "MODEL_CARD.md").write_text(text, encoding="utf-8")


def _mean(parts: Sequence[dict[str, Any]]) -> str:
    """Return what the card says of weights that are a mean of several trainings'."""
    if not parts:
        return ""
    steps = [f"{part['steps']:,}" for part in parts]
    return _MEAN.format(count=len(parts), steps=f"{', '.join(steps[:-1])} and {steps[-1]}")


_DISCS = {
    False: """\
seen. Vertebrae were drawn by others (myosegmentum, chu); discs of menezes are of a source that training never saw and
were drawn; the discs of training were derived from the vertebrae around them.""",
    True: """\
seen. Vertebrae were drawn by others (myosegmentum, chu), and so were the discs of menezes; of the other volumes of
training they were derived from the vertebrae around them, with their rim left open.""",
}
"""Whether drawn discs taught the weights -> what the card says of discs."""
_BEFORE = ", the first {steps} steps of them ({minutes} minutes) as the weights that it began with"
_MEAN = """
  **What is shipped is the mean of {count} such weights**, of {steps} steps, each of which went on from another
  one: the longest training alone draws known images better and names worse. It was chosen on the necks made from
  formulas, which also led to rules of the labelling, and on people of the training: none wrong there proves little."""

_QUICK = """
The same cases with every {every}th slice, which is how far apart scanners make them (the sources were interpolated to
1 mm), each structure apart, with the worst case in brackets (`--every {every} --card`):

{notes}

{table}
"""

_FOLDS = """
## Cross-validation

Not the shipped weights, whose scores stand above: {trained}. docs/training.md says how long
that was, and which rules of the labelling were made after these folds had been looked at.

{notes}

{table}
"""

_CARD = """\
# Vertebrae and discs in spine MR, version {version}

Finds vertebral bodies, discs, the first sacral vertebra and the canal in sagittal MR of the spine, one by one, and
gives each vertebra its level where C2 or the sacrum is seen. It is the first stage of SSHSNet (arXiv 2203.12151), made
small for a CPU: one DeepLabv3+ on three neighbouring slices. The weights are this project's own. **For research; not a
medical device.**

## Use

Sagittal MR with at least five slices, T1, T2, STIR or gradient echo; neck, chest or loin. Axial and coronal series are
refused. Only levels counted from C2 are unqualified. A lumbar image is counted from the sacrum, transitional anatomy
not excluded: numbering on a lumbar image alone is wrong in one patient of seven. Where neither end is seen there is no
level. `docs/labelling.md` says how.

## Scores

Measured with `dicom-ai evaluate spine-mr --data ../shared/data --card` on cases of people whom the weights have not
{discs}

{scores}
{quick}{folds}
## Training

- {cases} cases. Truth that is not drawn is not taken for background: each voxel has a set of possible classes.
{sources}
- The neck and chest come from the PAM50 template alone: its own T2 image, and label maps in invented contrasts. No
  real neck was used. errsm30 was not used in any contrast; the template is a mean of fifty people, who may include it.
- The sacrum: single slices of vesal draw its first vertebra; in volumes only a core of it was placed by geometry.
  No sacrum mask of a volume trained the anchor.
- C2: from the template alone. The canal: from the template alone.
- The left and right of the lumbar sources is assumed, not known; the network sees slices, so it does not matter to it.
- ImageNet weights, with which the paper starts, cannot be had here; every weight starts at random.
- Network `{config}` ({millions:.2f} million parameters), {branches} branch, {steps} steps of {size} patches in
  {minutes} minutes on one or two CPU threads, bfloat16 arithmetic{before}; the running mean of
  the weights is shipped, large kernels stored as float16.{mean}
- Cross pseudo supervision (`--config compact-cps`) and the second stage were not used for it: a second stage of 300
  steps on top of the first 5,427 was not better on eight unseen people (docs/training.md), and does not ship.

## Known failures

- Bodies are told apart by the disc between them: a block vertebra is found as one, counted as two and left unnamed.
- Where the upper border leaves nothing of the dens, C2 is not used as an anchor: no level is given.
- Where the front or back border of the image cuts through most vertebrae, no level is given.
- The sides of a body are harder to find than its middle: most of what is missing to a Dice of 1 lies there.
- It has never been measured on implants, fractures, tumours or severe scoliosis.
"""
