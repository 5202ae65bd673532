"""Jobs: queued once by key, claimed with a lease, finished once by whoever still holds them.

A lease that runs out means that the worker died; the sweep puts the job back, and parks one that has taken down too
many workers. Every finish is fenced: it counts only while the same claim still holds the job.

Each point of priority is worth POINT_S of waiting. So what is more urgent goes first, and whatever has waited long
enough goes before what is urgent and has just come: nothing waits for ever.
"""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.job import FINISHED, NEXT, Job, JobKind, JobState
from dicom_ai.domain.retries import Retries
from dicom_ai.storage.database import now
from dicom_ai.storage.tables import AttemptRow, JobRow

QUEUES: dict[JobKind, str] = {JobKind.ANALYSE: "gpu", JobKind.REPORT: "io"}
"""Kind of job -> the queue its workers listen to. Sending is not a job: see outbox.py."""

LONGEST_WAIT_S = 300.0
"""What waits for disk, database or a model folder looks at least so often whether it is back."""

POINT_S = 60.0
"""A job with one point more of priority is done as if it had been queued so much earlier."""

STOPPED = "its worker stopped"

RETRY, WAITED = "retry", "waited"
"""How an attempt ended that is made again: the work may be the cause, or the world was and none of its tries is used.
"""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to queue. identity: what makes it the same work as another; with the kind it becomes the key."""

    kind: JobKind
    run_id: int
    study_uid: str
    identity: tuple[str, ...]
    series_uid: str = ""
    model: str = ""
    rule: str = ""
    input_digest: str = ""
    priority: int = 0
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job as an administrator sees it. lost: how often its worker died while holding it."""

    id: int
    kind: JobKind
    state: JobState
    study_uid: str
    series_uid: str
    model: str
    rule: str
    reason: str
    attempts: int
    lost: int


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: jobs put back in their queue, and jobs parked as failed."""

    requeued: tuple[int, ...]
    parked: tuple[int, ...]


def enqueue(session: Session, new: NewJob) -> int:
    """Queue a job and return its id; work that is queued, running or finished already keeps its job.

    Work whose job was superseded, and is wanted again, gets a new job.
    """
    generation = 0
    while known := _by_key(session, key := _key(new, generation)):
        if known.state != JobState.SUPERSEDED:
            known.priority = max(known.priority, new.priority)
            return known.id
        generation += 1
    row = JobRow(
        kind=new.kind,
        queue=QUEUES[new.kind],
        key=key,
        run_id=new.run_id,
        study_uid=new.study_uid,
        series_uid=new.series_uid,
        model=new.model,
        rule=new.rule,
        input_digest=new.input_digest,
        priority=new.priority,
        state=JobState.QUEUED,
        reason="",
        attempts=0,
        lost=0,
        available_at=max(now(session), new.not_before),
        created_at=now(session),
    )
    session.add(row)
    session.flush()
    return row.id


def claim_next(session: Session, queue: str, owner: str, lease_s: float) -> Job | None:
    """Take the due job of a queue that comes first by priority and waiting time; None when nothing is due.

    The attempt is counted here, before any work is done.
    """
    at = now(session)
    row = session.scalars(
        sa.select(JobRow)
        .where(JobRow.queue == queue, JobRow.state == JobState.QUEUED, JobRow.available_at <= at)
        .order_by(JobRow.created_at - JobRow.priority * POINT_S, JobRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if row is None:
        return None
    _check_move(JobState(row.state), JobState.RUNNING)
    row.state, row.owner, row.lease_until, row.attempts = JobState.RUNNING, owner, at + lease_s, row.attempts + 1
    session.add(AttemptRow(job_id=row.id, number=row.attempts, owner=owner, started_at=at))
    session.flush()
    return Job(
        id=row.id,
        kind=JobKind(row.kind),
        run_id=row.run_id,
        attempts=row.attempts,
        owner=owner,
        series_uid=row.series_uid,
        model=row.model,
        rule=row.rule,
    )


def heartbeat(session: Session, job: Job, lease_s: float) -> bool:
    """Extend the lease of a claim; False when the job was taken away meanwhile."""
    return _update_claimed(session, job, lease_until=now(session) + lease_s)


def finish(session: Session, job: Job, state: JobState, *, reason: str = "") -> bool:
    """End a claim as done, refused or failed; False, and nothing changes, when the job was taken away meanwhile."""
    _check_move(JobState.RUNNING, state)
    held = _update_claimed(
        session, job, state=state, reason=reason, owner=None, lease_until=None, finished_at=now(session)
    )
    if held:
        _end_attempt(session, job.id, job.attempts, state)
    return held


def retry(session: Session, job: Job, retries: Retries, *, reason: str) -> JobState:
    """Put back a claimed job that may itself be why it did not succeed, as often as retries allow; then it failed.

    Returns the state it is in then; SUPERSEDED, and nothing changes, when it was taken away meanwhile.
    """
    tries = _ended_so(session, job, RETRY) + 1
    if tries < retries.maximum:
        held = _put_back(session, job, RETRY, delay_s=retries.delay_s(tries), reason=reason)
        return JobState.QUEUED if held else JobState.SUPERSEDED
    held = finish(session, job, JobState.FAILED, reason=f"given up after {tries} tries: {reason}")
    return JobState.FAILED if held else JobState.SUPERSEDED


def wait(session: Session, job: Job, retries: Retries, *, reason: str) -> JobState:
    """Put back a claimed job until the world is better: disk, database, model folder. It is tried for ever.

    Returns the state it is in then; SUPERSEDED, and nothing changes, when it was taken away meanwhile.
    """
    delay_s = min(retries.delay_s(_ended_so(session, job, WAITED) + 1), LONGEST_WAIT_S)
    held = _put_back(session, job, WAITED, delay_s=delay_s, reason=reason)
    return JobState.QUEUED if held else JobState.SUPERSEDED


def lose(session: Session, job: Job, *, maximum_lost: int, reason: str) -> JobState:
    """Note that a claimed job took its process down: put it back, or park it; return the state it is in then.

    SUPERSEDED, and nothing changes, when the job was taken away meanwhile.
    """
    if not _update_claimed(session, job, lease_until=None):
        return JobState.SUPERSEDED
    row = session.scalars(sa.select(JobRow).where(JobRow.id == job.id).execution_options(populate_existing=True)).one()
    _lose(session, row, maximum_lost=maximum_lost, reason=reason)
    session.flush()
    return JobState(row.state)


def spare(session: Session, lease_s: float, *, dead_owners: Sequence[str]) -> int:
    """Give workers whose lease ran out while nobody could have seen them alive another one; return how many jobs.

    dead_owners: those that are known to be gone get none.
    """
    at = now(session)
    result = session.execute(
        sa.update(JobRow)
        .where(JobRow.state == JobState.RUNNING, JobRow.lease_until < at, JobRow.owner.not_in(dead_owners))
        .values(lease_until=at + lease_s)
    )
    return cast(sa.CursorResult, result).rowcount


def sweep(session: Session, *, maximum_lost: int, dead_owners: Sequence[str] = ()) -> Swept:
    """Put back the jobs whose lease ran out or whose owner is known to be dead; park those lost too often.

    dead_owners: owners that a restarted machine knows to be gone, so that it need not wait for their leases.
    """
    gone = sa.or_(JobRow.lease_until < now(session), JobRow.owner.in_(dead_owners))
    rows = session.scalars(
        sa.select(JobRow).where(JobRow.state == JobState.RUNNING, gone).with_for_update(skip_locked=True)
    ).all()
    requeued: list[int] = []
    parked: list[int] = []
    for row in rows:
        _lose(session, row, maximum_lost=maximum_lost, reason=STOPPED)
        (requeued if row.state == JobState.QUEUED else parked).append(row.id)
    session.flush()
    return Swept(tuple(requeued), tuple(parked))


def owners(session: Session) -> Sequence[str]:
    """Return who holds a job now."""
    return [
        owner
        for owner in session.scalars(sa.select(JobRow.owner).where(JobRow.state == JobState.RUNNING).distinct())
        if owner
    ]


def release(session: Session, owner: str) -> int:
    """Put back what a worker holds, when it stops in order: nothing counts as lost. Return how many."""
    rows = session.scalars(sa.select(JobRow).where(JobRow.owner == owner, JobRow.state == JobState.RUNNING)).all()
    for row in rows:
        _end_attempt(session, row.id, row.attempts, "released")
        row.state, row.owner, row.lease_until, row.token_at = JobState.QUEUED, None, None, None
    session.flush()
    return len(rows)


def take_due(session: Session, *, token_gap_s: float) -> Mapping[str, int]:
    """Return how many jobs are due per queue, and note that a token goes out for each of them now.

    A job whose token went out less than token_gap_s ago is not counted again.
    """
    at = now(session)
    rows = session.scalars(
        sa.select(JobRow)
        .where(
            JobRow.state == JobState.QUEUED,
            JobRow.available_at <= at,
            sa.or_(JobRow.token_at.is_(None), JobRow.token_at <= at - token_gap_s),
        )
        .with_for_update(skip_locked=True)
    ).all()
    due: dict[str, int] = {}
    for row in rows:
        row.token_at = at
        due[row.queue] = due.get(row.queue, 0) + 1
    return due


def supersede(session: Session, job_ids: Sequence[int], *, reason: str) -> None:
    """Say that newer images have replaced these jobs; whoever runs one finds its claim gone."""
    for row in session.scalars(sa.select(JobRow).where(JobRow.id.in_(job_ids), JobRow.state != JobState.SUPERSEDED)):
        _check_move(JobState(row.state), JobState.SUPERSEDED)
        if row.state == JobState.RUNNING:
            _end_attempt(session, row.id, row.attempts, "superseded")
        row.state, row.reason, row.owner, row.lease_until = JobState.SUPERSEDED, reason, None, None
        row.finished_at = row.finished_at or now(session)
    session.flush()


def requeue(session: Session, job_id: int) -> None:
    """Give a refused or failed job another chance, with its counts at zero."""
    row = session.get_one(JobRow, job_id)
    _check_move(JobState(row.state), JobState.QUEUED)
    row.state, row.reason, row.lost, row.finished_at, row.token_at = JobState.QUEUED, "", 0, None, None
    row.available_at = now(session)


def study_of(session: Session, job: Job) -> str:
    """Return the study a job belongs to."""
    return session.get_one(JobRow, job.id).study_uid


def all_of(session: Session, study_uid: str) -> Sequence[JobStatus]:
    """Return every job of a study, oldest first."""
    rows = session.scalars(sa.select(JobRow).where(JobRow.study_uid == study_uid).order_by(JobRow.id))
    return tuple(
        JobStatus(
            id=row.id,
            kind=JobKind(row.kind),
            state=JobState(row.state),
            study_uid=row.study_uid,
            series_uid=row.series_uid,
            model=row.model,
            rule=row.rule,
            reason=row.reason,
            attempts=row.attempts,
            lost=row.lost,
        )
        for row in rows
    )


def counts(session: Session) -> Mapping[JobState, int]:
    """Return how many jobs there are in each state that occurs."""
    query = sa.select(JobRow.state, sa.func.count()).group_by(JobRow.state)
    return {JobState(state): number for state, number in session.execute(query)}


def finishes(session: Session) -> Mapping[int, int]:
    """Return how often each job was ended as done, refused or failed; anything but 1 is a fault."""
    query = (
        sa.select(AttemptRow.job_id, sa.func.count())
        .where(AttemptRow.outcome.in_([state.value for state in FINISHED - {JobState.SUPERSEDED}]))
        .group_by(AttemptRow.job_id)
    )
    return {job_id: number for job_id, number in session.execute(query)}


def _ended_so(session: Session, job: Job, outcome: str) -> int:
    """Return how many attempts ended so since the job was queued, or a person gave it another chance."""
    query = sa.select(AttemptRow.outcome).where(AttemptRow.job_id == job.id).order_by(AttemptRow.number.desc())
    since = itertools.takewhile(lambda ended: ended not in FINISHED, session.scalars(query))
    return sum(ended == outcome for ended in since)


def _put_back(session: Session, job: Job, outcome: str, *, delay_s: float, reason: str) -> bool:
    held = _update_claimed(
        session,
        job,
        state=JobState.QUEUED,
        reason=reason,
        owner=None,
        lease_until=None,
        available_at=now(session) + delay_s,
        token_at=None,
    )
    if held:
        _end_attempt(session, job.id, job.attempts, outcome)
    return held


def _key(new: NewJob, generation: int) -> str:
    parts = (new.kind, new.study_uid, *new.identity, str(generation))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _by_key(session: Session, key: str) -> JobRow | None:
    return session.scalars(sa.select(JobRow).where(JobRow.key == key)).first()


def _check_move(before: JobState, after: JobState) -> None:
    if after not in NEXT[before]:
        raise ValueError(f"a job does not go from {before} to {after}")


def _lose(session: Session, row: JobRow, *, maximum_lost: int, reason: str) -> None:
    _end_attempt(session, row.id, row.attempts, "lost")
    row.lost += 1
    row.owner = row.lease_until = row.token_at = None
    if row.lost < maximum_lost:
        row.state, row.reason = JobState.QUEUED, reason
    else:
        row.state, row.finished_at = JobState.FAILED, now(session)
        row.reason = f"parked after taking down {row.lost} workers; the last time: {reason}"


def _update_claimed(session: Session, job: Job, **values: Any) -> bool:
    """Change a job's row only while this very claim holds it."""
    result = session.execute(
        sa.update(JobRow)
        .where(
            JobRow.id == job.id,
            JobRow.owner == job.owner,
            JobRow.attempts == job.attempts,
            JobRow.state == JobState.RUNNING,
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return cast(sa.CursorResult, result).rowcount == 1


def _end_attempt(session: Session, job_id: int, number: int, outcome: str) -> None:
    session.execute(
        sa.update(AttemptRow)
        .where(AttemptRow.job_id == job_id, AttemptRow.number == number, AttemptRow.ended_at.is_(None))
        .values(ended_at=now(session), outcome=outcome)
    )
