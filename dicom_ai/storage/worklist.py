"""What waits and what failed, as a person works through it: try again, give up, go first."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from dicom_ai.domain.job import JobKind, JobState
from dicom_ai.domain.result import ResultKind
from dicom_ai.domain.run import RunState
from dicom_ai.errors import ConfigError
from dicom_ai.storage import audit, jobs, outbox
from dicom_ai.storage.outbox import PENDING, OutboxState
from dicom_ai.storage.tables import JobRow, OutboxRow, ResultRow, RunJobRow, RunRow
from dicom_ai.storage.words import one_of

HIGHEST, LOWEST = 999, -999
"""Priorities a person may give; reports, at 1000, always go first."""

_OPEN_JOBS = (JobState.RUNNING, JobState.QUEUED)
_NOT_THERE = (OutboxState.REFUSED, OutboxState.FAILED)


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job in a list. due_at: not before then; owner: the worker that has it, "" while nobody has."""

    id: int
    kind: JobKind
    state: JobState
    study_uid: str
    series_uid: str
    model: str
    rule: str
    reason: str
    attempts: int
    priority: int
    created_at: float
    due_at: float
    owner: str


@dataclass(frozen=True, slots=True)
class WaitingDelivery:
    """An object on its way to a destination, or that did not get there. due_at: when it is tried next.

    held: a pause or a hold keeps it, whatever due_at says, until a person lets it go.
    """

    id: int
    destination: str
    kind: ResultKind
    state: OutboxState
    study_uid: str
    attempts: int
    queued_at: float
    due_at: float
    error: str
    held: bool


def open_jobs(session: Session, *, most: int) -> Sequence[WaitingJob]:
    """Return what runs, then what waits in the order in which it is taken."""
    query = sa.select(JobRow).where(JobRow.state.in_(_OPEN_JOBS), JobRow.queue.in_(set(jobs.QUEUES.values())))
    order = (JobRow.state.desc(), JobRow.priority.desc(), JobRow.id)
    return tuple(_job(row) for row in session.scalars(query.order_by(*order).limit(most)))


def failed_jobs(session: Session, *, most: int) -> Sequence[WaitingJob]:
    """Return what broke, newest first."""
    query = sa.select(JobRow).where(JobRow.state == sa.literal_column("'failed'"))  # as its index says
    return tuple(_job(row) for row in session.scalars(query.order_by(JobRow.id.desc()).limit(most)))


def open_deliveries(session: Session, *, most: int, destination: str = "") -> Sequence[WaitingDelivery]:
    """Return what waits for a destination, or for one of them, oldest first."""
    which = sa.and_(one_of(OutboxRow.state, PENDING), _to(destination))
    return _deliveries(session, which, OutboxRow.queued_at, most=most)


def failed_deliveries(session: Session, *, most: int, destination: str = "") -> Sequence[WaitingDelivery]:
    """Return what did not get to its destination, or to one of them, and will not be tried again, newest first."""
    which = sa.and_(one_of(OutboxRow.state, ("failed", "refused")), _to(destination))
    return _deliveries(session, which, OutboxRow.id.desc(), most=most)


def retry_job(session: Session, job_id: int, *, who: str) -> None:
    """Give a refused or failed job another chance; when it is done, a new run reports it. Raises ConfigError."""
    row = _job_row(session, job_id, (JobState.FAILED, JobState.REFUSED))
    jobs.requeue(session, job_id)
    if row.kind == JobKind.REPORT:
        session.get_one(RunRow, row.run_id).state = RunState.REPORTING
    for member, run in _reported_with(session, job_id):
        member.included, run.complete = False, False  # so that the clock reopens the run when the job is done
    audit.record(session, who, "job tried again", f"study {row.study_uid}", {"job": job_id})


def give_up_job(session: Session, job_id: int, *, who: str, why: str) -> None:
    """Make nothing of a job any more; its study is reported without it. Raises ConfigError."""
    row = _job_row(session, job_id, (JobState.QUEUED, JobState.FAILED, JobState.REFUSED))
    jobs.supersede(session, [job_id], reason=f"given up by {who}{f': {why}' if why else ''}")
    audit.record(session, who, "job given up", f"study {row.study_uid}", {"job": job_id})


