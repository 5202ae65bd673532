"""The cord of a study: each series that shows it, what is withheld on it, and which series wins where two show it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from dicom_ai.analysis.series import SeriesAnalysis
from dicom_ai.domain.findings import Finding, StructureKind, VertebraLabel
from dicom_ai.domain.image import Volume
from dicom_ai.domain.study import Header
from dicom_ai.measurements.canal import ascor_by_slice
from dicom_ai.measurements.cord_exclusions import without_cauda, without_metal
from dicom_ai.measurements.cord_findings import Surroundings, cord_findings
from dicom_ai.measurements.csa_plot import CsaCurve, NormalBand, Stretch, curve_of
from dicom_ai.measurements.norm_findings import with_norms
from dicom_ai.measurements.norms import NormalRange, NormContext, Withheld, normal_range
from dicom_ai.measurements.preferred_cord import PreferredCord
from dicom_ai.measurements.sites import sites_by_level
from dicom_ai.measurements.spinal_cord_csa import CordProfile, measure_cord
from dicom_ai.routing.geometry import plane_of
from dicom_ai.routing.sequences import sequence_facts

MEASUREMENT = "spinal_cord_csa"
"""The name in a model's manifest."""

CONTRASTS: Mapping[str, str] = {"T2": "T2w", "T1": "T1w", "T2*": "T2*w"}
"""Contrast family of a series -> as cohorts are named; others keep their own name."""

_AGE_UNITS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_AGE_AGREES_YEARS = 1.5


@dataclass(frozen=True, slots=True)
class CordSeries:
    """A series in which a cord was found, measured slice by slice. levels: the vertebrae that serve it."""

    analysis: SeriesAnalysis
    image: Volume = field(repr=False)
    profile: CordProfile = field(repr=False)
    levels: Sequence[VertebraLabel] = field(repr=False)

    @property
    def across(self) -> bool:
        """Whether the source slices cut the cord across."""
        return abs(float(self.image.directions[:, 0] @ self.profile.cord.directions[:, 0])) > 0.8

    @property
    def name(self) -> str:
        """What people call the series: its number where it has one, and its plane."""
        header = self.analysis.series.header if self.analysis.series else {}
        number = header["SeriesNumber"].text if "SeriesNumber" in header else ""
        row, column = self.image.directions[:, 2].tolist(), self.image.directions[:, 1].tolist()
        return f"series {number or '…' + self.analysis.source.series_uid[-8:]} ({plane_of(row, column)})"


@dataclass(frozen=True, slots=True)
class MeasuredCord:
    """The cord of one series, ready for a report. curve: None where no slice has a CSA."""

    findings: tuple[Finding, ...] = field(repr=False)
    profile: CordProfile = field(repr=False)
    curve: CsaCurve | None = field(repr=False)
    notes: tuple[str, ...]


def cord_series(analysis: SeriesAnalysis, levels: Sequence[VertebraLabel]) -> CordSeries | None:
    """Measure the cord of a series by itself; None where the model does not measure one or found none."""
    segmentation, image = analysis.segmentation, analysis.source.image
    if MEASUREMENT not in analysis.measurements or not isinstance(image, Volume):
        return None
    if segmentation.soft is None or not segmentation.segments:
        return None
    profile = measure_cord(image.with_voxels(segmentation.soft))
    profile = without_cauda(without_metal(profile, image), levels)
    return CordSeries(analysis, image, profile, levels)


def measured_cord(
    cord: CordSeries, all_cords: Sequence[CordSeries], analyses: Sequence[SeriesAnalysis]
) -> MeasuredCord:
    """Return the findings of a series' cord beside what the other series of the study show."""
    others = [other for other in all_cords if other is not cord]
    profile = _with_way_out(cord, others)
    surroundings = Surroundings(
        () if cord.across else tuple(PreferredCord(other.name, other.profile) for other in _preferred(cord, others)),
        _ascor(cord, analyses),
    )
    analysis = cord.analysis
    found = cord_findings(analysis.source, analysis.segmentation, profile, cord.levels, surroundings)
    context = norm_context(analysis)
    normed = with_norms(found, context)
    withheld = tuple(dict.fromkeys(reason for reason in (profile.csa_withheld, profile.ap_withheld) if reason))
    notes = (*withheld, *normed.notes)
    return MeasuredCord(normed.findings, profile, _curve(profile, cord.levels, context), notes)


