"""The same levels in an earlier report of ours: CSA then, the change, and what it means.

Only means of the cord by vertebral level are compared. What was measured by position depends on where the image begins.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dicom_ai.analysis.cord import norm_context
from dicom_ai.analysis.measure import Measured
from dicom_ai.analysis.series import SeriesAnalysis
from dicom_ai.dicom.sr_reader import Report
from dicom_ai.domain.findings import Finding, StructureKind
from dicom_ai.domain.model import ModelRepeatability
from dicom_ai.domain.prior import Acquisition, Change, Examination, Maker
from dicom_ai.measurements.csa_plot import CsaCurve
from dicom_ai.measurements.sites import POOLED, SEEN_IN_PART
from dicom_ai.measurements.table import MEASUREMENTS, quantity

_SCANNER = ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber")
_SINCE, _WARNING = "since", "warning: "
_DECIMALS = MEASUREMENTS["csa_change"].decimals
_MAY_COME_FROM_IT = "a change may come from that"


@dataclass(frozen=True, slots=True)
class Earlier:
    """What looking for an earlier report has brought. report: None where there is none to compare with.

    reason: why there is none. failed: nobody knows whether there is one, as when the archive did not answer.
    """

    report: Report | None = field(default=None, repr=False)
    reason: str = ""
    failed: bool = False


FindEarlier = Callable[[Examination], Earlier]
"""Looks for the newest earlier report of the patient of an examination; never raises because an archive fails."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The series of a study beside an earlier report. entry: what findings.json says of it. notes: for the reader."""

    measured: tuple[Measured, ...]
    entry: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    report: Report | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Match:
    """A finding of the earlier report for a finding of now, and in what the two were not made alike."""

    mean_mm2: float
    differences: tuple[str, ...]


def acquisition_of(analysis: SeriesAnalysis) -> Acquisition:
    """Return what a later report will compare of a series; nothing of an image without DICOM headers."""
    if analysis.series is None:
        return Acquisition()
    header = analysis.series.header
    scanner = " ".join(text for keyword in _SCANNER if keyword in header and (text := header[keyword].text))
    return Acquisition(scanner, norm_context(analysis).contrast)


def with_prior(measured: Sequence[Measured], examination: Examination, find: FindEarlier | None) -> Compared:
    """Return the series with each level beside its earlier mean; nobody is asked where no level has a mean CSA."""
    items = tuple(measured)
    comparable = any(_mean(finding) is not None for item in items for finding in item.findings)
    if find is None or not comparable:
        return Compared(items)
    earlier = find(examination)
    if earlier.report is None:
        notes = (f"no comparison with an earlier report: {earlier.reason}",) if earlier.failed else ()
        return Compared(items, {"state": "failed" if earlier.failed else "none", "reason": earlier.reason}, notes)
    compared = tuple(_beside(item, earlier.report) for item in items)
    return Compared(compared, _entry(earlier.report, compared), (_headline(earlier.report, compared),), earlier.report)


def _beside(item: Measured, earlier: Report) -> Measured:
    findings = tuple(_with_change(finding, item, earlier) for finding in item.findings)
    return replace(item, findings=findings, curve=_with_second_line(item.curve, findings, earlier))


def _with_change(finding: Finding, item: Measured, earlier: Report) -> Finding:
    mean = _mean(finding)
    match = _match(finding, item.analysis, earlier)
    if mean is None or match is None:
        return finding
    change_mm2 = round(mean - match.mean_mm2, _DECIMALS)
    numbers = (
        quantity("csa_prior", match.mean_mm2),
        quantity("csa_change", change_mm2),
        quantity("csa_change_percent", 100 * change_mm2 / match.mean_mm2),
    )
    change = meaning(change_mm2, item.analysis.repeatability)
    said = _in_words(change, item.analysis.repeatability, earlier)
    return replace(
        finding,
        quantities=(*finding.quantities, *numbers),
        notes=(*finding.notes, said, *match.differences),
        change=change,
    )


def meaning(change_mm2: float, repeatability: ModelRepeatability | None) -> Change:
    """Return what a change means beside how far two scans of an unchanged cord lie apart."""
    if repeatability is None:
        return Change.UNKNOWN
    if abs(change_mm2) <= round(repeatability.csa_mm2, _DECIMALS):  # both as they are printed
        return Change.WITHIN_ERROR
    return Change.LARGER if change_mm2 > 0 else Change.SMALLER


def _in_words(change: Change, repeatability: ModelRepeatability | None, earlier: Report) -> str:
    since = f"{_SINCE} {_dashed(earlier.study_date)}"
    limit = f"{repeatability.csa_mm2:.{_DECIMALS}f} mm2" if repeatability else ""
    return {
        Change.WITHIN_ERROR: f"change {since} within measurement error (at most {limit})",
        Change.LARGER: f"larger {since} by more than the measurement error ({limit})",
        Change.SMALLER: f"smaller {since} by more than the measurement error ({limit})",
        Change.UNKNOWN: f"change {since}: the measurement error of this model is not known",
    }[change]


