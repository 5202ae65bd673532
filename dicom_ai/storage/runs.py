"""Runs: the report versions of a study, the analyses each is made of, and when one may be reported."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.job import FINISHED, Job, JobKind, JobState
from dicom_ai.domain.run import ON_THE_WAY, Request, RunState, Wanted
from dicom_ai.storage import audit, evidence, holds, jobs, outbox, studies, withdrawals
from dicom_ai.storage.database import lock_study, now
from dicom_ai.storage.holds import HoldKind, NewHold
from dicom_ai.storage.jobs import NewJob
from dicom_ai.storage.tables import JobRow, OutboxRow, RunJobRow, RunRow, StudyRow
from dicom_ai.storage.words import one_of

REPLACED = "newer images or rules replaced it"


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run as an administrator sees it. complete: False when it was reported with what there was."""

    id: int
    study_uid: str
    number: int
    state: RunState
    reason: str
    complete: bool | None
    reported_at: float | None


@dataclass(frozen=True, slots=True)
class Member:
    """An analysis of a run, with its outcome and the rules that asked for it. attempts: the last one's number."""

    job_id: int
    series_uid: str
    model: str
    rule: str
    state: JobState
    attempts: int
    reason: str
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class ReportTask:
    """What a report job reports: the members whose outcome was known when the report began."""

    run_id: int
    study_uid: str
    number: int
    complete: bool
    members: tuple[Member, ...]
    missing: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a run waits. limit_s: after a study has been quiet so long, it is reported with what there is."""

    study_quiet_s: float
    association_stale_s: float
    limit_s: float


def plan(session: Session, study_uid: str, wanted: Sequence[Wanted]) -> int | None:
    """Bring the study's run in line with what routing wants, and queue what is new; return the run's id, if any.

    The same wish again changes nothing. A run that is still collecting takes the change; one that reports or has
    reported is superseded by the next, which keeps the finished analyses of unchanged series.
    """
    lock_study(session, study_uid)
    latest = _latest(session, study_uid)
    digest = _digest(wanted)
    if latest is None and not wanted:
        return None
    if latest is not None and latest.input_digest == digest:
        if latest.state == RunState.COLLECTING:
            _set_members(session, latest, wanted)
        return latest.id
    if latest is None or latest.state != RunState.COLLECTING:
        latest = _next_run(session, study_uid, replaces=latest)
    latest.input_digest, latest.changed_at = digest, now(session)
    _set_members(session, latest, wanted)
    if not wanted:
        latest.state, latest.reason = RunState.SUPERSEDED, "no rule takes a series of the study any more"
    session.flush()
    return latest.id


def begin_due_reports(session: Session, patience: Patience) -> Sequence[int]:
    """Queue the report of every run that may be reported now; return their ids."""
    on_the_way = one_of(RunRow.state, ON_THE_WAY)
    query = sa.select(RunRow).where(on_the_way, RunRow.state == RunState.COLLECTING).order_by(RunRow.id)
    collecting = session.scalars(query)
    return [run.id for run in collecting.all() if _begin_report(session, run, patience)]


def reopen_partial(session: Session) -> Sequence[int]:
    """Begin a new run where a partial report lacked analyses that have all ended since, one at least done."""
    partial = session.scalars(
        sa.select(RunRow).where(RunRow.state == RunState.REPORTED, RunRow.complete.is_(False)).order_by(RunRow.id)
    ).all()
    return [_reopened(session, run) for run in partial if _has_news(session, run)]


def settle_parked(session: Session) -> Sequence[int]:
    """End the runs whose report was parked because it took its worker down; return their ids."""
    runs = session.scalars(
        sa.select(RunRow)
        .join(JobRow, sa.and_(JobRow.run_id == RunRow.id, JobRow.kind == JobKind.REPORT))
        .where(one_of(RunRow.state, ON_THE_WAY), RunRow.state == RunState.REPORTING, JobRow.state == JobState.FAILED)
    ).all()
    for run in runs:
        run.state, run.reason, run.reported_at = RunState.REPORTED, "its report was parked", now(session)
        audit.record(session, "clock", "report parked", f"run {run.id}")
    return [run.id for run in runs]


def report_task(session: Session, run_id: int) -> ReportTask | None:
    """Return what to report; None when the run was superseded meanwhile."""
    run = session.get_one(RunRow, run_id)
    if run.state != RunState.REPORTING:
        return None
    members = [(row.included, _member(row, job)) for row, job in _members(session, run_id)]
    return ReportTask(
        run_id=run.id,
        study_uid=run.study_uid,
        number=run.number,
        complete=bool(run.complete),
        members=tuple(member for included, member in members if included),
        missing=tuple(member for included, member in members if not included),
    )


def reported(session: Session, job: Job, findings: Mapping[str, Any]) -> bool:
    """End the report job and its run together; False, and nothing changes, when either was taken away meanwhile."""
    run = session.scalars(sa.select(RunRow).where(RunRow.id == job.run_id).with_for_update()).one()
    if run.state != RunState.REPORTING or not jobs.finish(session, job, JobState.DONE):
        return False
    run.state, run.reported_at, run.findings = RunState.REPORTED, now(session), dict(findings)
    return True


def hold_version(session: Session, run_id: int, *, most: int) -> None:
    """Hold the results of a run for a person where so many reports of its study have left already."""
    study_uid = session.get_one(RunRow, run_id).study_uid
    earlier = (
        sa.select(RunRow.number)
        .join(OutboxRow, OutboxRow.run_id == RunRow.id)
        .where(RunRow.study_uid == study_uid, RunRow.id != run_id, OutboxRow.state.in_(withdrawals.THERE))
        .distinct()
    )
    left = len(session.scalars(earlier).all())
    if left >= most:
        reason = f"{left} reports of this study have left already; more need a person's word"
        holds.hold(session, NewHold(HoldKind.VERSIONS, study_uid, reason, run_id=run_id), who="reporter")


def close_failed(session: Session, job: Job, reason: str) -> bool:
    """End the report job and its run without a report; False when the job was taken away meanwhile."""
    if not jobs.finish(session, job, JobState.FAILED, reason=reason):
        return False
    run = session.get_one(RunRow, job.run_id)
    run.state, run.reason, run.reported_at = RunState.REPORTED, reason, now(session)
    audit.record(session, "reporter", "report failed", f"run {run.id}", {"reason": reason})
    return True


def all_of(session: Session, study_uid: str) -> Sequence[RunStatus]:
    """Return the runs of a study, oldest first."""
    rows = session.scalars(sa.select(RunRow).where(RunRow.study_uid == study_uid).order_by(RunRow.number))
    return tuple(
        RunStatus(row.id, row.study_uid, row.number, RunState(row.state), row.reason, row.complete, row.reported_at)
        for row in rows
    )


def findings(session: Session, run_id: int) -> Mapping[str, Any]:
    """Return what a run found: {"on": the reported entry, "shadow": that of shadow rules}, as far as there is."""
    return session.get_one(RunRow, run_id).findings or {}


def counts(session: Session) -> Mapping[RunState, int]:
    """Return how many runs there are in each state that occurs."""
    query = sa.select(RunRow.state, sa.func.count()).group_by(RunRow.state)
    return {RunState(state): number for state, number in session.execute(query)}


def _latest(session: Session, study_uid: str) -> RunRow | None:
    return session.scalars(
        sa.select(RunRow)
        .where(RunRow.study_uid == study_uid, RunRow.state != RunState.SUPERSEDED)
        .order_by(RunRow.number.desc())
        .limit(1)
    ).first()


def _digest(wanted: Sequence[Wanted]) -> str:
    lines = sorted(f"{item.series_uid} {item.model} {item.model_digest} {item.input_digest}" for item in wanted)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _next_run(session: Session, study_uid: str, *, replaces: RunRow | None) -> RunRow:
    if replaces is not None:
        _supersede(session, replaces)
    last = session.scalar(sa.select(sa.func.max(RunRow.number)).where(RunRow.study_uid == study_uid))
    run = RunRow(study_uid=study_uid, number=(last or 0) + 1, state=RunState.COLLECTING, input_digest="")
    run.reason = "first images" if replaces is None else REPLACED
    run.created_at = run.changed_at = now(session)
    session.add(run)
    session.flush()
    return run


def _supersede(session: Session, run: RunRow) -> None:
    run.state = RunState.SUPERSEDED
    session.flush()
    cancelled = outbox.cancel(session, run.id)
    holds.lapse(session, run.id, why=REPLACED)
    report_jobs = session.scalars(
        sa.select(JobRow.id).where(JobRow.run_id == run.id, JobRow.kind == JobKind.REPORT)
    ).all()
    jobs.supersede(session, report_jobs, reason=REPLACED)
    audit.record(session, "router", "run superseded", f"run {run.id}", {"cancelled_deliveries": cancelled})


def _set_members(session: Session, run: RunRow, wanted: Sequence[Wanted]) -> None:
    """Make the run consist of what is wanted, and end the study's analyses that nobody wants any more."""
    session.execute(sa.delete(RunJobRow).where(RunJobRow.run_id == run.id))
    wanted_ids = set()
    for item in wanted:
        job_id = jobs.enqueue(session, _analyse_job(run, item))
        wanted_ids.add(job_id)
        requests = [asdict(request) for request in item.requests]
        session.add(RunJobRow(run_id=run.id, job_id=job_id, requests=requests))
    stale = session.scalars(
        sa.select(JobRow.id).where(
            JobRow.study_uid == run.study_uid,
            JobRow.kind == JobKind.ANALYSE,
            JobRow.state != JobState.SUPERSEDED,
            JobRow.id.not_in(wanted_ids),
        )
    ).all()
    jobs.supersede(session, stale, reason=REPLACED)
    session.flush()


