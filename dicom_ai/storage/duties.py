"""Duties: what one process at a time does, however many clocks run. A turn is a lease; who dies loses it.

mark: for a duty that goes by time, up to when it is done; for one that goes by rows, the last row that is done. It
moves only when what came before has been done.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.storage.database import now
from dicom_ai.storage.watch_tables import DutyRow


@dataclass(frozen=True, slots=True)
class Duty:
    """A duty as it stands. done_at, mark: seconds since 1970; None before the first time."""

    name: str
    done_at: float | None
    mark: float | None


def take(session: Session, name: str, owner: str, *, lease_s: float, start: float | None = None) -> Duty | None:
    """Take a duty; None while somebody else has it. start: the mark of the very first time; None: now."""
    at = now(session)
    if session.get(DutyRow, name) is None:
        with suppress(sa.exc.IntegrityError), session.begin_nested():  # another clock made it meanwhile
            session.add(DutyRow(name=name, mark=at if start is None else start))
    free = sa.or_(DutyRow.lease_until.is_(None), DutyRow.lease_until < at, DutyRow.owner == owner)
    taken = session.execute(
        sa.update(DutyRow).where(DutyRow.name == name, free).values(owner=owner, lease_until=at + lease_s)
    )
    return find(session, name) if cast(sa.CursorResult, taken).rowcount == 1 else None


def done(session: Session, name: str, owner: str, *, mark: float | None = None) -> None:
    """Give a duty back as done; a mark that is given moves. Nothing when somebody else has it now."""
    row = session.get(DutyRow, name, populate_existing=True)
    if row is None or row.owner != owner:
        return
    row.owner, row.lease_until, row.done_at = None, None, now(session)
    if mark is not None:
        row.mark = mark
    session.flush()


def find(session: Session, name: str) -> Duty | None:
    """Return a duty; None where it was never taken."""
    row = session.get(DutyRow, name, populate_existing=True)
    return None if row is None else Duty(row.name, row.done_at, row.mark)
