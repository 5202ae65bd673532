"""What each model has done: its jobs of late, how long they took, and the runs in which two saw the same study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.job import JobKind, JobState
from dicom_ai.domain.run import RunState
from dicom_ai.storage.database import now
from dicom_ai.storage.jobs import QUEUES
from dicom_ai.storage.tables import AttemptRow, JobRow, RunJobRow, RunRow

DAY_S = 86_400
LATELY_DAYS = 7


@dataclass(frozen=True, slots=True)
class Work:
    """What a model did in the last LATELY_DAYS days, by state, and what waits for it now. typical_s: median time."""

    by_state: Mapping[str, int]
    waiting: int
    last_at: float | None
    typical_s: float | None


@dataclass(frozen=True, slots=True)
class ModelRun:
    """One analysis that has ended. seconds: of its last attempt."""

    study_uid: str
    series_uid: str
    state: JobState
    reason: str
    rule: str
    ended_at: float
    seconds: float | None


@dataclass(frozen=True, slots=True)
class SharedRun:
    """A reported run in which two models had jobs. findings: as runs.findings has them."""

    study_uid: str
    number: int
    reported_at: float
    findings: Mapping[str, Any] = field(repr=False)


def work_of(session: Session, model: str) -> Work:
    """Return what a model did lately."""
    since = now(session) - LATELY_DAYS * DAY_S
    ended = sa.select(JobRow.state, sa.func.count()).where(*_of(model), JobRow.finished_at >= since)
    by_state = {str(state): number for state, number in session.execute(ended.group_by(JobRow.state))}
    runs = last_runs(session, model, most=50)
    times = [run.seconds for run in runs if run.seconds and run.state is JobState.DONE]
    last_at = runs[0].ended_at if runs else None
    return Work(by_state, _waiting(session, model), last_at, median(times) if times else None)


def _waiting(session: Session, model: str) -> int:
    """Return how many analyses wait for a model; the queue is short, all that a model ever did is not."""
    queued = sa.select(JobRow.model, sa.func.count()).where(
        JobRow.queue == QUEUES[JobKind.ANALYSE], JobRow.state == JobState.QUEUED
    )
    return {name: number for name, number in session.execute(queued.group_by(JobRow.model))}.get(model, 0)


def last_runs(session: Session, model: str, *, most: int) -> Sequence[ModelRun]:
    """Return the analyses that ended last, newest first."""
    jobs = session.scalars(
        sa.select(JobRow)
        .where(*_of(model), JobRow.finished_at.is_not(None))
        .order_by(JobRow.finished_at.desc(), JobRow.id.desc())
        .limit(most)
    ).all()
    attempts = session.scalars(sa.select(AttemptRow).where(AttemptRow.job_id.in_([job.id for job in jobs])))
    took = {row.job_id: row.ended_at - row.started_at for row in attempts if row.ended_at is not None}
    return tuple(
        ModelRun(
            job.study_uid,
            job.series_uid,
            JobState(job.state),
            job.reason,
            job.rule,
            job.finished_at or 0.0,
            took.get(job.id),
        )
        for job in jobs
    )


def shared_runs(session: Session, one: str, other: str, *, most: int) -> Sequence[SharedRun]:
    """Return the newest reported runs in which both of two models had jobs, newest first."""
    rows = session.scalars(
        sa.select(RunRow)
        .where(RunRow.state == RunState.REPORTED, _has(one), _has(other))
        .order_by(RunRow.reported_at.desc(), RunRow.id.desc())
        .limit(most)
    )
    return tuple(SharedRun(row.study_uid, row.number, row.reported_at or 0.0, row.findings or {}) for row in rows)


def _has(model: str) -> sa.ColumnElement[bool]:
    return sa.exists().where(RunJobRow.run_id == RunRow.id, JobRow.id == RunJobRow.job_id, JobRow.model == model)


def _of(model: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (JobRow.model == model, JobRow.kind == JobKind.ANALYSE)
