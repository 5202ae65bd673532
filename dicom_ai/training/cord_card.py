"""What stands beside the weights of the cord model: manifest, training cases, metrics, and the card made of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from dicom_ai.inference.manifest import read_manifest
from dicom_ai.training.recipes import Report

TRAINING_FILE, METRICS_FILE, FOLDS_FILE = "training.json", "metrics.json", "folds.json"
VERSION = "0.1.0"

_MANIFEST = """\
# Written by `dicom-ai train spinal-cord --deliver`. docs/reference/model-toml.md explains every key.
name = "spinal-cord"
version = "{version}"
family = "softseg"
description = "Spinal cord in any MR contrast, as a soft mask: the share of each voxel that is cord"
licence = "Apache-2.0"
measurements = ["spinal_cord_csa"]
longest_run_s = 900

[input]
modalities = ["MR"]
spacing_mm = [1.0, 1.0, 1.0]
patch = {patch}
normalisation = "percentile_zscore"
percentiles = [0.5, 99.5]

[input.slice_spacing_mm]
min = 0.2
max = 20.0

[input.in_plane_mm]
min = 0.1
max = 3.0

[input.slices]
min = 2

[[outputs]]
value = 1
kind = "spinal_cord"
name = "Spinal cord"

[thresholds]
found = {found}
mask = 0.5

[family_options]
net = "{net}"
# On formula necks the network reads areas of about 70 voxels without bias, and smaller ones too large.
usual_mm2 = 70.0

[[weights]]
file = "weights.onnx"
sha256 = "{digest}"

{data}"""

SOURCES = (
    (
        "PAM50 template",
        "MIT (PAM50_small_t2); label maps as distributed with the Spinal Cord Toolbox",
        "De Leener 2018",
    ),
    ("spine-generic, masks of ten people", "CC BY 4.0", "ivadomed/data_example_spinegeneric"),
    ("spine-generic, unf01 in three contrasts", "CC BY 4.0", "ivadomed/data-testing"),
    ("MyoSegmenTUM, lumbar images below L3", "GPL-3.0 repository", "Burian 2019, JonathanRamos/fastcleverseg"),
    ("Chu 2015, lumbar images below L3", "Zenodo 22304, GPL-3.0 repository", "JonathanRamos/fastcleverseg"),
    ("Formula necks", "Apache-2.0", "this project, dicom_ai.imaging.neck_phantom"),
)
"""Name, licence and place of everything that the weights were trained on."""

FOUND_THRESHOLD = 0.7
"""Half-way between the least that a mask can score, 0.5, and what formula necks score, 0.84 (thick) to 0.93."""
SEGMENTER = "SCT contrast-agnostic v3.1"
"""What drew the masks of the healthy cohort (measurements/csa_norms.json)."""


def case_rows(header: dict[str, object]) -> list[dict[str, str]]:
    """Return name, person and digest of the cases of a pack."""
    rows = cast(list[dict[str, Any]], header["cases"])
    return [{key: str(row[key]) for key in ("name", "person", "digest", "source")} for row in rows]


def write_manifest(folder: Path, digest: str, *, net: str, patch: tuple[int, ...]) -> None:
    """Write model.toml."""
    data = "\n".join(
        f'[[data]]\nname = "{name}"\nlicence = "{licence}"\nsource = "{source}"\n' for name, licence, source in SOURCES
    )
    text = _MANIFEST.format(
        version=VERSION, patch=list(patch), net=net, digest=digest, data=data, found=FOUND_THRESHOLD
    )
    (folder / "model.toml").write_text(text, encoding="utf-8")


def write_metrics(folder: Path, report: Report) -> None:
    """Write metrics.json: the rows of an evaluation, rounded, and its notes."""
    _write(folder / METRICS_FILE, report)


def write_folds(folder: Path, report: Report, *, trained: str) -> None:
    """Write folds.json: the rows of a cross-validation and its notes. trained: how its weights came about."""
    _write(folder / FOLDS_FILE, report, trained=trained)


def _write(path: Path, report: Report, **more: str) -> None:
    rows = [
        {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items() if k != "seconds"} for row in report.rows
    ]
    content = more | {"rows": rows, "notes": report.notes}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_card(folder: Path) -> None:
    """Write MODEL_CARD.md from training.json, training_cases.json and, where there are, metrics.json and folds.json."""
    training = json.loads((folder / TRAINING_FILE).read_text(encoding="utf-8"))
    cases = json.loads((folder / "training_cases.json").read_text(encoding="utf-8"))["cases"]
    people = sorted({case["person"] for case in cases})
    metrics_path = folder / METRICS_FILE
    scores = "Not yet measured."
    if metrics_path.exists():
        scores = _scores(json.loads(metrics_path.read_text(encoding="utf-8")))
    text = _CARD.format(
        version=VERSION,
        scores=scores,
        folds=_folds(folder / FOLDS_FILE),
        sources="\n".join(f"- {name}: {licence}; {source}" for name, licence, source in SOURCES),
        cases=len(cases),
        people=len([person for person in people if not person.startswith(("formula", "template"))]),
        millions=training["parameters"] / 1e6,
        mixed="bfloat16" if training["mixed"] else "float32",
        processor=f"{training['threads'] or 'all'} CPU threads" if training["device"] == "cpu" else "one GPU",
        history=_history(training["history"]),
        offset=_offset(folder),
        repeatability=_repeatability(folder),
        **{key: training[key] for key in ("net", "steps", "hours", "batch", "seed", "learning_rate")},
    )
    (folder / "MODEL_CARD.md").write_text(text, encoding="utf-8")


def _offset(folder: Path) -> str:
    """Return what the manifest states of the model's offset, on which every comparison with healthy people rests."""
    offset = read_manifest(folder).segmenter_offset
    if offset is None:
        return f"No offset against {SEGMENTER} was measured, so no z-score and no healthy range is reported."
    return f"It reads {offset.offset_mm2:+.1f} mm2 more than {offset.segmenter} ({offset.images} images)."


