"""One study: join what its series say, measure, and write the SEGs and the SR that go back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from dicom_ai.analysis.findings_json import finding_entry, model_entry, slice_entry
from dicom_ai.analysis.measure import Measured, measure_study
from dicom_ai.analysis.series import SeriesAnalysis, SeriesFailure
from dicom_ai.dicom.seg_writer import write_seg
from dicom_ai.dicom.sr_writer import Evidence, write_sr
from dicom_ai.dicom.uids import new_uid
from dicom_ai.domain.model import ModelReference
from dicom_ai.domain.result import ResultIdentity, ResultKind, ResultObject
from dicom_ai.domain.study import Series

SERIES_NUMBER = {ResultKind.SEG: 9100, ResultKind.SR: 9001}
"""SeriesNumber of the first object of a kind: far above what scanners use, so results sort last."""

SR_SLOT = "sr"


@dataclass(frozen=True, slots=True)
class StudyReport:
    """What a run of a study produced. findings: the study's entry in findings.json."""

    objects: tuple[ResultObject, ...]
    findings: dict = field(repr=False)
    measured: tuple[Measured, ...] = field(repr=False)


def seg_slot(analysis: SeriesAnalysis) -> str:
    """Return the slot of a series' SEG: the same for every run of the study."""
    return f"seg:{analysis.model.name}:{analysis.source.series_uid}"


def plan_identities(
    analyses: Sequence[SeriesAnalysis],
    *,
    run: int,
    created_at: datetime,
    predecessors: Mapping[str, tuple[str, str, str]] | None = None,
) -> dict[str, ResultIdentity]:
    """Return new identities, by slot, for every object that a run may write; save them before writing.

    predecessors: slot -> (study, series, SOP instance UID) of what an earlier run sent.
    """
    before = predecessors or {}
    segs = [seg_slot(analysis) for analysis in analyses if analysis.segmentation.segments]

    def identity(slot: str, kind: ResultKind, offset: int) -> ResultIdentity:
        return ResultIdentity(
            kind=kind,
            series_uid=new_uid(),
            sop_instance_uid=new_uid(),
            series_number=SERIES_NUMBER[kind] + offset,
            run=run,
            created_at=created_at,
            predecessor=before.get(slot),
            slot=slot,
        )

    planned = [identity(SR_SLOT, ResultKind.SR, 0)]
    planned += [identity(slot, ResultKind.SEG, offset) for offset, slot in enumerate(segs)]
    return {item.slot: item for item in planned}


def report_study(
    analyses: Sequence[SeriesAnalysis],
    failures: Sequence[SeriesFailure],
    *,
    identities: Mapping[str, ResultIdentity],
    out: Path,
    complete: bool,
) -> StudyReport:
    """Measure a study and write its SEGs and its SR into a folder.

    analyses: the finished series; failures: the routed series that have none. At least one of them has DICOM headers.
    complete: False when the report is made without waiting for every routed series (SR CompletionFlag PARTIAL).
    """
    measured = measure_study(analyses)
    segs = [_written_seg(item.analysis, identities, out) for item in measured if item.analysis.segmentation.segments]
    sr = _written_sr(measured, failures, segs, identity=identities[SR_SLOT], out=out, complete=complete)
    objects = (*segs, sr)
    return StudyReport(objects, study_entry(measured, failures, objects, identities[SR_SLOT], complete), measured)


def study_entry(
    measured: Sequence[Measured],
    failures: Sequence[SeriesFailure],
    objects: Sequence[ResultObject],
    identity: ResultIdentity,
    complete: bool,
) -> dict:
    """Return the study's entry in findings.json."""
    return {
        "study_uid": _study_uid(measured, failures),
        "run": identity.run,
        "complete": complete,
        "created_at": identity.created_at.isoformat(),
        "notes": study_notes(measured, failures),
        "objects": [
            {
                "kind": item.identity.kind.value,
                "sop_class_uid": item.sop_class_uid,
                "sop_instance_uid": item.identity.sop_instance_uid,
                "series_uid": item.identity.series_uid,
                "source_series_uid": item.source_series_uid,
            }
            for item in objects
        ],
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


def _written_seg(analysis: SeriesAnalysis, identities: Mapping[str, ResultIdentity], out: Path) -> ResultObject:
    identity = identities[seg_slot(analysis)]
    if analysis.series is None:
        raise ValueError("a SEG needs the headers of its series")
    dataset = write_seg(
        analysis.series, analysis.source, analysis.segmentation, identity=identity, model=analysis.model
    )
    number = identity.series_number - SERIES_NUMBER[ResultKind.SEG] + 1
    path = out / f"{analysis.model.name}-{number}-seg.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return ResultObject(identity, str(dataset.SOPClassUID), dataset.StudyInstanceUID, analysis.source.series_uid, path)


def _written_sr(
    measured: Sequence[Measured],
    failures: Sequence[SeriesFailure],
    segs: Sequence[ResultObject],
    *,
    identity: ResultIdentity,
    out: Path,
    complete: bool,
) -> ResultObject:
    evidence = Evidence(
        series=_looked_at(measured, failures),
        sources=[item.analysis.source for item in measured],
        segs=segs,
        models={finding.tracking_uid: item.analysis.model for item in measured for finding in item.findings},
    )
    dataset = write_sr(
        [finding for item in measured for finding in item.findings],
        evidence,
        identity=identity,
        models=list({item.analysis.model: None for item in measured}),
        complete=complete,
        notes=study_notes(measured, failures),
    )
    path = out / "sr.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return ResultObject(identity, str(dataset.SOPClassUID), dataset.StudyInstanceUID, "", path)


def _looked_at(measured: Sequence[Measured], failures: Sequence[SeriesFailure]) -> list[Series]:
    """Return every series of the study once, those that became images first."""
    series = [item.analysis.series for item in measured] + [item.series for item in failures]
    return list({one.series_uid: one for one in series if one is not None}.values())


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
        "slices": [slice_entry(one) for one in reversed(item.profile.slices)] if item.profile else [],
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
    }
