"""Alarms: what a person must know, from when it is first seen until it is over, and what each channel was told of it.

An alarm is named by its condition and subject, and holds no patient data. It is over when nobody has seen it for a
while, so that one that comes and goes is told once. Acknowledged, it is not told again, unless it gets worse.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.storage import audit
from dicom_ai.storage.database import now
from dicom_ai.storage.watch_tables import AlarmNoticeRow, AlarmRow


class Level(IntEnum):
    """How much an alarm matters. critical: images are refused, or results do not leave."""

    WARNING = 1
    SERIOUS = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that is so now. subject: a name out of the settings or rules; "" where there is only one."""

    condition: str
    subject: str
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm as it is kept. opened_at, closed_at: seconds since 1970; closed_at is None while it is so."""

    id: int
    condition: str
    subject: str
    level: Level
    text: str
    opened_at: float
    closed_at: float | None
    acknowledged_at: float | None
    acknowledged_by: str
    errors: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What a person calls it by: "destination-down:pacs"."""
        return f"{self.condition}:{self.subject}" if self.subject else self.condition


def look(session: Session, seen: Iterable[Seen], *, judged: Iterable[str], linger_s: float) -> Sequence[Seen]:
    """Open, renew and close alarms by what is so now; return what is new, or worse than before.

    judged: the conditions that were looked at; alarms of others stay as they are. linger_s: an alarm that was not seen
    for this long is over.
    """
    at = now(session)
    rows = {(row.condition, row.subject): row for row in session.scalars(_open())}
    news = []
    for one in seen:
        row = rows.get((one.condition, one.subject))
        if row is None:
            row = AlarmRow(condition=one.condition, subject=one.subject, opened_at=at, acknowledged_by="")
            row.acknowledged_level = 0
            session.add(row)
        if row.level is None or row.level < one.level:
            news.append(one)
        row.level, row.text, row.seen_at = one.level, one.text, at
    for row in rows.values():
        if row.condition in set(judged) and row.seen_at <= at - linger_s:
            row.closed_at = at
    session.flush()
    return news


def open_now(session: Session) -> Sequence[Alarm]:
    """Return the alarms that are so now, the worst first."""
    rows = session.scalars(_open().order_by(AlarmRow.level.desc(), AlarmRow.opened_at)).all()
    return tuple(_alarm(session, row) for row in rows)


def acknowledge(session: Session, name: str, *, who: str, why: str = "") -> int:
    """Take note of open alarms by name ("disk", "destination-down:pacs", "all"); return how many these are.

    They are not told again until they are over, or get worse.
    """
    taken = 0
    for row in session.scalars(_open()).all():
        alarm = _alarm(session, row)
        if name not in ("all", alarm.name, alarm.condition) or row.acknowledged_level >= row.level:
            continue
        row.acknowledged_at, row.acknowledged_by, row.acknowledged_level = now(session), who, row.level
        audit.record(session, who, "alarm acknowledged", f"alarm {alarm.name}", {"why": why})
        taken += 1
    session.flush()
    return taken


def to_tell(session: Session, channel: str, *, repeat_s: float) -> Sequence[Alarm]:
    """Return what a channel must be told: new alarms, worse ones, ones to repeat, and ones that are over."""
    rows = session.scalars(_open().order_by(AlarmRow.level.desc(), AlarmRow.opened_at)).all()
    due = [row for row in rows if _is_due(session, row, channel, repeat_s)]
    told = sa.select(AlarmNoticeRow.alarm_id).where(
        AlarmNoticeRow.channel == channel, AlarmNoticeRow.told_at.is_not(None), AlarmNoticeRow.over.is_(False)
    )
    over = sa.select(AlarmRow).where(AlarmRow.id.in_(told), AlarmRow.closed_at.is_not(None)).order_by(AlarmRow.id)
    return tuple(_alarm(session, row) for row in [*due, *session.scalars(over)])


def told(session: Session, channel: str, alarms: Sequence[Alarm], *, error: str = "") -> None:
    """Note that a channel was told of alarms, as they were then; or, with an error, that it could not be."""
    for alarm in alarms:
        row = session.get(AlarmNoticeRow, (alarm.id, channel))
        if row is None:
            row = AlarmNoticeRow(alarm_id=alarm.id, channel=channel, told_level=0, over=False)
            session.add(row)
        row.error = error
        if not error:
            row.told_at, row.told_level, row.over = now(session), alarm.level, alarm.closed_at is not None
    session.flush()


def _is_due(session: Session, row: AlarmRow, channel: str, repeat_s: float) -> bool:
    if row.acknowledged_level >= row.level:
        return False
    notice = session.get(AlarmNoticeRow, (row.id, channel))
    if notice is None or notice.told_at is None or notice.told_level < row.level:
        return True
    return bool(repeat_s) and notice.told_at <= now(session) - repeat_s


def _open() -> sa.Select[AlarmRow]:
    return sa.select(AlarmRow).where(AlarmRow.closed_at.is_(None))


def _alarm(session: Session, row: AlarmRow) -> Alarm:
    errors = session.execute(
        sa.select(AlarmNoticeRow.channel, AlarmNoticeRow.error).where(
            AlarmNoticeRow.alarm_id == row.id, AlarmNoticeRow.error != ""
        )
    )
    acknowledged = row.acknowledged_level >= row.level
    return Alarm(
        id=row.id,
        condition=row.condition,
        subject=row.subject,
        level=Level(row.level),
        text=row.text,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        acknowledged_at=row.acknowledged_at if acknowledged else None,
        acknowledged_by=row.acknowledged_by if acknowledged else "",
        errors=tuple(f"{channel}: {error}" for channel, error in errors),
    )
