"""The evaluation of the spine model: every structure that the truth of a held-out case draws, whole and cropped.

A case of a person whom the weights have seen is refused; with seen=True it is scored and marked. Levels are counted as
right, wrong or withheld apart, over the structures that the truth labels. In crops without C2 and without the sacrum
the only right answer is no level. Necks made from formulas come with a whole evaluation: the volumes show loins.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from scipy import ndimage

from dicom_ai.dicom.nifti import read_nifti
from dicom_ai.domain.findings import Segmentation, Structure, StructureKind
from dicom_ai.domain.image import SourceImage, Volume
from dicom_ai.errors import ConfigError
from dicom_ai.imaging.overlay import render, write_png
from dicom_ai.imaging.palette import color_of
from dicom_ai.imaging.resample import grid_for, resample_onto
from dicom_ai.inference.predictor import Predictor
from dicom_ai.inference.registry import ModelStore
from dicom_ai.training.data.spine_cases import DISCS_ONLY, SAME_PERSON, volume_case
from dicom_ai.training.recipes import BY_PERSON, SOURCE_LEFT_OUT, EvaluateRequest, Fold, Report, Say, progress_line
from dicom_ai.training.spine_necks import neck_rows
from dicom_ai.training.spine_tables import ANSWERS, NECKS

SEEN_FILE = "training_cases.json"

HELD_OUT = frozenset(
    {
        *("chu_04", "chu_08", "chu_12"),
        *("myosegmentum_05", "myosegmentum_11", "myosegmentum_18", "myosegmentum_23", "myosegmentum_27"),
        *("menezes_discs_11", "vesal_02", "vesal_09", "vesal_17"),
    }
)
"""People who are kept out of training: about a quarter of each source, and at least one."""

VERTEBRAE = ("L5", "L4", "L3", "L2", "L1", "T12", "T11")
DISCS = ("L5/S1", "L4/L5", "L3/L4", "L2/L3", "L1/L2")
"""What the values 1, 2, ... of the truth stand for."""

POOR_DICE = 0.6
"""A structure with less is looked at."""

COLUMNS = (
    *("image", "person", "source", "seen", "crop", "structures", "dice_mean", "dice_worst", "worst"),
    *("missed", "surface_mm", "hd95_mm", "right", "wrong", "withheld", "false_levels", "score", "seconds"),
)


@dataclass(frozen=True, slots=True)
class Item:
    """One image to score. crop: "" for the whole volume. levels: name of each value of the truth, () in crops."""

    name: str
    crop: str
    image: SourceImage
    truth: np.ndarray
    levels: tuple[str, ...]


def evaluate(request: EvaluateRequest, *, model: str, say: Say) -> Report:
    """Score the delivered weights."""
    store = ModelStore(request.models, device=request.device, runtime=request.runtime, threads=request.threads)
    predictor = store.load(model)
    seen = seen_people(request.models / model)
    trained = {case["digest"]: case["name"] for case in seen_cases(request.models / model)}
    rows = []
    for path in sorted((request.data / "spine_mr").glob("*_image.nii.gz")):
        name = path.name.removesuffix("_image.nii.gz")
        person = SAME_PERSON.get(name, name)
        if name != person or (person in seen and not request.seen):
            continue
        if request.only is not None and person not in request.only:
            continue
        if person not in seen:
            refuse_trained(path.parent, name, trained)
        for item in _items(path, name, request.every):
            row, result = _scored(predictor, item)
            row |= {"person": person, "source": name.split("_")[0], "seen": person in seen, "every": request.every}
            rows.append(row)
            if request.pictures is not None and failed(row):
                _picture(item, result, request.pictures)
            say(progress_line(row, COLUMNS))
    for row in neck_rows(predictor) if rows and request.only is None else ():
        rows.append(row | {"every": request.every})
        say(progress_line(row, COLUMNS))
    return Report(COLUMNS, tuple(rows), tuple(summary(rows)))


def refuse_trained(folder: Path, name: str, trained: Mapping[str, str]) -> None:
    """Raise ConfigError where a case is one that was trained on under another name. trained: digest -> name."""
    digest = volume_case(folder, name).digest
    if digest in trained:
        raise ConfigError(f"{name}: the weights were trained on this very case, as {trained[digest]}")


def seen_people(folder: Path) -> frozenset[str]:
    """Return the people of the training cases of a model folder; raises ConfigError where they are not named."""
    return frozenset(case["person"] for case in seen_cases(folder))


def seen_cases(folder: Path) -> list[dict[str, str]]:
    """Return name, person, digest and source of the training cases; raises ConfigError where they are not named."""
    path = folder / SEEN_FILE
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; without it nobody knows whom the weights have seen")
    cases: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return cases


def _items(path: Path, name: str, every: int) -> Iterator[Item]:
    """Yield a case whole and, where its vertebrae are drawn, without the sacrum and above L3.

    every: so many slices; above 1 it is a quick look at whole cases, without the crops.
    """
    image = read_nifti(path)
    truth = read_nifti(path.with_name(path.name.replace("_image", "_labels"))).image
    assert isinstance(image.image, Volume) and isinstance(truth, Volume)
    drawn = truth.with_voxels(np.asarray(truth.voxels).astype(np.uint8))
    grid = grid_for(image.image, spacing_mm=(0, 1, 1), orientation="LIP")
    turned = thinned(resample_onto(image.image, grid), every)
    labels = thinned(resample_onto(drawn, grid, order=0), every).voxels
    discs = name.startswith(DISCS_ONLY)
    whole = (image, np.asarray(drawn.voxels)) if every == 1 else (replace(image, image=turned), labels)
    yield Item(name, "", *whole, DISCS if discs else VERTEBRAE)
    if discs or every > 1:
        return
    for crop, rows in (("above L5/S1", _end_of_l5(labels)), ("above L3", _first_row(labels, 3))):
        part = Volume(np.ascontiguousarray(turned.voxels[:, :rows]), turned.affine, turned.frame_of_reference_uid)
        yield Item(name, crop, replace(image, image=part), np.zeros(part.shape, np.uint8), ())


def thinned(volume: Volume, every: int) -> Volume:
    """Return every so many slices of a volume, from the middle of the first so many on."""
    first = (every - 1) // 2
    affine = volume.affine.copy()
    affine[:3, 3] += first * affine[:3, 0]
    affine[:3, 0] *= every
    return Volume(np.ascontiguousarray(volume.voxels[first::every]), affine, volume.frame_of_reference_uid)


def _end_of_l5(labels: np.ndarray) -> int:
    """Return the row above which nothing of the disc L5/S1 lies: where the lower endplate of L5 is highest."""
    middle = round(float(np.median(np.nonzero(labels == 1)[0])))
    l5 = labels[middle] == 1
    columns = np.flatnonzero(l5.any(axis=0))
    inner = columns[len(columns) // 8 : -max(1, len(columns) // 8)]
    return int(min(np.flatnonzero(l5[:, column])[-1] for column in inner))


def _first_row(labels: np.ndarray, value: int) -> int:
    return int(np.flatnonzero((labels == value).any(axis=(0, 2)))[0])


def _scored(predictor: Predictor, item: Item) -> tuple[dict[str, Any], Segmentation]:
    started = time.perf_counter()
    result = predictor.predict(item.image)
    row: dict[str, Any] = {"image": item.name, "crop": item.crop, "score": result.score}
    row["seconds"] = time.perf_counter() - started
    if item.crop:
        named = [vertebra for vertebra in result.vertebrae if vertebra.level]
        return row | {"structures": len(result.vertebrae), "false_levels": len(named)}, result
    assert isinstance(item.image.image, Volume)
    return row | structure_scores(result, item.truth, item.levels, item.image.image.spacing_mm.tolist()), result


def failed(row: dict[str, Any]) -> bool:
    """Whether somebody should look at the image: a wrong or false level, a missed structure, or a poor Dice."""
    if row["crop"]:
        return bool(row["false_levels"])
    return bool(row["wrong"] or row["missed"] or row["dice_worst"] < POOR_DICE)


def _picture(item: Item, result: Segmentation, folder: Path) -> None:
    """Write the slice that holds most of the result, or of the truth: the truth on the left, the result on the right.

    Colours are those of the levels; what has none in the truth or the result takes turns.
    """
    assert isinstance(item.image.image, Volume)
    volume = item.image.image
    axis = int(np.argmax(np.abs(volume.directions[0])))  # across the body
    held = np.count_nonzero((result.labels > 0) | (item.truth > 0), axis=tuple(a for a in range(3) if a != axis))
    place = int(held.argmax())
    grey, found, truth = (np.take(one, place, axis=axis) for one in (volume.voxels, result.labels, item.truth))
    kind = StructureKind.DISC if item.levels and "/" in item.levels[0] else StructureKind.VERTEBRA
    drawn = {value: color_of(Structure(kind, "", level)) for value, level in enumerate(item.levels, start=1)}
    own = {s.number: color_of(s.structure, number=s.number) for s in result.segments}
    pair = np.concatenate([render(grey, truth, drawn), render(grey, found, own)], axis=1)
    folder.mkdir(parents=True, exist_ok=True)
    write_png(
        pair, folder / f"{item.name}{'-' + item.crop.replace(' ', '-').replace('/', '-') if item.crop else ''}.png"
    )


def structure_scores(
    result: Segmentation, truth: np.ndarray, levels: Sequence[str], spacing_mm: Sequence[float]
) -> dict[str, Any]:
    """Return means and worst over the drawn structures; each is compared with the segment that covers most of it.

    A structure that no segment covers is missed: its Dice is 0, and it has no distances.
    """
    kind = StructureKind.DISC if "/" in levels[0] else StructureKind.VERTEBRA
    fitting = [segment.number for segment in result.segments if segment.structure.kind is kind]
    known = {segment.number: segment.structure.level for segment in result.segments}
    parts: list[dict[str, Any]] = []
    for value in (int(value) for value in np.unique(truth) if value):
        level, own = levels[value - 1], truth == value
        counts = np.bincount(result.labels[own], minlength=max(fitting, default=0) + 1)
        best = max(fitting, key=lambda number: counts[number], default=0)
        mask = result.labels == best if best and counts[best] else np.zeros(own.shape, bool)
        part: dict[str, Any] = {"level": level, "dice": float(2 * (mask & own).sum() / (mask.sum() + own.sum()))}
        answer = known.get(best) if mask.any() else None
        part["answer"] = "right" if answer == level else "wrong" if answer else "withheld"
        part |= _distances(mask, own, spacing_mm) if mask.any() else {"surface_mm": None, "hd95_mm": None}
        parts.append(part)
    worst = min(parts, key=lambda part: float(part["dice"]))
    return {answer: sum(part["answer"] == answer for part in parts) for answer in ANSWERS} | {
        "structures": len(parts),
        "dice_mean": fmean(part["dice"] for part in parts),
        "dice_worst": worst["dice"],
        "worst": worst["level"],
        "missed": sum(part["surface_mm"] is None for part in parts),
        "surface_mm": _mean(part["surface_mm"] for part in parts),
        "hd95_mm": _mean(part["hd95_mm"] for part in parts),
        "parts": parts,
    }


def _distances(mask: np.ndarray, own: np.ndarray, spacing_mm: Sequence[float]) -> dict[str, float]:
    """Return the mean and the 95th percentile of the distances between the surfaces of two masks."""
    distances = surface_distances(mask, own, spacing_mm)
    return {"surface_mm": float(distances.mean()), "hd95_mm": float(np.percentile(distances, 95))}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def surface_distances(one: np.ndarray, other: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Return the distances from each surface to the other, mm, both ways together; both masks hold something."""
    box = ndimage.find_objects((one | other).astype(np.uint8))[0]
    one, other = (np.pad(mask[box], 1) for mask in (one, other))
    rims = [mask & ~ndimage.binary_erosion(mask) for mask in (one, other)]
    away = [ndimage.distance_transform_edt(~rim, sampling=spacing_mm) for rim in rims]
    return np.concatenate([away[1][rims[0]], away[0][rims[1]]])


