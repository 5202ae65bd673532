"""What the rows say about the health of the node: who is silent, what waits too long, what did not arrive.

Everything is counted by names of peers, rules, models and destinations; no study, no patient.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from dicom_ai.domain.job import JobState
from dicom_ai.domain.run import RunState
from dicom_ai.storage import holds, pauses
from dicom_ai.storage.database import now
from dicom_ai.storage.jobs import QUEUES, WAITED
from dicom_ai.storage.outbox import PENDING, OutboxState
from dicom_ai.storage.retention import STUCK
from dicom_ai.storage.tables import (
    AssociationRow,
    AssociationStudyRow,
    AttemptRow,
    DecisionRow,
    DestinationRow,
    JobRow,
    OutboxRow,
    RunRow,
    SeriesRow,
    StudyRow,
)
from dicom_ai.storage.watch_tables import ConfirmationRow, DeviceRow
from dicom_ai.storage.words import one_of

HOUR_S = 3600
DAY_S = 86_400
WEEK_S = 7 * DAY_S
IMAGES = ("MR", "CR", "DX")
"""Modalities that the shipped rules look at."""
WEEKS = 4
"""So many past weeks are compared with the present one."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Since when a peer sent nothing. usual_hours: in so many hours of the same span of past weeks it sent."""

    since: float
    usual_hours: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Work that waits: how much, and since when the oldest."""

    number: int
    since: float


@dataclass(frozen=True, slots=True)
class SpineStudies:
    """Studies that show the spine. missed: those that no rule took, not in shadow either."""

    number: int
    missed: int


@dataclass(frozen=True, slots=True)
class Device:
    """What a model runs on in a worker's machine, and what it ran on when that was best."""

    host: str
    model: str
    device: str
    best: str