def _analyse_job(run: RunRow, item: Wanted) -> NewJob:
    return NewJob(
        kind=JobKind.ANALYSE,
        run_id=run.id,
        study_uid=run.study_uid,
        identity=(item.series_uid, item.model, item.model_digest, item.input_digest),
        series_uid=item.series_uid,
        model=item.model,
        rule=item.requests[0].rule,
        input_digest=item.input_digest,
        priority=item.priority,
        not_before=item.not_before,
    )


def _begin_report(session: Session, run: RunRow, patience: Patience) -> bool:
    """Freeze what is reported, and queue the report, if the time has come."""
    lock_study(session, run.study_uid)
    session.refresh(run)
    if run.state != RunState.COLLECTING or not studies.is_quiet(
        session,
        run.study_uid,
        quiet_s=patience.study_quiet_s,
        stale_s=patience.association_stale_s,
        limit_s=patience.limit_s,
    ):
        return False
    if holds.report_is_held(session, run.study_uid):
        return False
    members = _members(session, run.id)
    complete = all(JobState(job.state) in FINISHED for _, job in members)
    if not complete and now(session) < run.changed_at + patience.study_quiet_s + patience.limit_s:
        return False
    for row, job in members:
        row.included = JobState(job.state) in FINISHED
    run.state, run.complete = RunState.REPORTING, complete
    evidence.note_quiet(session, session.get_one(StudyRow, run.study_uid))
    new = NewJob(JobKind.REPORT, run_id=run.id, study_uid=run.study_uid, identity=(str(run.id),), priority=1000)
    jobs.enqueue(session, new)
    return True