def folds(data: Path, count: int) -> tuple[Fold, ...]:
    """Split the people of each source over the folds, then leave out each source of drawn volumes once."""
    names = {path.name.removesuffix("_image.nii.gz") for path in (data / "spine_mr").glob("*_image.nii.gz")}
    people = sorted({SAME_PERSON.get(name, name) for name in names})
    sources = {
        source: [p for p in people if p.startswith(f"{source}_")] for source in ("chu", DISCS_ONLY, "myosegmentum")
    }
    found = []
    for number in range(count):
        out = frozenset(person for ones in sources.values() for person in ones[number::count])
        found.append(Fold(f"fold-{number + 1}", BY_PERSON, out, out))
    for source, ones in sources.items():
        found.append(Fold(f"without-{source}", SOURCE_LEFT_OUT, frozenset(ones), frozenset(ones)))
    return tuple(found)


def summary(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield one sentence per source, one on levels, crops and formula necks each; of unseen cases only."""
    necks = [row for row in rows if row["source"] == NECKS]
    fresh = [row for row in rows if not row["seen"] and row["source"] != NECKS]
    for source in sorted({row["source"] for row in fresh}):
        own = [row for row in fresh if row["source"] == source and not row["crop"]]
        dice = fmean(row["dice_mean"] for row in own)
        worst = min(own, key=lambda row: row["dice_worst"])
        yield (
            f"{source}: mean Dice {dice:.3f} over {len(own)} unseen cases and {sum(row['structures'] for row in own)} "
            f"structures, {sum(row['missed'] for row in own)} missed; worst {worst['dice_worst']:.3f} "
            f"({worst['image']} {worst['worst']}); surface {_mm(_mean(row['surface_mm'] for row in own))}, "
            f"HD95 {_mm(_mean(row['hd95_mm'] for row in own))}"
        )
    whole = [row for row in fresh if not row["crop"]]
    if whole:
        right, wrong, held = (sum(row[key] for row in whole) for key in ANSWERS)
        yield f"levels of {right + wrong + held} drawn structures: {right} right, {wrong} wrong, {held} withheld"
    crops = [row for row in fresh if row["crop"]]
    if crops:
        false = sum(row["false_levels"] for row in crops)
        yield f"{len(crops)} crops without C2 and sacrum: {false} levels named where none can be known"
    if necks:
        right, wrong, held, asked = (sum(row[key] for row in necks) for key in (*ANSWERS, "structures"))
        yield f"{len(necks)} necks made from formulas: of {asked} levels {right} right, {wrong} wrong, {held} withheld"


def _mm(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} mm"