def silence(session: Session, ae_title: str) -> Silence | None:
    """Return since when a peer that usually sends sent nothing; None for one that is new, or never sent.

    usual_hours: the hours with images in the same span of the weeks before; of three or four weeks the second lowest
    counts, so that one holiday does not matter, of two the lower. With fewer nothing is usual yet.
    """
    at = now(session)
    query = (
        sa.select(AssociationStudyRow.last_at)
        .join(AssociationRow, AssociationRow.id == AssociationStudyRow.association_id)
        .where(AssociationRow.calling_ae_title == ae_title, AssociationStudyRow.last_at > at - (WEEKS + 1) * WEEK_S)
    )
    times = sorted(session.scalars(query))
    if not times:
        return None
    last = times[-1]
    known = [week for week in range(1, WEEKS + 1) if times[0] <= last - week * WEEK_S]
    if len(known) < 2:
        return None
    hours = sorted(len({int(time // HOUR_S) for time in times if last < time + week * WEEK_S <= at}) for week in known)
    return Silence(last, hours[1] if len(known) > 2 else hours[0])


def sender_since(session: Session, since: float) -> str | None:
    """Return the AE title of whoever sent the first image since a time; None while nobody did."""
    query = (
        sa.select(AssociationRow.calling_ae_title)
        .join(AssociationStudyRow, AssociationStudyRow.association_id == AssociationRow.id)
        .where(AssociationStudyRow.last_at >= since)
        .order_by(AssociationStudyRow.last_at)
        .limit(1)
    )
    return session.scalar(query)


def last_hits(session: Session) -> Mapping[str, float]:
    """Return when each rule last took a series; rules that never did are absent."""
    query = (
        sa.select(DecisionRow.rule, sa.func.max(DecisionRow.decided_at))
        .where(DecisionRow.taken)
        .group_by(DecisionRow.rule)
    )
    return {rule: at for rule, at in session.execute(query)}


def studies_without_result(session: Session, *, overdue_s: float) -> int:
    """Return how many studies of the last two weeks a rule that is on took, of which nothing arrived anywhere.

    Left out: what a person holds or paused, and reports that were not meant to be sent.
    """
    at = now(session)
    of_study = RunRow.study_uid == StudyRow.study_uid
    taken = sa.exists().where(
        DecisionRow.study_uid == StudyRow.study_uid, DecisionRow.taken, DecisionRow.shadow.is_(False)
    )
    arrived = sa.exists().where(of_study, OutboxRow.run_id == RunRow.id, OutboxRow.state == OutboxState.SENT)
    reported = sa.exists().where(of_study, RunRow.state == RunState.REPORTED)
    held = sa.select(OutboxRow.id).where(sa.or_(holds.holding(), pauses.holding(session)))
    stays = sa.exists().where(
        of_study, OutboxRow.run_id == RunRow.id, OutboxRow.state.in_((*PENDING, *STUCK)), OutboxRow.id.not_in(held)
    )
    query = sa.select(sa.func.count()).where(
        StudyRow.last_received_at.between(at - 2 * WEEK_S, at - overdue_s), taken, ~arrived, sa.or_(~reported, stays)
    )
    return session.scalar(query) or 0


def spine_studies(session: Session, *, since: float, until: float) -> SpineStudies:
    """Return how many studies of a time show the spine, by their headers, and how many of them no rule took.

    Left out: studies that a brake kept from being analysed.
    """
    of_study = DecisionRow.study_uid == StudyRow.study_uid
    shows_spine = sa.exists().where(
        SeriesRow.study_uid == StudyRow.study_uid,
        SeriesRow.modality.in_(IMAGES),
        _fact("region").as_string() == "spine",
        *(_fact(name).as_boolean().is_not(True) for name in ("localizer", "derived", "screenshot")),
    )
    taken = sa.exists().where(of_study, DecisionRow.taken)
    braked = sa.exists().where(of_study, sa.cast(DecisionRow.reasons, sa.Text).contains("brakes.", autoescape=True))
    query = sa.select(sa.func.count(), sa.func.count().filter(~taken)).where(
        StudyRow.last_received_at.between(since, until), shows_spine, ~braked
    )
    number, missed = session.execute(query.select_from(StudyRow)).one()
    return SpineStudies(number, missed)


def _fact(name: str) -> Any:
    """Return what was derived about a series (routing/candidate.py), for a query."""
    return SeriesRow.derived[("facts", name, 0)]


def queues(session: Session) -> Mapping[str, Waiting]:
    """Return what waits for a worker, by queue: analyses (gpu), reports (io), and series for routing."""
    at = now(session)
    jobs = sa.select(JobRow.queue, sa.func.count(), sa.func.min(JobRow.available_at)).where(
        JobRow.queue.in_(set(QUEUES.values())), JobRow.state == JobState.QUEUED, JobRow.available_at <= at
    )
    waiting = {queue: Waiting(number, since) for queue, number, since in session.execute(jobs.group_by(JobRow.queue))}
    unrouted = sa.select(sa.func.count(), sa.func.min(SeriesRow.last_received_at)).where(
        sa.text("series.revision <> series.routed_revision")  # as the partial index has it, so that it is used
    )
    number, since = session.execute(unrouted).one()
    return waiting | {"routing": Waiting(number, since)} if number else waiting


def failing_destinations(session: Session) -> Mapping[str, Waiting]:
    """Return the destinations whose last answers were failures, with what waits for them."""
    query = (
        sa.select(OutboxRow.destination, sa.func.count(), sa.func.min(OutboxRow.queued_at))
        .join(DestinationRow, DestinationRow.name == OutboxRow.destination)
        .where(DestinationRow.failures > 0, OutboxRow.attempts > 0, one_of(OutboxRow.state, PENDING))
        .group_by(OutboxRow.destination)
    )
    return {name: Waiting(number, since) for name, number, since in session.execute(query)}


def stuck(session: Session, *, since: float) -> Mapping[str, int]:
    """Return how many results of reports made since a time no try will deliver, by destination."""
    query = (
        sa.select(OutboxRow.destination, sa.func.count())
        .where(OutboxRow.state.in_(STUCK), OutboxRow.queued_at >= since)
        .group_by(OutboxRow.destination)
    )
    return {name: number for name, number in session.execute(query)}


def doubtful(session: Session, *, since: float) -> Mapping[str, int]:
    """Return how many delivered results a destination does not vouch for, found since a time, by destination."""
    query = (
        sa.select(OutboxRow.destination, sa.func.count())
        .join(ConfirmationRow, ConfirmationRow.outbox_id == OutboxRow.id)
        .where(ConfirmationRow.state == "refused", ConfirmationRow.changed_at >= since)
        .group_by(OutboxRow.destination)
    )
    return {name: number for name, number in session.execute(query)}


def failed_jobs(session: Session, *, since: float) -> Mapping[str, int]:
    """Return how many jobs broke since a time, by model; reports under "report"."""
    query = (
        sa.select(JobRow.model, sa.func.count())
        .where(JobRow.state == JobState.FAILED, JobRow.finished_at >= since)
        .group_by(JobRow.model)
    )
    return {model or "report": number for model, number in session.execute(query)}


def held_up(session: Session) -> Mapping[str, int]:
    """Return what jobs wait for that has nothing to do with their studies, and how many do.

    A job counts when the same kept it from being done twice in a row: once may be the blink of an eye.
    """
    last, before = aliased(AttemptRow), aliased(AttemptRow)
    query = (
        sa.select(JobRow.reason, sa.func.count())
        .join(last, sa.and_(last.job_id == JobRow.id, last.number == JobRow.attempts))
        .join(before, sa.and_(before.job_id == JobRow.id, before.number == JobRow.attempts - 1))
        .where(JobRow.state == JobState.QUEUED, last.outcome == WAITED, before.outcome == WAITED)
        .group_by(JobRow.reason)
    )
    return {reason: number for reason, number in session.execute(query)}


def note_devices(session: Session, host: str, devices: Mapping[str, str], *, wanted: str) -> None:
    """Note what the models of a machine run on now. wanted: the setting; a CPU that was asked for is no loss."""
    for model, device in devices.items():
        row = session.get(DeviceRow, (host, model))
        if row is None:
            row = DeviceRow(host=host, model=model, device="", best="", since=0.0)
            session.add(row)
        if row.device != device:
            row.device, row.since = device, now(session)
        if wanted == "cpu" or not row.best or _is_gpu(device):
            row.best = device
    session.flush()


def devices(session: Session) -> Sequence[Device]:
    """Return what every model runs on, by machine."""
    rows = session.scalars(sa.select(DeviceRow).order_by(DeviceRow.host, DeviceRow.model)).all()
    return tuple(Device(row.host, row.model, row.device, row.best) for row in rows)


def lost_devices(session: Session) -> Sequence[Device]:
    """Return the models that run on less than before, or not at all."""
    return tuple(
        item
        for item in devices(session)
        if item.device.startswith("refused") or (_is_gpu(item.best) and not _is_gpu(item.device))
    )


def _is_gpu(device: str) -> bool:
    return device.upper().startswith("CUDA")