def _match(finding: Finding, analysis: SeriesAnalysis, earlier: Report) -> _Match | None:
    """Return the earlier finding that was made most alike; None where there is none of the same site and family."""
    now_made = acquisition_of(analysis)
    found: list[_Match] = []
    for other in earlier.findings:
        mean, maker = _mean(other), earlier.makers.get(other.tracking_uid)
        same_place = (other.site, other.site_level) == (finding.site, finding.site_level)
        if mean and maker and same_place and _is_family(maker, analysis):
            then_made = earlier.acquisitions.get(other.series_uid, Acquisition())
            warnings = (*_differences(now_made, then_made, analysis, maker), *_cut(finding, other))
            found.append(_Match(mean, warnings))
    return min(found, key=lambda match: len(match.differences), default=None)


def _is_family(maker: Maker, analysis: SeriesAnalysis) -> bool:
    return maker.family == analysis.model.family if maker.family else maker.name == analysis.model.name


def _differences(now: Acquisition, then: Acquisition, analysis: SeriesAnalysis, maker: Maker) -> Iterator[str]:
    """Return a warning for each thing beside the cord in which the two examinations differ, or may."""
    for what, mine, theirs in (("scanner", now.scanner, then.scanner), ("contrast", now.contrast, then.contrast)):
        if not mine or not theirs:
            yield f"{_WARNING}it is not known whether the prior has the same {what}"
        elif mine.lower() != theirs.lower():
            yield f"{_WARNING}another {what} than in the prior ({mine} now, {theirs} then): {_MAY_COME_FROM_IT}"
    model = analysis.model
    if (maker.name, maker.version) != (model.name, model.version):
        now_by, then_by = f"{model.name} {model.version}", f"{maker.name} {maker.version}"
        yield f"{_WARNING}another model version than in the prior ({now_by} now, {then_by} then): {_MAY_COME_FROM_IT}"
    elif maker.digest != model.digest:
        yield f"{_WARNING}other weights of {model.name} {model.version} than in the prior: {_MAY_COME_FROM_IT}"


def _cut(now: Finding, then: Finding) -> Iterator[str]:
    """Return a warning where one of two findings is of a part of its level: the two are of different stretches then."""
    cut = [note for one in (now, then) for note in one.notes if note.startswith(SEEN_IN_PART)]
    if cut:
        yield f"{_WARNING}now or then the {cut[0]}: {_MAY_COME_FROM_IT}"


def _with_second_line(curve: CsaCurve | None, findings: Sequence[Finding], earlier: Report) -> CsaCurve | None:
    """Return the curve with the earlier mean of each level that has one."""
    means = {finding.site: _number(finding, "csa_prior") for finding in findings}
    if curve is None or not any(mean is not None for mean in means.values()):
        return curve
    stretches = tuple(replace(one, prior_mm2=means.get(one.name)) for one in curve.stretches)
    return replace(curve, stretches=stretches, prior=f"Orange: mean of each level on {_dashed(earlier.study_date)}.")


def _entry(earlier: Report, compared: Sequence[Measured]) -> Mapping[str, Any]:
    """Return what findings.json says of the prior; UIDs of the archive, no names."""
    notes = list(dict.fromkeys(_notes_of(compared)))
    return {
        "state": "compared" if any(_changed(compared)) else "nothing in common",
        "reason": "",
        "study_uid": earlier.study_uid,
        "series_uid": earlier.series_uid,
        "sop_instance_uid": earlier.sop_instance_uid,
        "study_date": earlier.study_date,
        "models": [{"name": name, "version": version} for name, version in earlier.models],
        "says": [note for note in notes if f"{_SINCE} {_dashed(earlier.study_date)}" in note],
        "warnings": [note for note in notes if note.startswith(_WARNING)],
    }


def _headline(earlier: Report, compared: Sequence[Measured]) -> str:
    sites = list(dict.fromkeys(finding.site for finding in _changed(compared)))
    before = f"the examination of {_dashed(earlier.study_date)}"
    if not sites:
        return f"compared with {before}: no level was measured in both"
    return f"compared with {before} at {', '.join(sites)}"


def _changed(compared: Sequence[Measured]) -> Iterator[Finding]:
    return (finding for item in compared for finding in item.findings if finding.change is not None)


def _notes_of(compared: Sequence[Measured]) -> Iterator[str]:
    return (note for finding in _changed(compared) for note in finding.notes)


def _mean(finding: Finding) -> float | None:
    """Return the mean CSA of a finding that can be compared."""
    by_level = finding.site_level is not None or finding.site == POOLED
    if finding.structure.kind is not StructureKind.SPINAL_CORD or not by_level:
        return None
    return _number(finding, "csa_mean")


def _number(finding: Finding, key: str) -> float | None:
    return next((item.value for item in finding.quantities if item.key == key), None)


def _dashed(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}"
