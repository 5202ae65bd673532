"""Confirmations: whether a destination vouches for what it took.

A delivery that was sent has no row at first. It gets one when the destination is asked, and ends confirmed, refused (it
says that it does not have the object), or unconfirmed (it cannot be asked, or does not answer). A report of storage
commitment may come hours later, and counts whatever was found out meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.run import RunState
from dicom_ai.storage import audit
from dicom_ai.storage.database import now
from dicom_ai.storage.outbox import OutboxState
from dicom_ai.storage.tables import OutboxRow, ResultRow, RunRow
from dicom_ai.storage.watch_tables import ConfirmationRow

LONGEST_S = 30 * 86_400
"""What was sent longer ago and was never asked for, is not any more."""

FAILURES: Mapping[int, str] = {
    0x0110: "processing failure",
    0x0112: "it does not have the object",
    0x0119: "it has the UID as an object of another class",
    0x0122: "it does not take objects of this class",
    0x0131: "the transaction UID was used before",
    0x0213: "it has no resources now",
}
"""Failure Reason (0008,1197) of storage commitment (PS3.3 C.14.1.1)."""

FOR_NOW = frozenset({0x0110, 0x0131, 0x0213})
"""Failures after which it is asked again."""


class Confirmation(StrEnum):
    """What is known. sent: the destination took it, and was perhaps asked. See the module."""

    SENT = "sent"
    CONFIRMED = "confirmed"
    UNCONFIRMED = "unconfirmed"
    REFUSED = "refused"


class Way(StrEnum):
    """How a destination was asked. none: not yet, or it has to be asked anew."""

    NONE = ""
    COMMITMENT = "commitment"
    C_FIND = "c-find"
    QIDO = "qido"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Sought:
    """A delivered object to ask for. tries: those made before. way: how it was last asked for. sent_at: in seconds."""

    delivery_id: int
    destination: str
    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    sent_at: float
    tries: int
    way: Way


@dataclass(frozen=True, slots=True)
class ConfirmationStatus:
    """One delivery as an administrator sees it."""

    delivery_id: int
    destination: str
    study_uid: str
    sop_instance_uid: str
    state: Confirmation
    way: Way
    reason: str


def due(session: Session, *, known: Sequence[str], most: int) -> Sequence[Sought]:
    """Return what has to be asked for now, the oldest first. known: the destinations of the settings."""
    at = now(session)
    sent = (
        sa.select(OutboxRow, ResultRow, ConfirmationRow)
        .join(ResultRow, ResultRow.id == OutboxRow.result_id)
        .where(OutboxRow.state == OutboxState.SENT, OutboxRow.destination.in_(known))
        .order_by(OutboxRow.id)
        .limit(most)
    )
    of_delivery = ConfirmationRow.outbox_id == OutboxRow.id
    new = sent.join(ConfirmationRow, of_delivery, isouter=True).where(
        ConfirmationRow.outbox_id.is_(None), OutboxRow.sent_at > at - LONGEST_S
    )
    again = sent.join(ConfirmationRow, of_delivery).where(
        ConfirmationRow.state == Confirmation.SENT, ConfirmationRow.next_at <= at
    )
    found = [_sought(*row) for query in (new, again) for row in session.execute(query)]
    return tuple(sorted(found, key=lambda item: item.delivery_id)[:most])


def asked(session: Session, sought: Sequence[Sought], *, transaction_uid: str, next_at: float) -> None:
    """Note, before it is done, that storage commitment is asked for. next_at: when to go on without a report."""
    for item in sought:
        row = _row(session, item.delivery_id)
        row.state, row.way, row.transaction_uid = Confirmation.SENT, Way.COMMITMENT, transaction_uid
        row.asked_at, row.next_at, row.changed_at = now(session), next_at, now(session)
    session.flush()


def postpone(session: Session, sought: Sequence[Sought], *, next_at: float, reason: str) -> None:
    """Note that nothing was found out, and when to ask again."""
    for item in sought:
        row = _row(session, item.delivery_id)
        if row.state == Confirmation.SENT:
            # The transaction stays: its report may come after all.
            row.way, row.tries = item.way, item.tries + 1
            row.next_at, row.changed_at, row.reason = next_at, now(session), reason
    session.flush()


def settle(session: Session, delivery_id: int, state: Confirmation, *, way: Way, reason: str = "") -> None:
    """Note what was found out."""
    row = _row(session, delivery_id)
    row.state, row.way, row.reason, row.changed_at = state, way, reason, now(session)
    session.flush()
    if state is Confirmation.REFUSED:
        destination = session.get_one(OutboxRow, delivery_id).destination
        detail: audit.Detail = {"outbox_id": delivery_id, "way": way.value, "error": reason}
        audit.record(session, "node", "delivery not confirmed", f"destination {destination}", detail)


def reported(
    session: Session,
    transaction_uid: str,
    *,
    committed: Sequence[str],
    failed: Mapping[str, int],
    next_at: float,
) -> int:
    """Note a report of storage commitment: SOP instance UIDs, those that failed with their reason.

    Return how many deliveries it concerned; 0 for a transaction that is not ours. next_at: when to ask again for what
    failed for now.
    """
    query = (
        sa.select(ConfirmationRow, ResultRow.sop_instance_uid)
        .join(OutboxRow, OutboxRow.id == ConfirmationRow.outbox_id)
        .join(ResultRow, ResultRow.id == OutboxRow.result_id)
        .where(ConfirmationRow.transaction_uid == transaction_uid)
    )
    known = session.execute(query).all() if transaction_uid else []
    for row, uid in known:
        if uid in failed:
            _failed(session, row, failed[uid], next_at)
        elif uid in committed:
            settle(session, row.outbox_id, Confirmation.CONFIRMED, way=Way.COMMITMENT)
    session.flush()
    return len(known)


def again(session: Session, *, who: str) -> int:
    """Ask once more for everything that was refused or is unconfirmed; return how much that is."""
    rows = session.scalars(_doubtful()).all()
    for row in rows:
        row.state, row.way, row.transaction_uid, row.reason = Confirmation.SENT, Way.NONE, None, ""
        row.tries, row.next_at, row.changed_at = 0, now(session), now(session)
    audit.record(session, who, "confirmation asked again", "destination all", {"deliveries": len(rows)})
    session.flush()
    return len(rows)


def resend(session: Session, *, who: str) -> int:
    """Send once more what a destination took and does not have; return how much that is."""
    rows = session.scalars(sa.select(ConfirmationRow).where(ConfirmationRow.state == Confirmation.REFUSED)).all()
    for row in rows:
        delivery = session.get_one(OutboxRow, row.outbox_id)
        delivery.state, delivery.attempts = OutboxState.WAITING, 0
        delivery.queued_at = delivery.next_at = now(session)
        session.delete(row)
    audit.record(session, who, "sent again", "destination all", {"deliveries": len(rows)})
    session.flush()
    return len(rows)


def counts(session: Session) -> Mapping[str, Mapping[Confirmation, int]]:
    """Return how many delivered objects there are in each state that occurs, by destination."""
    state = sa.func.coalesce(ConfirmationRow.state, Confirmation.SENT.value)
    query = (
        sa.select(OutboxRow.destination, state, sa.func.count())
        .join(ConfirmationRow, ConfirmationRow.outbox_id == OutboxRow.id, isouter=True)
        .where(OutboxRow.state == OutboxState.SENT)
        .group_by(OutboxRow.destination, state)
        .order_by(OutboxRow.destination)
    )
    found: dict[str, dict[Confirmation, int]] = {}
    for destination, word, number in session.execute(query):
        found.setdefault(destination, {})[Confirmation(word)] = number
    return found


def doubtful(session: Session, *, most: int) -> Sequence[ConfirmationStatus]:
    """Return the newest deliveries that a destination refused to vouch for, or could not be asked about."""
    query = _statuses().where(ConfirmationRow.state.in_((Confirmation.REFUSED, Confirmation.UNCONFIRMED)))
    return tuple(_status(*row) for row in session.execute(query.limit(most)))


def states(session: Session, study_uid: str) -> frozenset[Confirmation]:
    """Return which states the delivered objects of a study are in, of reports that no newer one replaced.

    What was never asked for, and sent so long ago that nobody asks any more, counts as unconfirmed.
    """
    query = (
        sa.select(ConfirmationRow.state, OutboxRow.sent_at)
        .select_from(OutboxRow)
        .join(RunRow, RunRow.id == OutboxRow.run_id)
        .join(ConfirmationRow, ConfirmationRow.outbox_id == OutboxRow.id, isouter=True)
        .where(RunRow.study_uid == study_uid, RunRow.state != RunState.SUPERSEDED, OutboxRow.state == OutboxState.SENT)
    )
    found = set()
    for state, sent_at in session.execute(query):
        asked = (sent_at or 0.0) > now(session) - LONGEST_S
        found.add(Confirmation(state or (Confirmation.SENT if asked else Confirmation.UNCONFIRMED)))
    return frozenset(found)


def changed_at(session: Session, study_uid: str) -> float:
    """Return when something was last found out about a delivered object of a study; 0 without any."""
    query = (
        sa.select(sa.func.max(ConfirmationRow.changed_at))
        .join(OutboxRow, OutboxRow.id == ConfirmationRow.outbox_id)
        .join(RunRow, RunRow.id == OutboxRow.run_id)
        .where(RunRow.study_uid == study_uid)
    )
    return session.scalar(query) or 0.0


def of_study(session: Session, study_uid: str) -> Sequence[ConfirmationStatus]:
    """Return what is known of each delivered object of a study, newest first."""
    return tuple(_status(*row) for row in session.execute(_statuses().where(ResultRow.study_uid == study_uid)))


def _failed(session: Session, row: ConfirmationRow, code: int, next_at: float) -> None:
    reason = f"storage commitment failed: {FAILURES.get(code, 'no reason that the standard knows')} (0x{code:04X})"
    if code in FOR_NOW:
        row.state, row.way, row.transaction_uid = Confirmation.SENT, Way.NONE, None
        row.tries, row.next_at, row.changed_at, row.reason = row.tries + 1, next_at, now(session), reason
    else:
        settle(session, row.outbox_id, Confirmation.REFUSED, way=Way.COMMITMENT, reason=reason)


def _row(session: Session, delivery_id: int) -> ConfirmationRow:
    row = session.get(ConfirmationRow, delivery_id)
    if row is None:
        row = ConfirmationRow(outbox_id=delivery_id, state=Confirmation.SENT, way=Way.NONE, tries=0, reason="")
        row.next_at = row.changed_at = now(session)
        session.add(row)
    return row


def _doubtful() -> sa.Select[ConfirmationRow]:
    return sa.select(ConfirmationRow).where(ConfirmationRow.state.in_((Confirmation.REFUSED, Confirmation.UNCONFIRMED)))


def _sought(delivery: OutboxRow, result: ResultRow, row: ConfirmationRow | None) -> Sought:
    return Sought(
        delivery_id=delivery.id,
        destination=delivery.destination,
        study_uid=result.study_uid,
        series_uid=result.series_uid,
        sop_class_uid=result.sop_class_uid or "",
        sop_instance_uid=result.sop_instance_uid,
        sent_at=delivery.sent_at or 0.0,
        tries=row.tries if row else 0,
        way=Way(row.way) if row else Way.NONE,
    )


def _statuses() -> Any:
    return (
        sa.select(OutboxRow, ResultRow, ConfirmationRow)
        .join(ResultRow, ResultRow.id == OutboxRow.result_id)
        .join(ConfirmationRow, ConfirmationRow.outbox_id == OutboxRow.id, isouter=True)
        .where(OutboxRow.state == OutboxState.SENT)
        .order_by(OutboxRow.id.desc())
    )


def _status(delivery: OutboxRow, result: ResultRow, row: ConfirmationRow | None) -> ConfirmationStatus:
    return ConfirmationStatus(
        delivery_id=delivery.id,
        destination=delivery.destination,
        study_uid=result.study_uid,
        sop_instance_uid=result.sop_instance_uid,
        state=Confirmation(row.state) if row else Confirmation.SENT,
        way=Way(row.way) if row else Way.NONE,
        reason=row.reason if row else "",
    )
