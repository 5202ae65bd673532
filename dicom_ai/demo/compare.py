"""The CSA that the received report states, beside the phantom's truth at the place that the report outlines."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dicom_ai.dicom.sr_reader import Report
from dicom_ai.domain.findings import Finding
from dicom_ai.domain.image import SourceImage, Volume
from dicom_ai.imaging.neck_phantom import NeckTruth
from dicom_ai.measurements.sites import WHOLE

TOLERANCE_PERCENT = 5.0
HALF_STRETCH_MM = 10.0
"""A cross-section outlines the middle of its stretch of 20 mm of cord."""


@dataclass(frozen=True, slots=True)
class ComparedCsa:
    """One CSA of the report beside the truth. what: which number; site: where; reason: why there is no number."""

    series_uid: str
    site: str
    what: str
    measured_mm2: float | None
    true_mm2: float
    reason: str = ""

    @property
    def difference_percent(self) -> float | None:
        """How far the measured value lies from the truth."""
        if self.measured_mm2 is None:
            return None
        return 100.0 * (self.measured_mm2 - self.true_mm2) / self.true_mm2

    @property
    def within(self) -> bool:
        """Whether the number is close enough; one that the report withholds says nothing wrong."""
        difference = self.difference_percent
        return difference is None or abs(difference) <= TOLERANCE_PERCENT


def compare(report: Report, sources: Sequence[SourceImage], truth: NeckTruth) -> tuple[ComparedCsa, ...]:
    """Return every mean CSA and every slice CSA of a report beside the phantom's.

    sources: the images the report outlines. A finding of a level is held against the phantom's own level; one of a
    position, and the whole cord, against the stretch of cord that the report outlines.
    """
    images = {source.series_uid: source.image for source in sources}
    rows = []
    for finding in report.findings:
        image = images.get(finding.series_uid)
        if isinstance(image, Volume) and finding.contour is not None:
            start, stop = _stretch(finding, image, truth, [one for one in report.findings if one is not finding])
            rows += _rows(finding, truth, start=start, stop=stop, at=_positions(finding, image, truth).mean())
    return tuple(rows)


def _rows(finding: Finding, truth: NeckTruth, *, start: float, stop: float, at: float) -> list[ComparedCsa]:
    mean = float(truth.csa_mm2(np.linspace(start, stop, 101)).mean())
    expected = {"csa_mean": mean, "csa_slice": float(truth.csa_mm2(at))}
    words = {"csa_mean": "mean", "csa_slice": "outlined slice"}
    return [
        ComparedCsa(finding.series_uid, finding.site, words[one.key], one.value, expected[one.key], one.reason)
        for one in finding.quantities
        if one.key in expected
    ]


def _stretch(finding: Finding, image: Volume, truth: NeckTruth, others: Sequence[Finding]) -> tuple[float, float]:
    """Return from where to where along the true centre-line a finding reaches, in mm from the top of the cord."""
    if finding.site_level in truth.level_bounds_mm:
        return truth.level_bounds_mm[finding.site_level]
    places = _positions(finding, image, truth)
    if finding.contour is not None and finding.contour.locates_only:
        return float(places.min()), float(places.max())
    middles = [_positions(one, image, truth).mean() for one in others if _is_section(one, finding)]
    if finding.site == WHOLE and middles:
        return min(middles) - HALF_STRETCH_MM, max(middles) + HALF_STRETCH_MM
    return places.mean() - HALF_STRETCH_MM, places.mean() + HALF_STRETCH_MM


def _is_section(one: Finding, of: Finding) -> bool:
    return one.series_uid == of.series_uid and one.contour is not None and not one.contour.locates_only


def _positions(finding: Finding, image: Volume, truth: NeckTruth) -> np.ndarray:
    """Return the positions of the outline's points along the true centre-line."""
    if finding.contour is None:
        raise ValueError("a finding without an outline lies nowhere")
    columns, rows = finding.contour.points.T - 0.5
    indices = np.stack([np.full(columns.size, float(finding.contour.slice_index)), rows, columns], axis=1)
    return truth.position_of(image.to_mm(indices))
