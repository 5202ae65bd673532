"""Which vertebrae serve a series: its own, else those of another series of the study in the same frame of reference."""

from collections.abc import Sequence

from dicom_ai.analysis.series import SeriesAnalysis
from dicom_ai.domain.findings import VertebraLabel
from dicom_ai.domain.image import Volume


def levels_for(analysis: SeriesAnalysis, analyses: Sequence[SeriesAnalysis]) -> tuple[VertebraLabel, ...]:
    """Return the vertebrae with a level that hold for a series, from above; empty where none is known.

    Levels cross series only within one frame of reference (PS3.3 C.7.4.1), where positions mean the same place. Of
    several candidates the one with most levels is taken.
    """
    frame = _frame_of_reference(analysis)
    candidates = [analysis, *(other for other in analyses if frame and _frame_of_reference(other) == frame)]
    known = [tuple(label for label in item.segmentation.vertebrae if label.level) for item in candidates]
    own, *others = known
    return own or max(others, key=len, default=())


def _frame_of_reference(analysis: SeriesAnalysis) -> str:
    image = analysis.source.image
    return image.frame_of_reference_uid if isinstance(image, Volume) else ""