def _repeatability(folder: Path) -> str:
    """Return what the manifest states of scans of an unchanged cord, on which every comparison with a prior rests."""
    found = read_manifest(folder).repeatability
    if found is None:
        return "Its repeatability was not measured, so no change since an earlier examination is judged."
    return (
        f"Two scans of an unchanged cord differ at a level by less than {found.csa_mm2:.1f} mm2 in 95 % of the pairs "
        f"({found.pairs}),\n  in formula necks that are placed anew with other noise, in the least repeatable contrast "
        "(`dicom-ai repeatability\n  spinal-cord --state`; `repeatability.json` has the others, and one real neck). "
        "Another scanner, another day and wrongly\n  counted levels are not in it."
    )


def _history(runs: list[dict[str, Any]]) -> str:
    """Return one line per run of a training that went on in several."""
    if len(runs) < 2:
        return ""
    lines = [
        f"  - to step {run['last_step']}: {run['loss'].replace('_', ' ')}, learning rate from "
        f"{run['loop']['learning_rate']:g}, patch {'x'.join(str(size) for size in run['synthesis']['patch'])}, "
        f"{100 * run['synthesis']['coarse_share']:.0f} % coarse"
        for run in runs
    ]
    head = (
        "- It went on in several runs, each from the checkpoint of the one before (`training.json` has their settings):"
    )
    return "\n".join([head, *lines]) + "\n"


