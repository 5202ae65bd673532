"""The audit trail: append-only, free of patient data; subjects are UIDs, ids and names of settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.storage.database import now
from dicom_ai.storage.tables import AuditRow

Detail = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One event. at: seconds since 1970. subject: what it happened to ("study 1.2.3", "rule cervical-cord")."""

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
    return tuple(AuditEvent(row.at, row.actor, row.action, row.subject, row.detail) for row in rows)