def norm_context(analysis: SeriesAnalysis) -> NormContext:
    """Return what decides whether a series may be set beside healthy people; a NIfTI file tells nothing of it."""
    if analysis.series is None:
        return NormContext("", None, analysis.offset)
    contrast = str(sequence_facts(analysis.series)["contrast"].value or "")
    return NormContext(CONTRASTS.get(contrast, contrast), age_years(analysis.series.header), analysis.offset)


def age_years(header: Header) -> float | None:
    """Return the age at the examination; None where it is not said, or said twice and differently."""
    stated, counted = _stated_age(header), _counted_age(header)
    if stated is not None and counted is not None and abs(stated - counted) > _AGE_AGREES_YEARS:
        return None
    return counted if counted is not None else stated


def _stated_age(header: Header) -> float | None:
    match = re.fullmatch(r"(\d{3})([DWMY])", _text(header, "PatientAge"))
    return int(match.group(1)) * _AGE_UNITS[match.group(2)] if match else None


def _counted_age(header: Header) -> float | None:
    born, seen = _date(_text(header, "PatientBirthDate")), _date(_text(header, "StudyDate"))
    return (seen - born).days / 365.25 if born and seen and seen >= born else None


def _date(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8])) if re.fullmatch(r"\d{8}", text) else None
    except ValueError:
        return None


def _text(header: Header, keyword: str) -> str:
    return header[keyword].text if keyword in header else ""


def _with_way_out(cord: CordSeries, others: Sequence[CordSeries]) -> CordProfile:
    """Return the profile; where its voxels allow no CSA, the reason also names the series of the study that do."""
    profile = cord.profile
    if not profile.csa_withheld:
        return profile
    names = sorted({other.name for other in others if not other.profile.csa_withheld and other.profile.slices})
    found = f"{' and '.join(names)} of this study" if names else "no series of this study in which the cord was found"
    return replace(profile, csa_withheld=f"{profile.csa_withheld}; {found} does")


def _preferred(cord: CordSeries, others: Sequence[CordSeries]) -> list[CordSeries]:
    """Return the series that cut the cord across, allow a CSA, and lie in the same frame of reference."""
    frame = cord.image.frame_of_reference_uid
    return [
        other
        for other in others
        if other.across and not other.profile.csa_withheld and frame and other.image.frame_of_reference_uid == frame
    ]


def _ascor(cord: CordSeries, analyses: Sequence[SeriesAnalysis]) -> Mapping[int, float]:
    """Return aSCOR by slice, with the canal that any model found in the same series."""
    if cord.profile.csa_withheld:
        return {}
    for item in analyses:
        if item.source.series_uid != cord.analysis.source.series_uid:
            continue
        # What a model calls canal may or may not hold what it calls cord: both together are the canal.
        numbers = {segment.structure.kind: segment.number for segment in item.segmentation.segments}
        if StructureKind.SPINAL_CANAL in numbers:
            canal = item.segmentation.labels == numbers[StructureKind.SPINAL_CANAL]
            return ascor_by_slice(cord.profile, cord.image.with_voxels(canal))
    return {}


def _curve(profile: CordProfile, levels: Sequence[VertebraLabel], context: NormContext) -> CsaCurve | None:
    """Return what is drawn of a profile: its levels with the healthy range, or the reason why there is none."""
    sites = [site for site in sites_by_level(profile, levels) if site.level]
    ranges = {site.name: normal_range(site.level or "", context) for site in sites}
    stretches = [Stretch(site.name, site.start_mm, site.stop_mm, _band(ranges[site.name])) for site in sites]
    return curve_of(profile, stretches, normal=_about(list(ranges.values())))


def _band(found: NormalRange | Withheld) -> NormalBand | None:
    if not isinstance(found, NormalRange):
        return None
    return NormalBand(*(round(value, 1) for value in (found.low_mm2, found.mean_mm2, found.high_mm2)))


def _about(ranges: Sequence[NormalRange | Withheld]) -> str:
    """Return the sentence under the picture."""
    cohorts = dict.fromkeys(one.cohort.described() for one in ranges if isinstance(one, NormalRange))
    if cohorts:
        return f"Green: mean and middle 95 % of {'; '.join(cohorts)}; shifted by this model's own offset."
    reasons = dict.fromkeys(one.reason for one in ranges if isinstance(one, Withheld))
    if reasons:
        return f"No range of healthy people: {'; '.join(reasons)}."
    return "No range of healthy people: no vertebral level is known."
