"""A wall clock that was set: what waits goes on waiting for as long as it would have, and no longer.

Times in the database are wall-clock times, for they must mean the same to every process and after a restart. When the
clock is set (a wrong battery clock put right, a virtual machine that was paused), everything that lies in the future
by the old clock would wait for days or years, and everything that lies in the past would be given up at once.
"""

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from dicom_ai.storage import duties
from dicom_ai.storage.database import now
from dicom_ai.storage.tables import AssociationRow, DestinationRow, JobRow, OutboxRow, RunRow, SeriesRow, StudyRow
from dicom_ai.storage.watch_tables import ConfirmationRow, DutyRow

DAY_S = 86_400

DISTRUST_S = DAY_S
"""How long nothing is deleted after the wall clock went forward: the new time may be the wrong one."""

DUTY = "retention"
"""Asked whether something may be deleted; its mark: not before then."""

LEASES: tuple[InstrumentedAttribute[Any], ...] = (
    JobRow.lease_until,
    DestinationRow.lease_until,
    StudyRow.routing_until,
    DutyRow.lease_until,
)
"""Until when somebody has something to himself."""

ENDS: tuple[InstrumentedAttribute[Any], ...] = (
    *LEASES,
    JobRow.available_at,
    OutboxRow.next_at,
    ConfirmationRow.next_at,
)
"""When a wait ends: in the future, unless it is over."""

BEGINNINGS: tuple[InstrumentedAttribute[Any], ...] = (
    StudyRow.last_received_at,
    SeriesRow.last_received_at,
    RunRow.changed_at,
    AssociationRow.beat_at,
    JobRow.token_at,
    DestinationRow.token_at,
)
"""When something began from which a wait is counted."""


def went_back(session: Session, by_s: float) -> int:
    """Let no wait become longer: bring what lies in the future to where it lies by the new clock.

    Returns how many times of day were changed.
    """
    at = now(session)
    changed = sum(_change(session, column, column - by_s, column > at) for column in ENDS)
    beginnings = (*BEGINNINGS, OutboxRow.queued_at, OutboxRow.sent_at)
    return changed + sum(_change(session, column, sa.literal(at), column > at) for column in beginnings)


def went_forward(session: Session, by_s: float) -> int:
    """Let no wait be over at once: leases, quiet times, and how long a delivery is tried, go on from where they were.

    Returns how many times of day were changed. What waits for its next try has it a little early, which is no harm.
    """
    at = now(session)
    before = at - by_s  # the time by the old clock
    _distrust(session)
    changed = sum(_change(session, column, column + by_s, sa.and_(column > before, column <= at)) for column in LEASES)
    for column in BEGINNINGS:
        recent = sa.and_(column > before - DAY_S, column <= before)
        changed += _change(session, column, column + by_s, recent)
    pending = OutboxRow.state.in_(("waiting", "unknown"))
    return changed + _change(session, OutboxRow.queued_at, OutboxRow.queued_at + by_s, pending)


def may_delete(session: Session) -> bool:
    """Whether what is old by the wall clock may be deleted now; asked every few minutes while a clock runs.

    Not within a day after the wall clock went forward, nor after more than a day in which nobody asked: the node was
    off, and perhaps the clock was set meanwhile. It is kept in the database, so that a restart forgets nothing.
    """
    duty = duties.take(session, DUTY, DUTY, lease_s=0)  # all clocks as one: it is asked, not done
    if duty is None or duty.mark is None:
        return False
    at = now(session)
    was_off = duty.done_at is not None and at > duty.done_at + DISTRUST_S
    since = at + DISTRUST_S if was_off else min(duty.mark, at + DISTRUST_S)
    duties.done(session, DUTY, DUTY, mark=since)
    return at >= since


def _distrust(session: Session) -> None:
    if duties.take(session, DUTY, DUTY, lease_s=0):
        duties.done(session, DUTY, DUTY, mark=now(session) + DISTRUST_S)


def _change(
    session: Session, column: InstrumentedAttribute[Any], value: sa.ColumnElement[float], where: sa.ColumnElement[bool]
) -> int:
    update = sa.update(column.class_).where(where).values({column.key: value})
    return cast(sa.CursorResult, session.execute(update, execution_options={"synchronize_session": False})).rowcount