def prioritise_job(session: Session, job_id: int, priority: int, *, who: str) -> None:
    """Let a waiting job go earlier or later. Raises ConfigError."""
    row = _job_row(session, job_id, (JobState.QUEUED,))
    before, row.priority = row.priority, max(LOWEST, min(priority, HIGHEST))
    detail: audit.Detail = {"job": job_id, "before": before, "after": row.priority}
    audit.record(session, who, "job priority changed", f"study {row.study_uid}", detail)


def retry_delivery(session: Session, delivery_id: int, *, who: str) -> None:
    """Send a refused or failed object again, with a new span of retries. Raises ConfigError."""
    study_uid = _delivery_row(session, delivery_id, _NOT_THERE)
    outbox.again(session, delivery_id)
    audit.record(session, who, "delivery tried again", f"study {study_uid}", {"delivery": delivery_id})


def give_up_delivery(session: Session, delivery_id: int, *, who: str, why: str) -> None:
    """Send an object no more; it no longer counts as a failure. Raises ConfigError."""
    study_uid = _delivery_row(session, delivery_id, (*_NOT_THERE, OutboxState.WAITING))
    row = session.get_one(OutboxRow, delivery_id)
    row.state, row.last_error = OutboxState.CANCELLED, f"given up by {who}{f': {why}' if why else ''}"
    audit.record(session, who, "delivery given up", f"study {study_uid}", {"delivery": delivery_id})


def _job_row(session: Session, job_id: int, allowed: Sequence[JobState]) -> JobRow:
    row = session.scalars(sa.select(JobRow).where(JobRow.id == job_id).with_for_update()).first()
    if row is None or row.state not in allowed:
        words = " or ".join(state.value for state in allowed)
        raise ConfigError(f"job {job_id} is {row.state if row else 'unknown'}: this is for one that is {words}")
    return row


def _delivery_row(session: Session, delivery_id: int, allowed: Sequence[OutboxState]) -> str:
    """Return the study of a delivery in one of some states."""
    row = session.scalars(sa.select(OutboxRow).where(OutboxRow.id == delivery_id).with_for_update()).first()
    if row is None or row.state not in allowed:
        words = " or ".join(state.value for state in allowed)
        raise ConfigError(
            f"delivery {delivery_id} is {row.state if row else 'unknown'}: this is for one that is {words}"
        )
    return session.get_one(ResultRow, row.result_id).study_uid


def _reported_with(session: Session, job_id: int) -> Sequence[tuple[RunJobRow, RunRow]]:
    query = (
        sa.select(RunJobRow, RunRow)
        .join(RunRow, RunRow.id == RunJobRow.run_id)
        .where(RunJobRow.job_id == job_id, RunRow.state == RunState.REPORTED)
    )
    return [(member, run) for member, run in session.execute(query)]


def _to(destination: str) -> sa.ColumnElement[bool]:
    """Return the condition that something is for a destination; "" is any."""
    return OutboxRow.destination == destination if destination else sa.true()


def _deliveries(
    session: Session,
    which: sa.ColumnElement[bool],
    order: InstrumentedAttribute[float] | sa.UnaryExpression[int],
    *,
    most: int,
) -> Sequence[WaitingDelivery]:
    query = sa.select(OutboxRow, ResultRow).join(ResultRow, ResultRow.id == OutboxRow.result_id).where(which)
    rows = session.execute(query.order_by(order).limit(most)).all()
    waiting = [row.id for row, _ in rows if row.state in outbox.PENDING]  # what failed or was refused is not held
    held_ids = sa.select(OutboxRow.id).where(OutboxRow.id.in_(waiting), outbox.kept_back(session))
    held = set(session.scalars(held_ids)) if waiting else set()
    return tuple(
        WaitingDelivery(
            id=row.id,
            destination=row.destination,
            kind=ResultKind(result.kind),
            state=OutboxState(row.state),
            study_uid=result.study_uid,
            attempts=row.attempts,
            queued_at=row.queued_at,
            due_at=row.next_at,
            error=row.last_error,
            held=row.id in held,
        )
        for row, result in rows
    )


def _job(row: JobRow) -> WaitingJob:
    return WaitingJob(
        id=row.id,
        kind=JobKind(row.kind),
        state=JobState(row.state),
        study_uid=row.study_uid,
        series_uid=row.series_uid,
        model=row.model,
        rule=row.rule,
        reason=row.reason,
        attempts=row.attempts,
        priority=row.priority,
        created_at=row.created_at,
        due_at=row.available_at,
        owner=row.owner or "",
    )