def _has_news(session: Session, run: RunRow) -> bool:
    missing = [JobState(job.state) for row, job in _members(session, run.id) if not row.included]
    return bool(missing) and all(state in FINISHED for state in missing) and JobState.DONE in missing


def _reopened(session: Session, run: RunRow) -> int:
    """Begin the run that takes the place of a partial report, with the same members."""
    lock_study(session, run.study_uid)
    members = [(job.id, row.requests) for row, job in _members(session, run.id)]
    new = _next_run(session, run.study_uid, replaces=run)
    new.input_digest, new.reason = run.input_digest, "analyses that a partial report lacked have ended"
    session.add_all(RunJobRow(run_id=new.id, job_id=job_id, requests=requests) for job_id, requests in members)
    session.flush()
    return new.id


def _members(session: Session, run_id: int) -> Sequence[tuple[RunJobRow, JobRow]]:
    query = (
        sa.select(RunJobRow, JobRow)
        .join(JobRow, JobRow.id == RunJobRow.job_id)
        .where(RunJobRow.run_id == run_id)
        .order_by(JobRow.id)
    )
    return [(row, job) for row, job in session.execute(query)]


def _member(row: RunJobRow, job: JobRow) -> Member:
    return Member(
        job_id=job.id,
        series_uid=job.series_uid,
        model=job.model,
        rule=job.rule,
        state=JobState(job.state),
        attempts=job.attempts,
        reason=job.reason,
        requests=tuple(
            Request(item["rule"], item["shadow"], tuple(item["destinations"]), tuple(item["outputs"]))
            for item in row.requests
        ),
    )
