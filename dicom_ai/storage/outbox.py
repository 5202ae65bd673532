"""The outbox: one row per result object and destination, and whose turn it is to send there.

One sender at a time works for a destination; destinations do not wait for one another. Nothing leaves while images
of its study wait for routing: what they change must be known first. Nothing leaves that a pause or a hold keeps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.result import ResultKind
from dicom_ai.domain.run import RunState
from dicom_ai.storage import audit, holds, pauses, versions
from dicom_ai.storage.database import now
from dicom_ai.storage.tables import DestinationRow, OutboxRow, ResultRow, RunRow, SeriesRow
from dicom_ai.storage.words import one_of


class OutboxState(StrEnum):
    """Where a delivery is. unknown: the answer was lost, it is sent again. refused: the destination will not have it.

    replaced: the destination takes no object of this kind, and another one goes there in its place.
    failed: given up after the longest time. cancelled: a newer report replaced it before it left. withdrawn: it may
    have arrived, and is not sent again, for its patient or study was wrong.
    """

    WAITING = "waiting"
    SENT = "sent"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    REPLACED = "replaced"
    FAILED = "failed"
    CANCELLED = "cancelled"
    WITHDRAWN = "withdrawn"


HOUR_S = 3600
PENDING = (OutboxState.WAITING, OutboxState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One object due at a destination. attempts: those made before. repeated: an earlier one may have arrived."""

    id: int
    kind: ResultKind
    sop_class_uid: str
    sop_instance_uid: str
    path: str
    attempts: int
    queued_at: float
    repeated: bool
    study_uid: str = ""
    run_id: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to send to one destination, until it is given back or its lease runs out."""

    destination: str
    owner: str
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """A destination as an administrator sees it; pending: objects that wait for it; sent_last_hour: that arrived.

    checked: whether it is asked for patient and study before something is sent; "" before the first time.
    """

    name: str
    pending: int
    failures: int
    last_sent_at: float | None
    last_error: str
    sent_last_hour: int
    checked: str


def add(session: Session, *, result_id: int, run_id: int, destination: str) -> None:
    """Queue one object for one destination."""
    at = now(session)
    session.add(
        OutboxRow(
            result_id=result_id,
            run_id=run_id,
            destination=destination,
            state=OutboxState.WAITING,
            attempts=0,
            queued_at=at,
            next_at=at,
            last_error="",
        )
    )
    if session.get(DestinationRow, destination) is None:
        session.add(DestinationRow(name=destination, failures=0, last_error=""))
    session.flush()


def add_once(session: Session, *, result_id: int, run_id: int, destination: str) -> None:
    """Queue one object for one destination, unless that was done before."""
    known = sa.select(OutboxRow.id).where(OutboxRow.result_id == result_id, OutboxRow.destination == destination)
    if session.scalars(known).first() is None:
        add(session, result_id=result_id, run_id=run_id, destination=destination)


def claim(
    session: Session, owner: str, *, known: Sequence[str], lease_s: float, caps: Mapping[str, int] | None = None
) -> Turn | None:
    """Take the turn at the free destination whose objects wait longest, with all its due objects. None without one.

    known: the destinations of the settings; what waits for another stays until it is configured again. caps:
    destination -> objects that may be sent there within an hour; the rest waits.
    """
    at = now(session)
    is_due = _due(session, at)
    due = (
        sa.select(OutboxRow.destination)
        .join(DestinationRow, DestinationRow.name == OutboxRow.destination)
        .where(is_due, OutboxRow.destination.in_(known))
        .where(sa.or_(DestinationRow.lease_until.is_(None), DestinationRow.lease_until < at))
        .group_by(OutboxRow.destination)
        .order_by(sa.func.min(OutboxRow.next_at))
    )
    for destination in session.scalars(due).all():
        most = _left(session, destination, caps or {})
        if most != 0 and _take(session, destination, owner, lease_s=lease_s):
            return Turn(destination, owner, _deliveries(session, destination, is_due, most=most))
    return None


def beat(session: Session, turn: Turn, lease_s: float) -> bool:
    """Keep the turn; False when another sender has it now."""
    return _update_turn(session, turn, lease_until=now(session) + lease_s)


def end(session: Session, turn: Turn) -> None:
    """Give the turn back."""
    _update_turn(session, turn, owner=None, lease_until=None, token_at=None)


def begin_attempt(session: Session, turn: Turn) -> None:
    """Count an attempt for every object of a turn, and call each unknown until its answer is here.

    A sender that is killed between the answer and its record then sends again, and takes "duplicate" for delivered.
    """
    session.execute(
        sa.update(OutboxRow)
        .where(OutboxRow.id.in_([delivery.id for delivery in turn.deliveries]), OutboxRow.state.in_(PENDING))
        .values(state=OutboxState.UNKNOWN, attempts=OutboxRow.attempts + 1)
    )


def sent(session: Session, delivery_id: int) -> None:
    """Note that a destination has an object for certain."""
    row = session.get_one(OutboxRow, delivery_id)
    row.state, row.sent_at, row.last_error = OutboxState.SENT, now(session), ""
    destination = session.get_one(DestinationRow, row.destination)
    destination.failures, destination.last_sent_at, destination.last_error = 0, now(session), ""


def postpone(session: Session, delivery_id: int, *, unknown: bool, next_at: float, error: str) -> None:
    """Note that an object must be sent again later; unknown: it may have arrived nevertheless."""
    row = session.get_one(OutboxRow, delivery_id)
    if row.state not in PENDING:
        return  # cancelled meanwhile
    row.state = OutboxState.UNKNOWN if unknown else OutboxState.WAITING
    if not unknown and session.get_one(RunRow, row.run_id).state == RunState.SUPERSEDED:
        row.state = OutboxState.CANCELLED  # a newer report came while this one was on its way
    row.next_at, row.last_error = next_at, error
    destination = session.get_one(DestinationRow, row.destination)
    destination.failures, destination.last_error = destination.failures + 1, error


def put_back(session: Session, delivery: Delivery) -> None:
    """Note that a claimed object was not sent at all, because something holds it: the attempt does not count."""
    row = session.get_one(OutboxRow, delivery.id)
    if row.state in PENDING:
        row.state = OutboxState.UNKNOWN if delivery.repeated else OutboxState.WAITING
        row.attempts = delivery.attempts


def note_check(session: Session, delivery: Delivery, destination: str, *, said: str, asked: str) -> None:
    """Keep what a destination said of a study before its result was sent, and whether it can be asked at all."""
    session.get_one(OutboxRow, delivery.id).checked = said
    session.get_one(DestinationRow, destination).checked = asked


def hurry(session: Session, turn: Turn) -> None:
    """Let what else waits for a destination go at once: it has just shown that it is back."""
    session.execute(
        sa.update(OutboxRow)
        .where(
            OutboxRow.destination == turn.destination,
            OutboxRow.state.in_(PENDING),
            OutboxRow.next_at > now(session),
            OutboxRow.id.not_in([delivery.id for delivery in turn.deliveries]),
        )
        .values(next_at=now(session))
    )


def stop(session: Session, delivery_id: int, state: OutboxState, *, error: str) -> None:
    """Note that an object will not be sent again: refused by the destination, or given up as failed."""
    row = session.get_one(OutboxRow, delivery_id)
    row.state, row.last_error = state, error
    session.get_one(DestinationRow, row.destination).last_error = error
    subject = f"destination {row.destination}"
    audit.record(session, "sender", f"delivery {state}", subject, {"outbox_id": row.id, "error": error})


def cancel(session: Session, run_id: int) -> int:
    """Cancel what has not left of a run; return how many. What may have arrived is sent to the end, to be certain."""
    result = session.execute(
        sa.update(OutboxRow)
        .where(OutboxRow.run_id == run_id, OutboxRow.state == OutboxState.WAITING)
        .values(state=OutboxState.CANCELLED)
    )
    return cast(sa.CursorResult, result).rowcount


def again(session: Session, delivery_id: int) -> None:
    """Send an object again that was refused or given up, with a new span of retries."""
    row = session.get_one(OutboxRow, delivery_id)
    if row.state not in (OutboxState.REFUSED, OutboxState.FAILED):
        raise ValueError(f"delivery {delivery_id} is {row.state}: only a refused or failed one is sent again")
    row.state, row.attempts, row.queued_at, row.next_at = OutboxState.WAITING, 0, now(session), now(session)


def take_due(session: Session, *, known: Sequence[str], token_gap_s: float) -> int:
    """Return how many destinations have something due and no sender; note that a token goes out for each now."""
    at = now(session)
    rows = session.scalars(
        sa.select(DestinationRow).where(
            DestinationRow.name.in_(known),
            sa.or_(DestinationRow.lease_until.is_(None), DestinationRow.lease_until < at),
            sa.or_(DestinationRow.token_at.is_(None), DestinationRow.token_at <= at - token_gap_s),
            sa.exists().where(OutboxRow.destination == DestinationRow.name, _due(session, at)),
        )
    ).all()
    for row in rows:
        row.token_at = at
    return len(rows)


def owners(session: Session) -> Sequence[str]:
    """Return who has a turn now."""
    return [owner for owner in session.scalars(sa.select(DestinationRow.owner)) if owner]


def release_dead(session: Session, dead_owners: Sequence[str]) -> None:
    """Give back the turns of senders that are known to be gone, so that nobody waits for their leases."""
    session.execute(
        sa.update(DestinationRow)
        .where(DestinationRow.owner.in_(dead_owners))
        .values(owner=None, lease_until=None, token_at=None)
    )


def statuses(session: Session) -> Sequence[DestinationStatus]:
    """Return every destination that ever had an object, with what waits for it."""
    pending = dict(
        session.execute(
            sa.select(OutboxRow.destination, sa.func.count())
            .where(one_of(OutboxRow.state, PENDING))
            .group_by(OutboxRow.destination)
        ).all()
    )
    return tuple(
        DestinationStatus(
            row.name,
            pending.get(row.name, 0),
            row.failures,
            row.last_sent_at,
            row.last_error,
            _sent_last_hour(session, row.name),
            row.checked,
        )
        for row in session.scalars(sa.select(DestinationRow).order_by(DestinationRow.name))
    )


def counts(session: Session) -> Mapping[OutboxState, int]:
    """Return how many deliveries there are in each state that occurs."""
    query = sa.select(OutboxRow.state, sa.func.count()).group_by(OutboxRow.state)
    return {OutboxState(state): number for state, number in session.execute(query)}


def kept_back(session: Session) -> sa.ColumnElement[bool]:
    """Return the condition that a pause or a hold keeps a delivery until a person lets it go."""
    return sa.or_(pauses.holding(session), holds.holding())


def _due(session: Session, at: float) -> sa.ColumnElement[bool]:
    study_is_open = sa.exists().where(
        ResultRow.id == OutboxRow.result_id,
        SeriesRow.study_uid == ResultRow.study_uid,
        SeriesRow.revision != SeriesRow.routed_revision,
    )
    not_compared = sa.exists().where(ResultRow.id == OutboxRow.result_id, *versions.waiting_in(ResultRow.study_uid))
    free = sa.and_(~study_is_open, ~not_compared, ~kept_back(session))
    return sa.and_(one_of(OutboxRow.state, PENDING), OutboxRow.next_at <= at, free)


def _sent_last_hour(session: Session, destination: str) -> int:
    query = sa.select(sa.func.count()).where(
        OutboxRow.destination == destination,
        OutboxRow.sent_at > now(session) - HOUR_S,
    )
    return session.scalar(query) or 0


def _left(session: Session, destination: str, caps: Mapping[str, int]) -> int | None:
    """Return how many objects may still be sent within the hour; None for any number."""
    cap = caps.get(destination, 0)
    return max(cap - _sent_last_hour(session, destination), 0) if cap else None


def _take(session: Session, destination: str, owner: str, *, lease_s: float) -> bool:
    at = now(session)
    result = session.execute(
        sa.update(DestinationRow)
        .where(
            DestinationRow.name == destination,
            sa.or_(DestinationRow.lease_until.is_(None), DestinationRow.lease_until < at),
        )
        .values(owner=owner, lease_until=at + lease_s)
    )
    return cast(sa.CursorResult, result).rowcount == 1


def _deliveries(
    session: Session, destination: str, is_due: sa.ColumnElement[bool], *, most: int | None
) -> tuple[Delivery, ...]:
    query = (
        sa.select(OutboxRow, ResultRow)
        .join(ResultRow, ResultRow.id == OutboxRow.result_id)
        .where(OutboxRow.destination == destination, is_due)
        .order_by(OutboxRow.id)
        .limit(most)
    )
    return tuple(
        Delivery(
            id=row.id,
            kind=ResultKind(result.kind),
            sop_class_uid=result.sop_class_uid or "",
            sop_instance_uid=result.sop_instance_uid,
            path=result.path or "",
            attempts=row.attempts,
            queued_at=row.queued_at,
            repeated=row.state == OutboxState.UNKNOWN,
            study_uid=result.study_uid,
            run_id=row.run_id,
        )
        for row, result in session.execute(query)
    )


def _update_turn(session: Session, turn: Turn, **values: float | str | None) -> bool:
    result = session.execute(
        sa.update(DestinationRow)
        .where(DestinationRow.name == turn.destination, DestinationRow.owner == turn.owner)
        .values(**values)
    )
    return cast(sa.CursorResult, result).rowcount == 1
