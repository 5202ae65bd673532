"""The evaluation of the cord model: real necks with masks, formula necks, and images without a cord.

A person whom the weights have seen, in any contrast, is refused; with seen=True it is scored and marked.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from dicom_ai.dicom.nifti import read_nifti
from dicom_ai.domain.image import SourceImage, Volume
from dicom_ai.errors import ConfigError
from dicom_ai.imaging.neck_phantom import NeckShape, axial_grid, neck_phantom, random_shape, sagittal_grid
from dicom_ai.imaging.orient import axial_first
from dicom_ai.inference.predictor import Predictor
from dicom_ai.inference.registry import ModelStore
from dicom_ai.training import cord_contrasts
from dicom_ai.training.cord_scores import cord_scores
from dicom_ai.training.data import lumbar_cords
from dicom_ai.training.recipes import EvaluateRequest, Fold, Report, Say, progress_line

SEEN_FILE, TRAINING_FILE = "training_cases.json", "training.json"
"""Beside the weights: what they were trained on, {"cases": [{"name", "person", "digest"}, ...]}; and how."""

COLUMNS = (
    *("group", "image", "person", "seen", "found", "score", "dice", "soft_dice"),
    *("csa_bias_percent", "csa_bias_mm2", "csa_worst_percent", "slices"),
    *("hd95_mm", "false_voxels", "slices_missed", "seconds"),
)

NECKS = {
    "errsm30_t2": "errsm30_t2_crop_cord",
    "errsm30_t2_crop": "errsm30_t2_crop_cord",
    "errsm30_t1_crop": "errsm30_t1_crop_cord",
    "errsm30_t2s_crop": "errsm30_t2s_crop_cord",
    "errsm30_mt1_crop": "errsm30_mt1_crop_cord",
    "unf01_T1w": "unf01_T1w_cord",
    "unf01_T2w": "unf01_T2w_cord",
    "unf01_T2star": "unf01_T2star_cord",
}
"""Image -> its manual mask, which may cover a part of it."""

CONTRASTS = (
    (cord_contrasts.SAME_GRID, cord_contrasts.same_grid),
    (cord_contrasts.SAME_SESSION, cord_contrasts.same_session),
)
"""Images of one person in several contrasts, and what compares them."""

NONE_VISIBLE = "no cord visible"
"""Group of the whole lumbar images that training/data/lumbar_cords.csv lists without a cord."""

UNSEEN_FORMULAS = range(100, 104)
"""Seeds of formula necks that no training has drawn (it takes 0 to 19)."""


@dataclass(frozen=True, slots=True)
class Item:
    """One image to score. truth: None where there is no cord in the image; it may cover a part of the image."""

    group: str
    name: str
    person: str
    image: SourceImage
    truth: Volume | None


def evaluate(request: EvaluateRequest, *, model: str, say: Say) -> Report:
    """Score the delivered weights of a model."""
    store = ModelStore(request.models, device=request.device, runtime=request.runtime, threads=request.threads)
    predictor = store.load(model)
    seen = seen_people(request.models / model)
    rows = []
    for person, make in _items(request.data):
        if request.only is not None and person not in request.only:
            continue
        item = make()
        if item.person in seen and not request.seen:
            say(f"{item.name}: refused, the weights were trained on {item.person}")
            continue
        row = _scored(predictor, item)
        rows.append(row | {"seen": item.person in seen})
        say(progress_line(row, COLUMNS))
    about = [_name_of(predictor, request.models / model)]
    for names, compare in CONTRASTS:
        person = _person_of(names[0])
        if request.only is None or person in request.only:
            about += [f"{line}{'; seen in training' * (person in seen)}" for line in compare(predictor, request.data)]
    return Report(COLUMNS, tuple(rows), (*about, *summary(rows)), tuple(about))


def seen_people(folder: Path) -> frozenset[str]:
    """Return the people of the training cases of a model folder; raises ConfigError where they are not named."""
    path = folder / SEEN_FILE
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; without it nobody knows whom the weights have seen")
    return frozenset(case["person"] for case in json.loads(path.read_text(encoding="utf-8"))["cases"])


def on_grid_of(volume: Volume, part: Volume) -> Volume:
    """Cut from a volume the voxels of a grid that is a part of it; raises ValueError where it is not."""
    turned, wanted = axial_first(volume), axial_first(part)
    first = turned.to_indices(wanted.to_mm(np.zeros(3)))
    low = np.rint(first).astype(int)
    high = low + wanted.shape
    fits = np.allclose(turned.affine[:3, :3], wanted.affine[:3, :3], atol=1e-3) and np.allclose(first, low, atol=0.05)
    if not fits or (low < 0).any() or (high > turned.shape).any():
        raise ValueError("the truth does not lie on the voxels of the image")
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return replace(wanted, voxels=turned.voxels[window])


def _items(data: Path) -> Iterator[tuple[str, Callable[[], Item]]]:
    """Yield whom each item shows and what makes it, so that only one image is in memory, and none that is not asked."""
    necks, lumbar = data / "spinal_cord_mr", data / "spine_mr"
    for name, mask in NECKS.items():
        yield _person_of(name), partial(_neck, necks, name, mask)
    for seed in (None, *UNSEEN_FORMULAS):
        for contrast in ("T2", "T1", "T2star"):
            yield _formula_name(seed), partial(_formula, seed, contrast)
    for path in sorted(lumbar.glob("*_image.nii.gz")):
        if not path.name.startswith("menezes"):
            yield path.name.removesuffix("_image.nii.gz"), partial(_lumbar, path)
    for name in sorted(lumbar_cords.without_cord()):
        yield name, partial(_whole_lumbar, lumbar, name)
    for name, voxels in _empty().items():
        volume = Volume(voxels, np.diag([1.0, 1.0, 1.0, 1.0]))
        yield name, partial(Item, "no cord", name, name, _source(name, volume), None)


def _person_of(name: str) -> str:
    return name.split("_")[0]


def _formula_name(seed: int | None) -> str:
    return f"formula {'mean' if seed is None else seed}"


def _neck(folder: Path, name: str, mask: str) -> Item:
    truth = read_nifti(folder / f"{mask}.nii.gz").image
    assert isinstance(truth, Volume)
    return Item("manual mask", name, _person_of(name), read_nifti(folder / f"{name}.nii.gz"), truth)


def _formula(seed: int | None, contrast: str) -> Item:
    shape = NeckShape() if seed is None else random_shape(seed)
    grid = axial_grid(shape) if contrast == "T2star" else sagittal_grid(shape)
    phantom = neck_phantom(shape, grid, contrast=contrast, seed=7)
    name = f"{_formula_name(seed)} {contrast}"
    return Item("formula", name, _formula_name(seed), _source(name, phantom.image), phantom.cord)


def _lumbar(path: Path) -> Item:
    """A lumbar image below the upper edge of L3, where no cord is left."""
    image = read_nifti(path)
    labels = read_nifti(path.with_name(path.name.replace("_image", "_labels"))).image
    assert isinstance(image.image, Volume) and isinstance(labels, Volume)
    turned, bodies = axial_first(image.image), axial_first(labels)
    top = int(np.flatnonzero((bodies.voxels == 3).any(axis=(1, 2)))[-1])  # 1 is L5, 3 is L3
    person = path.name.removesuffix("_image.nii.gz")
    below = replace(turned, voxels=np.ascontiguousarray(turned.voxels[:top]))
    return Item("no cord", f"{person} below L3", person, _source(person, below), None)


def _whole_lumbar(folder: Path, name: str) -> Item:
    """A whole lumbar image in which nobody who looked saw a cord."""
    return Item(NONE_VISIBLE, f"{name} whole", name, read_nifti(folder / f"{name}_image.nii.gz"), None)


def _empty() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (80, 120, 100)
    across = np.hypot(*np.meshgrid(np.arange(120) - 60, np.arange(100) - 50, indexing="ij"))
    tube = np.broadcast_to(np.where(across < 8, 1.0, 0.3), shape) + rng.normal(0, 0.03, shape)
    return {
        "noise": rng.normal(size=shape).astype(np.float32),
        "constant": np.ones(shape, np.float32),
        "tube of fluid": tube.astype(np.float32),
    }


def _source(name: str, volume: Volume) -> SourceImage:
    return SourceImage(name, name, volume, ())


def _scored(predictor: Predictor, item: Item) -> dict[str, Any]:
    began = time.perf_counter()
    result = predictor.predict(item.image)
    seconds = time.perf_counter() - began
    assert isinstance(item.image.image, Volume) and result.soft is not None
    row: dict[str, Any] = {
        "group": item.group,
        "image": item.name,
        "person": item.person,
        "found": bool(result.segments),
        "score": result.score,
        "seconds": seconds,
    }
    soft = item.image.image.with_voxels(result.soft)
    if item.truth is None:
        return row | {"false_voxels": int((result.soft >= 0.5).sum())}
    truth = axial_first(item.truth)
    return row | asdict(cord_scores(on_grid_of(soft, truth), truth))


def folds(data: Path) -> tuple[Fold, ...]:
    """Leave out each person whose images have manual masks, once."""
    names = [name for name, mask in NECKS.items() if (data / "spinal_cord_mr" / f"{mask}.nii.gz").is_file()]
    people = sorted({_person_of(name) for name in names})
    return tuple(Fold(f"without-{one}", "person left out", frozenset({one}), frozenset({one})) for one in people)


def summary(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return mean Dice of unseen necks and formula necks, what was found where no cord is, and what was refused."""
    return (*_means(rows), *_found_where_none_is(rows), *_refused(rows))


