"""A study run whose analyses have ended: SEG and SR objects, and one outbox row per object and destination.

The identities of the objects are saved before anything is written; objects, rows and the end of the run are one
transaction. A crash anywhere between leaves the run as it was, and the next try makes the same objects.

Findings in grave doubt hold the run until a person has looked at it. A report that only says that nothing was found, or
that something failed, leaves the node where the study was ordered as spine; else it is shown in the node.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from pydicom import dcmread

from dicom_ai.analysis import kept
from dicom_ai.analysis.identities import new_identity, plan_identities
from dicom_ai.analysis.objects import saved
from dicom_ai.analysis.prior import FindEarlier
from dicom_ai.analysis.series import SeriesAnalysis, SeriesFailure
from dicom_ai.analysis.study import StudyReport, Terms, report_study
from dicom_ai.dicom.kept_series import read_series
from dicom_ai.dicom.ko_writer import RejectionReason, write_rejection_note
from dicom_ai.dicom.person import person_of
from dicom_ai.dicom.take_over import take_over_identity
from dicom_ai.domain.destination import Destination
from dicom_ai.domain.job import Job, JobState
from dicom_ai.domain.output import SR_SLOT, USUAL_OUTPUTS, note_slot
from dicom_ai.domain.result import ResultIdentity, ResultObject
from dicom_ai.domain.retries import Retries
from dicom_ai.domain.sending import Asked, forms_wanted, places_of
from dicom_ai.domain.study import Series
from dicom_ai.domain.verdict import USUAL, Thresholds, Verdict
from dicom_ai.errors import DicomAiError, RejectedInput, Unavailable
from dicom_ai.measurements import names
from dicom_ai.routing.anatomy_score import ordered_as_spine
from dicom_ai.storage import files, folders, holds, jobs, outbox, results, runs, studies, versions
from dicom_ai.storage.database import Database, Session
from dicom_ai.storage.holds import HoldKind, NewHold
from dicom_ai.storage.runs import Member, ReportTask

NOT_ORDERED = "nothing was found, and the study was not ordered as spine: shown in the node, and not sent"
UNFINISHED = "not finished when the report was due"
RESULTS = "results"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reporter:
    """What a report needs.

    path: file store path -> file. data_dir: below it analyses are kept, and results are written to `results`.
    destinations: by name; all of them where a rule names none. thresholds: from where on a finding is in doubt.
    most_versions: reports of a study that leave without a person. find_earlier: None where no archive is asked.
    """

    database: Database
    path: Callable[[str], Path]
    data_dir: Path
    analyses: Path
    destinations: Mapping[str, Destination]
    retries: Retries
    most_versions: int = 3
    thresholds: Thresholds = USUAL
    find_earlier: FindEarlier | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """What is reported together: what leaves the node, or what only shadow rules asked for. folder: below data_dir."""

    shadow: bool
    members: tuple[Member, ...]
    folder: str

    @property
    def asked(self) -> list[Asked]:
        """What rules ask for, each with its series and model."""
        return [Asked(m.model, m.series_uid, request) for m in self.members for request in m.requests]


def run(reporter: Reporter, job: Job) -> JobState:
    """Do a claimed report and end the claim; return the state the job is in then."""
    try:
        return _report(reporter, job)
    except Unavailable as error:
        return _wait(reporter, job, str(error))
    except OSError as error:
        return _wait(reporter, job, str(files.unavailable(error)))
    except DicomAiError as error:
        return fail(reporter.database, job, str(error))


def fail(database: Database, job: Job, reason: str) -> JobState:
    """End the claim and its run without a report."""
    with database.write() as session:
        held = runs.close_failed(session, job, reason)
    log.error("report failed", job_id=job.id, run_id=job.run_id, reason=reason, held=held)
    return JobState.FAILED


def _report(reporter: Reporter, job: Job) -> JobState:
    with reporter.database.read() as session:
        task = runs.report_task(session, job.run_id)
    if task is None:
        return JobState.SUPERSEDED
    parts = _parts(job, task)
    reports = [(part, _write(reporter, task, part)) for part in parts]
    with reporter.database.write() as session:
        findings: dict[str, Any] = {"shadow" if part.shadow else "on": report.findings for part, report in reports}
        if not runs.reported(session, job, findings):
            return JobState.SUPERSEDED
        for part, report in reports:
            _keep(session, reporter, task, part, report)
        runs.hold_version(session, task.run_id, most=reporter.most_versions)
    log.info("reported", study_uid=task.study_uid, run_id=task.run_id, run=task.number, complete=task.complete)
    return JobState.DONE


def _parts(job: Job, task: ReportTask) -> list[_Part]:
    everyone = (*task.members, *task.missing)
    name = f"{RESULTS}/{task.run_id}/{folders.attempt_name(job.id, job.attempts)}"
    shadow = tuple(member for member in everyone if all(request.shadow for request in member.requests))
    sent = tuple(member for member in everyone if member not in shadow)
    parts = [_Part(False, sent, name), _Part(True, shadow, f"{name}-shadow")]
    return [part for part in parts if part.members]


def _write(reporter: Reporter, task: ReportTask, part: _Part) -> StudyReport:
    series = {member.series_uid: _series(reporter, task.study_uid, member.series_uid) for member in part.members}
    done = [member for member in part.members if member.state is JobState.DONE and member in task.members]
    analyses: list[SeriesAnalysis] = []
    failures = [_failure(member, series[member.series_uid], task) for member in part.members if member not in done]
    for member in done:
        read = series[member.series_uid]
        if isinstance(read, str):
            failures.append(_failure(member, read, task))
            continue
        folder = reporter.analyses / folders.attempt_name(member.job_id, member.attempts)
        analyses.append(kept.load(folder, read))
    with reporter.database.write() as session:
        planned = plan_identities(
            analyses,
            run=task.number,
            created_at=datetime.now(UTC),
            predecessors={} if part.shadow else results.predecessors(session, task.study_uid),
            outputs=USUAL_OUTPUTS if part.shadow else forms_wanted(part.asked, reporter.destinations),
        )
        replaced = {} if part.shadow else _replaced(session, reporter, task, part)
        planned |= {note_slot(name): _note_identity(name, task) for name in replaced}
        identities = results.save_identities(session, task.run_id, planned, shadow=part.shadow)
        newest = versions.newest_path(session, task.study_uid)
    with folders.new_folder(reporter.data_dir / part.folder) as out:
        report = report_study(
            analyses,
            failures,
            identities=identities,
            out=out,
            complete=task.complete,
            terms=Terms(
                reporter.thresholds, _of_person(reporter, newest), _levels_from(reporter, task, part, analyses)
            ),
        )
        notes = [_note(identities[note_slot(name)], objects, report, out) for name, objects in replaced.items()]
        report = replace(report, objects=(*report.objects, *notes))
        replaces = identities[SR_SLOT].predecessor is not None
        if not (report.found or replaces or _ordered_as_spine(analyses, failures)):
            report.findings["kept_here"] = NOT_ORDERED
        for item in report.objects if newest else ():  # a study may have been corrected image by image
            take_over_identity(item.path, reporter.path(newest or ""))
        return report


def _levels_from(
    reporter: Reporter, task: ReportTask, part: _Part, analyses: Sequence[SeriesAnalysis]
) -> Sequence[SeriesAnalysis]:
    """Return what lends its levels to models in shadow that find none: what is reported beside them.

    Without it the CSA of a second model could not be compared level by level.
    """
    if not part.shadow or any(names.VERTEBRAE in one.measurements for one in analyses):
        return ()
    wanted = {one.source.series_uid for one in analyses}
    shadow = {member.job_id for member in part.members}
    lending = []
    for member in task.members if wanted else ():
        if member.job_id in shadow or member.state is not JobState.DONE:
            continue
        read = _series(reporter, task.study_uid, member.series_uid)
        folder = reporter.analyses / folders.attempt_name(member.job_id, member.attempts)
        if not isinstance(read, str):
            lending.append(kept.load(folder, read))
    return [one for one in lending if names.VERTEBRAE in one.measurements]


def _of_person(reporter: Reporter, newest: str | None) -> FindEarlier | None:
    """Return how an earlier report is looked for: of the patient as corrected, where the study was."""
    find = reporter.find_earlier
    if find is None or not newest:
        return find
    person = person_of(dcmread(reporter.path(newest), stop_before_pixels=True))
    return lambda examination: find(replace(examination, person=person))


def _ordered_as_spine(analyses: Sequence[SeriesAnalysis], failures: Sequence[SeriesFailure]) -> bool:
    series = [*(one.series for one in analyses), *(one.series for one in failures)]
    return any(ordered_as_spine(one.header) for one in series if one is not None)


def _series(reporter: Reporter, study_uid: str, series_uid: str) -> Series | str:
    """Return the series, or why it cannot be read any more."""
    with reporter.database.read() as session:
        paths = studies.paths_of(session, study_uid, series_uid)
    try:
        return read_series(study_uid, series_uid, [reporter.path(path) for path in paths])
    except RejectedInput as error:
        return str(error)


def _failure(member: Member, series: Series | str, task: ReportTask) -> SeriesFailure:
    state, reason = member.state.value, member.reason
    if member not in task.members:
        state, reason = JobState.FAILED.value, UNFINISHED
    if isinstance(series, str):
        return SeriesFailure(member.series_uid, member.rule, member.model, JobState.FAILED.value, reason or series)
    return SeriesFailure(member.series_uid, member.rule, member.model, state, reason, series)


def _keep(session: Session, reporter: Reporter, task: ReportTask, part: _Part, report: StudyReport) -> None:
    """Note where the objects lie, queue each for its destinations, and hold them where findings are in grave doubt."""
    for item in report.objects:
        path = f"{part.folder}/{item.path.name}"
        result_id = results.written(session, task.run_id, item, path=path)
        if "kept_here" in report.findings:
            continue
        for destination in sorted(places_of(item.identity.slot, part.asked, reporter.destinations)):
            outbox.add(session, result_id=result_id, run_id=task.run_id, destination=destination)
    reasons = dict.fromkeys(doubt.text for doubt in report.doubts if doubt.verdict is Verdict.HOLD)
    if reasons and not part.shadow:
        new = NewHold(HoldKind.FINDING, task.study_uid, "; ".join(reasons), run_id=task.run_id)
        holds.hold(session, new, who="reporter")


def _replaced(session: Session, reporter: Reporter, task: ReportTask, part: _Part) -> dict[str, Sequence[ResultObject]]:
    """Return, by destination that wants rejection notes, what earlier runs sent there and no note has rejected."""
    wanting = (name for name in reporter.destinations if places_of(note_slot(name), part.asked, reporter.destinations))
    sent = {name: results.sent_before(session, task.run_id, name, reporter.data_dir) for name in wanting}
    return {name: objects for name, objects in sent.items() if objects}


def _note_identity(destination: str, task: ReportTask) -> ResultIdentity:
    return new_identity(note_slot(destination), run=task.number, created_at=datetime.now(UTC))


def _note(identity: ResultIdentity, replaced: Sequence[ResultObject], report: StudyReport, out: Path) -> ResultObject:
    text = f"run {identity.run} of the study replaces what was sent before"
    note = write_rejection_note(
        replaced, identity=identity, reason=RejectionReason.REPLACED, text=text, beside=report.objects
    )
    return saved(note, identity, out / f"note-{identity.sop_instance_uid}.dcm")


def _wait(reporter: Reporter, job: Job, reason: str) -> JobState:
    """Put the report back until disk and database are better; they are no fault of the study."""
    with reporter.database.write() as session:
        state = jobs.wait(session, job, reporter.retries, reason=reason)
    log.warning("report postponed", job_id=job.id, run_id=job.run_id, state=state.value, reason=reason)
    return state
