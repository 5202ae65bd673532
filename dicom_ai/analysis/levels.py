"""Which vertebrae serve a series: its own, else those that another series of the study lends it.

    own levels -> levels another model found in the same series -> levels of another series in the same frame of
    reference, where both segmentations overlap consistently: patients move between series

A series with vertebrae takes levels vertebra by vertebra (anatomy.labeling.transfer_labels). A series that shows the
cord alone takes them where its cord lies on the cord (or in the canal) of the other. That sees a shift across the
spine; a shift along it leaves the cord in place and cannot be seen, which the note says.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dicom_ai.analysis.series import SeriesAnalysis
from dicom_ai.anatomy.centerline import centerline
from dicom_ai.anatomy.labeling import Labelling, transfer_labels
from dicom_ai.anatomy.vertebrae import renamed
from dicom_ai.domain.findings import StructureKind, VertebraLabel
from dicom_ai.domain.image import Volume
from dicom_ai.imaging.orient import axial_first

MOST_OFFSET = 1 / 3
"""Largest distance between the courses of the cord in two series, in vertebral heights."""


def levels_for(analysis: SeriesAnalysis, analyses: Sequence[SeriesAnalysis]) -> Labelling:
    """Return the vertebrae with a level that hold for a series, from above; none where none is known, and the notes.

    Levels cross series only within one frame of reference (PS3.3 C.7.4.1), where positions mean the same place. Of
    several candidates the one with most levels is taken.
    """
    inside = [item for item in analyses if item.source.series_uid == analysis.source.series_uid]
    own = _known(analysis) or max((_known(item) for item in inside), key=len, default=())
    if own:
        return Labelling(own)
    refused: list[str] = []
    for other in sorted(_neighbours(analysis, analyses), key=lambda item: -len(_known(item))):
        reason = _moved(analysis, other, analyses)
        if not reason:
            return Labelling(_known(other), ("levels found in another series; the cord lies in one place in both",))
        refused.append(f"no levels carried over: {reason}")
    return Labelling((), tuple(dict.fromkeys(refused)))


def with_levels_of_others(analyses: Sequence[SeriesAnalysis]) -> tuple[SeriesAnalysis, ...]:
    """Return the analyses, those with vertebrae renamed by the levels of others, or without any where two disagree."""
    return tuple(_compared(analysis, analyses) for analysis in analyses)


def _compared(analysis: SeriesAnalysis, analyses: Sequence[SeriesAnalysis]) -> SeriesAnalysis:
    segmentation = analysis.segmentation
    image = analysis.source.image
    drawn = any(segment.structure.kind is StructureKind.VERTEBRA for segment in segmentation.segments)
    if not drawn or not isinstance(image, Volume):
        return analysis
    others = [other for other in _neighbours(analysis, analyses) if other.segmentation.segments]
    answers = [transfer_labels(other.segmentation.vertebrae, segmentation.vertebrae) for other in others]
    had = len(_known(analysis))
    changed = [answer for answer in answers if _count(answer) != had]
    if not changed:
        return analysis
    chosen = min(changed, key=_count) if had else max(changed, key=_count)
    return replace(analysis, segmentation=renamed(segmentation, chosen, image))


def _count(labelling: Labelling) -> int:
    return sum(vertebra.level is not None for vertebra in labelling.labels)


def _known(analysis: SeriesAnalysis) -> tuple[VertebraLabel, ...]:
    return tuple(vertebra for vertebra in analysis.segmentation.vertebrae if vertebra.level)


def _neighbours(analysis: SeriesAnalysis, analyses: Sequence[SeriesAnalysis]) -> list[SeriesAnalysis]:
    """Return the analyses with levels of other series in the same frame of reference."""
    frame = _frame_of_reference(analysis)
    return [
        other
        for other in analyses
        if frame
        and other.source.series_uid != analysis.source.series_uid
        and _frame_of_reference(other) == frame
        and _known(other)
    ]


def _moved(analysis: SeriesAnalysis, other: SeriesAnalysis, analyses: Sequence[SeriesAnalysis]) -> str:
    """Return why the cord of a series does not show that another one lies in the same place; "" where it does."""
    here, there = _course(analysis, analyses), _course(other, analyses)
    if here is None or there is None:
        return "there is no cord or canal in both series to compare"
    height_mm = float(np.median([np.linalg.norm(one.upper_mm - one.lower_mm) for one in _known(other)]))
    low, high = there[:, 2].min(), there[:, 2].max()
    shared = here[(here[:, 2] >= low) & (here[:, 2] <= high)]
    if not shared.size or float(np.ptp(shared[:, 2])) < height_mm:
        return "the two series share less than a vertebral height of cord"
    beside = np.stack([np.interp(shared[:, 2], there[:, 2], there[:, axis]) for axis in range(2)], axis=1)
    offset_mm = float(np.median(np.linalg.norm(shared[:, :2] - beside, axis=1)))
    if offset_mm > MOST_OFFSET * height_mm:
        return f"the cord lies {offset_mm:.0f} mm apart in the two series: the patient may have moved"
    return ""


def _course(analysis: SeriesAnalysis, analyses: Sequence[SeriesAnalysis]) -> np.ndarray | None:
    """Return the course of the cord in a series, feet to head, LPS mm, shape (n, 3); of the canal where no cord is."""
    inside = [item for item in analyses if item.source.series_uid == analysis.source.series_uid]
    for kind in (StructureKind.SPINAL_CORD, StructureKind.SPINAL_CANAL):
        for item in inside:
            numbers = [one.number for one in item.segmentation.segments if one.structure.kind is kind]
            if numbers and isinstance(item.source.image, Volume):
                mask = np.isin(item.segmentation.labels, numbers).astype(np.float32)
                points: np.ndarray = centerline(axial_first(item.source.image.with_voxels(mask))).points_mm
                return points[np.argsort(points[:, 2])]
    return None


def _frame_of_reference(analysis: SeriesAnalysis) -> str:
    image = analysis.source.image
    return image.frame_of_reference_uid if isinstance(image, Volume) else ""