def _found_where_none_is(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    without = [row["found"] for row in rows if row["group"] == "no cord"]
    if without:
        yield f"no cord: found in {sum(without)} of {len(without)} images where there is none"
    whole = [row["found"] for row in rows if row["group"] == NONE_VISIBLE]
    if whole:
        yield (
            f"whole lumbar images in which no cord is visible: found in {sum(whole)} of {len(whole)} "
            "(training/data/lumbar_cords.csv; their top is T12 or L1)"
        )


def _refused(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    necks = [row for row in rows if row["group"] == "manual mask"]
    yield (
        f"necks with a manual mask: refused {sum(not row['found'] for row in necks)} of {len(necks)}; {_people(necks)}"
    )


def _people(rows: Sequence[dict[str, Any]]) -> str:
    count = len({row["person"] for row in rows})
    return f"{count} {'person' if count == 1 else 'people'}"


def _name_of(predictor: Predictor, folder: Path) -> str:
    reference = predictor.reference
    steps = json.loads((folder / TRAINING_FILE).read_text(encoding="utf-8"))["steps"]
    return f"{reference.name} {reference.version}, weights {reference.digest[:12]} of {steps} steps, {reference.device}"


def _means(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    for group in ("manual mask", "formula"):
        unseen = [row for row in rows if row["group"] == group and not row["seen"]]
        if unseen:
            who = _people(unseen) if group == "manual mask" else "invented"
            mean, worst = fmean(row["dice"] for row in unseen), min(unseen, key=lambda row: row["dice"])
            yield (
                f"{group}, unseen ({who}): mean Dice {mean:.3f} over {len(unseen)} images, "
                f"worst {worst['dice']:.3f} ({worst['image']})"
            )
        of_person = {row["person"]: [one for one in unseen if one["person"] == row["person"]] for row in unseen}
        if group == "manual mask" and len(of_person) > 1:
            each = [f"{name} {fmean(row['dice'] for row in own):.3f} ({len(own)})" for name, own in of_person.items()]
            yield f"{group}, unseen, by person (images): mean Dice {', '.join(each)}"
