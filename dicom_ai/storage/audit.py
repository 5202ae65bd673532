"""The audit trail: append-only, free of patient data; subjects are UIDs, ids and names of settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from dicom_ai.domain.trail import TrailSearch
from dicom_ai.storage.database import now
from dicom_ai.storage.tables import AuditRow, RunRow
from dicom_ai.storage.web_tables import AuditStudyRow

LONGEST_TRANSACTION_S = 300.0
"""No transaction that writes to the trail takes longer than this."""

STUDIES = "studies"
"""Key of a detail that names the studies of a list, so that each of them is found in the trail."""

Detail = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One event. id: its row. at: seconds since 1970. subject: what it happened to ("study 1.2.3", "rule cord")."""

    id: int
    at: float
    actor: str
    action: str
    subject: str
    detail: Detail


def record(session: Session, actor: str, action: str, subject: str, detail: Detail | None = None) -> None:
    """Add one event to the trail."""
    row = AuditRow(at=now(session), actor=actor, action=action, subject=subject, detail=dict(detail or {}))
    session.add(row)
    listed = dict.fromkeys(str((detail or {}).get(STUDIES, "")).split())
    if listed:
        session.flush()
        session.execute(sa.insert(AuditStudyRow), [{"study_uid": uid, "audit_id": row.id} for uid in listed])


def events(session: Session, *, since: float = 0.0, limit: int = 1000) -> Sequence[AuditEvent]:
    """Return the events since a time, oldest first."""
    rows = session.scalars(sa.select(AuditRow).where(AuditRow.at >= since).order_by(AuditRow.id).limit(limit))
    return tuple(_event(row) for row in rows)


def after(session: Session, row_id: int, *, limit: int) -> Sequence[AuditEvent]:
    """Return the events after a row, oldest first, up to where one may still be missing.

    PostgreSQL numbers rows before their transactions commit: a row that is not there may come yet, so what follows it
    waits, until it is too old for that (the transaction was rolled back).
    """
    query = sa.select(AuditRow).where(AuditRow.id > row_id).order_by(AuditRow.id).limit(limit)
    settled = now(session) - LONGEST_TRANSACTION_S
    found: list[AuditEvent] = []
    for row in session.scalars(query):
        if row.id != row_id + 1 and row.at > settled:
            break
        found.append(_event(row))
        row_id = row.id
    return tuple(found)


def search(session: Session, wanted: TrailSearch, *, before: int | None = None, most: int) -> Sequence[AuditEvent]:
    """Return the events that fit, newest first; before: only those older than this one."""
    query = sa.select(AuditRow).where(*_conditions(wanted))
    if before is not None:
        query = query.where(AuditRow.id < before)
    return tuple(_event(row) for row in session.scalars(query.order_by(AuditRow.id.desc()).limit(most)))


def is_recorded(session: Session, actor: str, action: str, subject: str, *, since: float) -> bool:
    """Say whether somebody has done something to a subject since a time."""
    same = (AuditRow.actor == actor, AuditRow.action == action, AuditRow.subject == subject, AuditRow.at >= since)
    return session.scalar(sa.select(AuditRow.id).where(*same).limit(1)) is not None


def actors(session: Session) -> Sequence[str]:
    """Return everybody who is in the trail, by name."""
    return _distinct(session, AuditRow.actor)


def actions(session: Session) -> Sequence[str]:
    """Return every action that is in the trail, by name."""
    return _distinct(session, AuditRow.action)


def _conditions(wanted: TrailSearch) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.who:
        conditions.append(AuditRow.actor == wanted.who)
    if wanted.action:
        conditions.append(AuditRow.action == wanted.action)
    if wanted.begin is not None:
        conditions.append(AuditRow.at >= wanted.begin)
    if wanted.end is not None:
        conditions.append(AuditRow.at < wanted.end)
    if wanted.study_uid:
        conditions.append(AuditRow.id.in_(_about(wanted.study_uid)))
    return conditions


def _about(study_uid: str) -> sa.CompoundSelect[tuple[int]]:
    """Select the events about a study: those that name it or a run of it, and the lists in which it stood."""
    runs = sa.select(sa.literal("run ") + sa.cast(RunRow.id, sa.Text)).where(RunRow.study_uid == study_uid)
    return sa.union_all(
        sa.select(AuditRow.id).where(AuditRow.subject == f"study {study_uid}"),
        sa.select(AuditRow.id).where(AuditRow.subject.in_(runs)),
        sa.select(AuditStudyRow.audit_id).where(AuditStudyRow.study_uid == study_uid),
    )


def _distinct(session: Session, column: InstrumentedAttribute[str]) -> Sequence[str]:
    """Return the values of an indexed column by going from one to the next, which costs no more than there are."""
    step = sa.select(sa.func.min(column).label("value")).cte("step", recursive=True)
    after = sa.select(sa.func.min(column)).where(column > step.c.value).scalar_subquery()
    step = step.union_all(sa.select(after).where(step.c.value.is_not(None)))
    return tuple(session.scalars(sa.select(step.c.value).where(step.c.value.is_not(None))))


def _event(row: AuditRow) -> AuditEvent:
    return AuditEvent(row.id, row.at, row.actor, row.action, row.subject, row.detail)
