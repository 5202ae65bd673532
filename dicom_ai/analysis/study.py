"""One study: join what its series say, measure, and write the SEGs and the SR that go back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydicom.dataset import Dataset

from dicom_ai.analysis.findings_json import finding_entry, model_entry, slice_entry
from dicom_ai.analysis.measure import Measured, measure_study
from dicom_ai.analysis.objects import saved, write_page, write_segs
from dicom_ai.analysis.prior import FindEarlier, acquisition_of, with_prior
from dicom_ai.analysis.series import SeriesAnalysis, SeriesFailure
from dicom_ai.analysis.study_page import study_page
from dicom_ai.analysis.verdict import Doubt, Judged, judge
from dicom_ai.dicom.person import date_of, person_of
from dicom_ai.dicom.sr_writer import Evidence, report_header, write_sr
from dicom_ai.domain.model import ModelReference
from dicom_ai.domain.output import SR_SLOT, Output, output_of
from dicom_ai.domain.prior import Examination
from dicom_ai.domain.result import ResultIdentity, ResultObject
from dicom_ai.domain.study import Series
from dicom_ai.domain.verdict import USUAL, Thresholds
from dicom_ai.measurements.csa_plot import levels_entry


@dataclass(frozen=True, slots=True)
class Terms:
    """What a report is made under. thresholds: from where on a finding is in doubt. find_earlier: None asks nobody.

    levels_from: analyses of the study that lend levels and are not reported here.
    """

    thresholds: Thresholds = USUAL
    find_earlier: FindEarlier | None = None
    levels_from: Sequence[SeriesAnalysis] = ()


USUAL_TERMS = Terms()


@dataclass(frozen=True, slots=True)
class StudyReport:
    """What a run of a study produced. findings: the study's entry in findings.json. doubts: the gravest first."""

    objects: tuple[ResultObject, ...]
    findings: dict = field(repr=False)
    measured: tuple[Measured, ...] = field(repr=False)
    doubts: tuple[Doubt, ...] = ()

    @property
    def found(self) -> bool:
        """Whether a model found what it looks for, in any series."""
        return any(item.analysis.segmentation.segments for item in self.measured)


def report_study(
    analyses: Sequence[SeriesAnalysis],
    failures: Sequence[SeriesFailure],
    *,
    identities: Mapping[str, ResultIdentity],
    out: Path,
    complete: bool,
    terms: Terms = USUAL_TERMS,
) -> StudyReport:
    """Measure a study and write its SEGs and its SR into a folder.

    analyses: the finished series; failures: the routed series that have none. At least one of them has DICOM headers.
    complete: False when the report is made without waiting for every routed series (SR CompletionFlag PARTIAL).
    """
    judged = judge(measure_study(analyses, terms.levels_from), terms.thresholds)
    header = report_header(_evidence(judged.measured, failures, []))
    compared = with_prior(judged.measured, examination_of(header), terms.find_earlier)
    measured = compared.measured
    segs = [seg for item in measured for seg in write_segs(item.analysis, identities, out)]
    evidence = replace(_evidence(measured, failures, segs), earlier=compared.report)
    notes = [*compared.notes, *study_notes(measured, failures)]
    sr = saved(
        write_sr(
            [finding for item in measured for finding in item.findings],
            evidence,
            identity=identities[SR_SLOT],
            models=_models(measured),
            complete=complete,
            notes=notes,
        ),
        identities[SR_SLOT],
        out / "sr.dcm",
    )
    entry = study_entry(replace(judged, measured=measured), failures, (*segs, sr), identities[SR_SLOT], complete)
    entry |= {"notes": notes, "prior": compared.entry}
    pages = write_page(
        study_page(entry, measured, evidence.series, header),
        header,
        identities,
        models=_models(measured),
        sources=evidence.sources,
        out=out,
    )
    entry["objects"] += [_object_entry(item) for item in pages]
    return StudyReport((*segs, sr, *pages), entry, measured, judged.doubts)


def examination_of(header: Dataset) -> Examination:
    """Return which examination of whom a header is of."""
    return Examination(person_of(header), str(header.StudyInstanceUID), date_of(header))


