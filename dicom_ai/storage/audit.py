"""The audit trail: append-only, free of patient data; subjects are UIDs, ids and names of settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.storage.database import now
from dicom_ai.storage.tables import AuditRow

LONGEST_TRANSACTION_S = 300.0
"""No transaction that writes to the trail takes longer than this."""

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
    session.add(AuditRow(at=now(session), actor=actor, action=action, subject=subject, detail=dict(detail or {})))


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


def _event(row: AuditRow) -> AuditEvent:
    return AuditEvent(row.id, row.at, row.actor, row.action, row.subject, row.detail)
