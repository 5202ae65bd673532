"""How far the CSA of one neck lies apart between contrasts: by the model, and by the manual masks of the same images.

The cord of a person has one area at one place, whatever the contrast. Where manual masks of two contrasts differ, no
model that does not depend on the contrast can agree with both: so its own difference stands beside that of the masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean

import numpy as np

from dicom_ai.dicom.nifti import read_nifti
from dicom_ai.domain.image import SourceImage, Volume
from dicom_ai.inference.predictor import Predictor
from dicom_ai.measurements.spinal_cord_csa import measure_cord

SAME_GRID = ("unf01_T1w", "unf01_T2w", "unf01_T2star")
"""One person in three contrasts on one grid."""

SAME_SESSION = ("errsm30_t2_crop", "errsm30_t1_crop", "errsm30_t2s_crop", "errsm30_mt1_crop")
"""One person in four contrasts, each on its own grid, in coordinates of one examination; compared with the first."""

LEAST_COVERED = 0.8
"""So much of a thick slice the first image has to show, else its area there is not known."""


@dataclass(frozen=True, slots=True)
class PlacedArea:
    """The CSA of one slice. height_mm: of the cord's middle there, LPS towards the head. thick_mm: of the slice."""

    index: int
    height_mm: float
    thick_mm: float
    area_mm2: float


def same_grid(predictor: Predictor, data: Path) -> tuple[str, ...]:
    """Return how far the CSA of a slice lies apart in co-registered contrasts; empty without the images."""
    paths = [data / "spinal_cord_mr" / f"{name}.nii.gz" for name in SAME_GRID]
    if not all(path.is_file() for path in paths):
        return ()
    read = [{place.index: place.area_mm2 for place in _seen_by(predictor, read_nifti(path))} for path in paths]
    shared = sorted(set.intersection(*(set(areas) for areas in read)))
    apart = [abs(one[index] - two[index]) for index in shared for one, two in combinations(read, 2)]
    if not apart:
        return (f"{', '.join(SAME_GRID)}: no slice is measured in all three",)
    return (
        f"{', '.join(SAME_GRID)}: the CSA of a slice differs by {fmean(apart):.2f} mm2 between two contrasts "
        f"(mean absolute difference, {len(shared)} slices, end slices left out)",
    )


def same_session(predictor: Predictor, data: Path) -> tuple[str, ...]:
    """Return how far manual masks and the model's areas lie apart at the same places; empty without the images."""
    folder = data / "spinal_cord_mr"
    if not all((folder / f"{name}{end}.nii.gz").is_file() for name in SAME_SESSION for end in ("", "_cord")):
        return ()
    drawn = [_areas_of(_volume(read_nifti(folder / f"{name}_cord.nii.gz"))) for name in SAME_SESSION]
    said = [_seen_by(predictor, read_nifti(folder / f"{name}.nii.gz")) for name in SAME_SESSION]
    return tuple(
        _apart(name, (drawn[0], drawn[place]), (said[0], said[place]))
        for place, name in enumerate(SAME_SESSION[1:], start=1)
    )


def _apart(name: str, drawn: tuple[Sequence[PlacedArea], ...], said: tuple[Sequence[PlacedArea], ...]) -> str:
    """Return the sentence on one image and the first one, over the slices that both masks and both answers measure."""
    answers = {place.index: place for place in said[1]}
    both = [(mask, answers[mask.index]) for mask in drawn[1] if mask.index in answers]
    rows = [(mask.area_mm2, area_at(drawn[0], mask), own.area_mm2, area_at(said[0], own)) for mask, own in both]
    known = [row for row in rows if row[1] is not None and row[3] is not None]
    if not known:
        return f"{name} and {SAME_SESSION[0]}: no place is measured in both"
    mask, first_mask, own, first_own = np.array(known, float).mean(axis=0)
    return (
        f"{name} and {SAME_SESSION[0]}, {len(known)} slices at the same places: the manual masks differ by "
        f"{100 * (mask / first_mask - 1):+.1f} %, the model's areas by {100 * (own / first_own - 1):+.1f} %"
    )


def area_at(areas: Sequence[PlacedArea], wanted: PlacedArea) -> float | None:
    """Return the mean area within the thickness of another image's slice; None where too little of it is measured.

    Slices that end in it count with what lies in it.
    """
    low, high = wanted.height_mm - wanted.thick_mm / 2, wanted.height_mm + wanted.thick_mm / 2
    shares = [
        max(0.0, min(high, one.height_mm + one.thick_mm / 2) - max(low, one.height_mm - one.thick_mm / 2))
        for one in areas
    ]
    if sum(shares) < LEAST_COVERED * wanted.thick_mm:
        return None
    return float(np.average([one.area_mm2 for one in areas], weights=shares))


def _seen_by(predictor: Predictor, source: SourceImage) -> list[PlacedArea]:
    soft = predictor.predict(source).soft
    assert soft is not None
    return _areas_of(_volume(source).with_voxels(soft))


def _areas_of(mask: Volume) -> list[PlacedArea]:
    """Return the slices that may be measured."""
    profile = measure_cord(mask)
    thick = float(profile.cord.spacing_mm[0])
    return [
        PlacedArea(item.index, float(item.section.centroid_mm[2]), thick, item.section.area_mm2)
        for item in profile.slices
        if item.measured and item.section
    ]


def _volume(source: SourceImage) -> Volume:
    assert isinstance(source.image, Volume)
    return source.image