def study_entry(
    judged: Judged,
    failures: Sequence[SeriesFailure],
    objects: Sequence[ResultObject],
    identity: ResultIdentity,
    complete: bool,
) -> dict:
    """Return the study's entry in findings.json."""
    measured = judged.measured
    return {
        "study_uid": _study_uid(measured, failures),
        "run": identity.run,
        "complete": complete,
        "created_at": identity.created_at.isoformat(),
        "verdict": judged.verdict.value,
        "doubts": [_doubt_entry(doubt) for doubt in judged.doubts],
        "notes": study_notes(measured, failures),
        "prior": None,
        "objects": [_object_entry(item) for item in objects],
        "series": [_series_entry(item) for item in measured] + [_failure_entry(item) for item in failures],
    }


def study_notes(measured: Sequence[Measured], failures: Sequence[SeriesFailure]) -> list[str]:
    """Return the sentences that stand above all findings: what was not found, refused, or broke."""
    notes = [f"{item.analysis.model.name}: {note}" for item in measured for note in _notes(item)]
    notes += [f"{item.model}: {item.state}: {item.reason}" for item in failures]
    return list(dict.fromkeys(notes))


def _notes(item: Measured) -> tuple[str, ...]:
    return (*item.analysis.segmentation.notes, *item.analysis.source.warnings, *item.notes)


def _study_uid(measured: Sequence[Measured], failures: Sequence[SeriesFailure]) -> str:
    if measured:
        return measured[0].analysis.source.study_uid
    return next(item.series.study_uid for item in failures if item.series)


def _evidence(
    measured: Sequence[Measured], failures: Sequence[SeriesFailure], segs: Sequence[ResultObject]
) -> Evidence:
    """Return what the report rests on: of the SEGs those that viewers show."""
    return Evidence(
        series=_looked_at(measured, failures),
        sources=[item.analysis.source for item in measured],
        segs=[seg for seg in segs if output_of(seg.identity.slot) in (Output.SEG, Output.XRAY_SEG)],
        models={finding.tracking_uid: item.analysis.model for item in measured for finding in item.findings},
        acquisitions={item.analysis.source.series_uid: acquisition_of(item.analysis) for item in measured},
    )


def _models(measured: Sequence[Measured]) -> list[ModelReference]:
    return list({item.analysis.model: None for item in measured})


def _looked_at(measured: Sequence[Measured], failures: Sequence[SeriesFailure]) -> list[Series]:
    """Return every series of the study once, those that became images first."""
    series = [item.analysis.series for item in measured] + [item.series for item in failures]
    return list({one.series_uid: one for one in series if one is not None}.values())


def _doubt_entry(doubt: Doubt) -> dict:
    return {
        "verdict": doubt.verdict.value,
        "series_uid": doubt.series_uid,
        "site": doubt.site,
        "reason": doubt.reason,
    }


def _object_entry(item: ResultObject) -> dict:
    return {
        "kind": item.identity.kind.value,
        "sop_class_uid": item.sop_class_uid,
        "sop_instance_uid": item.identity.sop_instance_uid,
        "series_uid": item.identity.series_uid,
        "source_series_uid": item.source_series_uid,
    }


def _series_entry(item: Measured) -> dict:
    analysis = item.analysis
    return {
        "series_uid": analysis.source.series_uid,
        "rule": analysis.rule,
        "model": model_entry(analysis.model),
        "state": "done",
        "reason": "",
        "score": round(float(analysis.segmentation.score), 4),
        "seconds": round(analysis.seconds, 3),
        "notes": list(analysis.segmentation.notes) + list(item.notes),
        "warnings": list(analysis.source.warnings),
        "findings": [finding_entry(finding) for finding in item.findings],
        "slices": [slice_entry(one, item.profile) for one in reversed(item.profile.slices)] if item.profile else [],
        "levels_along_cord": levels_entry(item.curve),
    }


def _failure_entry(failure: SeriesFailure) -> dict:
    return {
        "series_uid": failure.series_uid,
        "rule": failure.rule,
        "model": model_entry(ModelReference(failure.model, "", "", "", "")),
        "state": failure.state,
        "reason": failure.reason,
        "score": None,
        "seconds": None,
        "notes": [],
        "warnings": [],
        "findings": [],
        "slices": [],
        "levels_along_cord": None,
    }
