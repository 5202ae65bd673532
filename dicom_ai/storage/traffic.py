"""What goes to each destination: what waits and why, what did not arrive, what took another's place; and its trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.output import output_of
from dicom_ai.storage import audit, outbox
from dicom_ai.storage.database import now
from dicom_ai.storage.neighbour_tables import TrialRow
from dicom_ai.storage.outbox import PENDING, DestinationStatus, OutboxState
from dicom_ai.storage.tables import DestinationRow, OutboxRow, ResultRow

DAY_S = 86_400
LATELY_DAYS = 30
NOT_THERE = (OutboxState.FAILED, OutboxState.REFUSED)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What goes to a destination. held: of what waits, what a pause or a hold keeps until a person lets it go.

    next_at: when something is tried next, None while nothing waits but what is held.
    not_there: objects that are not there and are not tried again. sent: arrived in the last LATELY_DAYS days.
    replaced: output -> objects of it in these days in whose place another form went there.
    """

    waiting: int
    held: int
    next_at: float | None
    not_there: int
    sent: int
    replaced: Mapping[str, int]
    status: DestinationStatus | None

    @property
    def state(self) -> str:
        """One word: failing, reached, or not tried."""
        if self.status is None:
            return "not tried"
        return "failing" if self.status.failures else "reached" if self.status.last_sent_at else "not tried"


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of the last trial of one kind. said: (whether it works, the sentence, the output it is about)."""

    kind: str
    at: float
    who: str
    said: tuple[tuple[bool, str, str], ...]

    @property
    def ok(self) -> bool:
        """Whether everything works."""
        return all(ok for ok, _, _ in self.said)


class Sentence(Protocol):
    """One sentence of a trial, as destinations.trials says it."""

    @property
    def ok(self) -> bool:
        """Whether it works."""

    @property
    def says(self) -> str:
        """The sentence."""

    @property
    def output(self) -> str:
        """The form of results it is about; "" for none."""


def of_destination(session: Session, name: str) -> Traffic:
    """Return what goes to one destination."""
    since = now(session) - LATELY_DAYS * DAY_S
    counted = dict(
        session.execute(
            sa.select(OutboxRow.state, sa.func.count()).where(OutboxRow.destination == name).group_by(OutboxRow.state)
        ).all()
    )
    pending = sa.and_(OutboxRow.destination == name, OutboxRow.state.in_(PENDING))
    kept_back = outbox.kept_back(session)
    held = sa.select(sa.func.count(OutboxRow.id)).where(pending, kept_back)
    next_at = sa.select(sa.func.min(OutboxRow.next_at)).where(pending, ~kept_back)
    sent = sa.select(sa.func.count()).where(
        OutboxRow.destination == name, OutboxRow.state == OutboxState.SENT, OutboxRow.sent_at >= since
    )
    status = next((item for item in outbox.statuses(session) if item.name == name), None)
    return Traffic(
        waiting=sum(counted.get(state, 0) for state in PENDING),
        held=session.scalar(held) or 0,
        next_at=session.scalar(next_at),
        not_there=sum(counted.get(state, 0) for state in NOT_THERE),
        sent=session.scalar(sent) or 0,
        replaced=_replaced(session, name, since=since),
        status=status,
    )


def waiting(session: Session, name: str) -> int:
    """Return how many results wait for a destination."""
    query = sa.select(sa.func.count()).where(OutboxRow.destination == name, OutboxRow.state.in_(PENDING))
    return session.scalar(query) or 0


def give_up(session: Session, name: str, *, who: str, why: str) -> int:
    """Send nothing of what waits for a destination; return how much that was."""
    result = session.execute(
        sa.update(OutboxRow)
        .where(OutboxRow.destination == name, OutboxRow.state.in_(PENDING))
        .values(state=OutboxState.CANCELLED, last_error=f"given up by {who}{f': {why}' if why else ''}")
    )
    number = cast(sa.CursorResult, result).rowcount
    audit.record(session, who, "deliveries given up", f"destination {name}", {"deliveries": number, "why": why})
    return number


def forget(session: Session, name: str) -> None:
    """Drop the state of a destination that was removed, unless something waits for it or a sender has its turn."""
    if waiting(session, name):
        return
    is_free = sa.or_(DestinationRow.lease_until.is_(None), DestinationRow.lease_until < now(session))
    session.execute(sa.delete(DestinationRow).where(DestinationRow.name == name, is_free))


def send_again(session: Session, name: str, *, who: str) -> int:
    """Send what a destination refused, or what was given up after the longest time, with a new span of retries."""
    ids = session.scalars(
        sa.select(OutboxRow.id).where(OutboxRow.destination == name, OutboxRow.state.in_(NOT_THERE))
    ).all()
    for delivery_id in ids:
        outbox.again(session, delivery_id)
    if ids:
        audit.record(session, who, "deliveries tried again", f"destination {name}", {"deliveries": len(ids)})
    return len(ids)


def try_now(session: Session, name: str, *, who: str) -> int:
    """Let what waits for its next try go at once: somebody has mended the destination."""
    result = session.execute(
        sa.update(OutboxRow)
        .where(OutboxRow.destination == name, OutboxRow.state.in_(PENDING), OutboxRow.next_at > now(session))
        .values(next_at=now(session))
    )
    number = cast(sa.CursorResult, result).rowcount
    if number:
        audit.record(session, who, "deliveries hurried", f"destination {name}", {"deliveries": number})
    return number


def note_trial(session: Session, name: str, kind: str, *, said: Sequence[Sentence], who: str) -> None:
    """Keep what came of a trial of a destination, in the place of the one before."""
    row = session.get(TrialRow, (name, kind)) or TrialRow(destination=name, kind=kind)
    row.at, row.who, row.said = now(session), who, [[one.ok, one.says, one.output] for one in said]
    session.add(row)
    worked = all(one.ok for one in said)
    audit.record(session, who, "destination tried", f"destination {name}", {"trial": str(kind), "worked": worked})


def trials(session: Session, name: str) -> Mapping[str, Trial]:
    """Return the last trial of each kind."""
    rows = session.scalars(sa.select(TrialRow).where(TrialRow.destination == name))
    return {
        row.kind: Trial(
            row.kind, row.at, row.who, tuple((bool(ok), str(says), str(output)) for ok, says, output in row.said)
        )
        for row in rows
    }


def _replaced(session: Session, name: str, *, since: float) -> Mapping[str, int]:
    query = (
        sa.select(ResultRow.slot)
        .join(OutboxRow, OutboxRow.result_id == ResultRow.id)
        .where(OutboxRow.destination == name, OutboxRow.state == OutboxState.REPLACED, OutboxRow.queued_at >= since)
    )
    counts: dict[str, int] = {}
    for slot in session.scalars(query):
        word = output_of(slot).value
        counts[word] = counts.get(word, 0) + 1
    return counts