def _scores(metrics: dict[str, Any]) -> str:
    """Return the tables of the card."""
    rows = metrics["rows"]
    measured = [row for row in rows if row.get("dice") is not None]
    heads = ("image", "seen in training", "found", "Dice", "soft Dice", "CSA bias", "worst slice", "slices", "HD95",
             "false voxels", "slices missed")  # fmt: skip
    lines = [_line(heads), _line(["---"] * len(heads))]
    for row in measured:
        cells = (
            row["image"],
            "yes" if row["seen"] else "no",
            "yes" if row["found"] else "no",
            f"{row['dice']:.3f}",
            f"{row['soft_dice']:.3f}",
            _number(row, "csa_bias_percent", "{:+.1f} %"),
            _number(row, "csa_worst_percent", "{:.1f} %"),
            str(row["slices"]),
            _number(row, "hd95_mm", "{:.1f} mm"),
            str(row["false_voxels"]),
            str(row["slices_missed"]),
        )
        lines.append(_line(cells))
    lines.append("")
    lines += [f"- {line}" for line in metrics["notes"]]
    return "\n".join(lines)


def _folds(path: Path) -> str:
    """Return the section on the people who were left out; empty where there was no cross-validation."""
    if not path.exists():
        return ""
    content = json.loads(path.read_text(encoding="utf-8"))
    return _FOLDS.format(trained=content["trained"], scores=_scores(content))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(row: dict[str, Any], key: str, form: str) -> str:
    return "-" if row.get(key) is None else form.format(row[key])


_FOLDS = """
## Each person by weights that never saw him

`dicom-ai evaluate spinal-cord --data ../shared/data --folds 2 --shipped --card` leaves each of the two people with
manual masks out once; the weights of each fold are named below the table. Here
{trained}.

{scores}
"""

_CARD = """\
# Spinal cord, version {version}

Finds the spinal cord in an MR image of any contrast and says of every voxel how much of it is cord (a soft mask), from
which the cross-sectional area (CSA) is measured. After arXiv 2310.15402 in its aims (one model for every contrast, a
soft target, the adaptive wing loss), not in its data: the weights are this project's own. **For research; not a
medical device.**

## Use

MR of the neck and upper back, sagittal, axial, coronal or isotropic. CSA is reported only where voxels across the cord
are at most 1.5 mm. "No cord found" is a result of its own. This file, `metrics.json`, `training.json` and
`training_cases.json` are written by the commands below.

## Scores

Measured with `dicom-ai evaluate spinal-cord --data ../shared/data --seen --card` on the files of this folder. CSA bias:
mean over slices of prediction minus truth; the truth of real necks is a binary manual mask of one rater, the truth of
formula necks is exact. Worst slice: largest deviation of a single slice.

{scores}

Nobody has yet run this model by ONNX Runtime's CUDA provider.
{folds}
## Training

- {cases} cases: {people} real people, the PAM50 template, and necks made from formulas. Images are invented from label
  maps with random contrast per tissue, resolution, bias field, noise, deformation, lesions, tight and cut fields of
  view; the targets are exact partial volumes. Of real images with a cord there is one person (unf01, sixteen slices in
  three contrasts); of real images without a cord, lumbar images below L3.
- errsm30 was not used in training, in any contrast. Nothing of these weights was chosen by its scores; one later
  candidate that read it worse was left aside (docs/training.md).
{sources}
- Network `{net}` ({millions:.2f} million parameters), {steps} steps of {batch} patches, learning rate {learning_rate},
  seed {seed}, {hours} hours on {processor}, {mixed} arithmetic; the moving average of the weights is what is shipped,
  matrices and kernels stored as float16.
{history}- Command: `dicom-ai train spinal-cord --data ../shared/data --out train-out --deliver models`; which cases:
  `training_cases.json`, with digests; curve: `curve.svg`.

## Known weakness

- One real person with a cord in training and one in the evaluation: the scores say little about other scanners, ages,
  7 T, tumours, metal, or strong compression, which were seen as invented images only.
- Manual masks of real necks draw the border each in their own way, in the contrasts of one person too: lines below the
  table say how far they lie apart at the same places. No model that does not depend on the contrast can follow that.
  The model's own offset against a given segmenter is known only as far as the table says. {offset}
- {repeatability}
- Above the foramen magnum and below the conus the mask may end some millimetres early or late.
"""
