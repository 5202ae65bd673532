"""Who calls the node: peers that were let in, their C-ECHO, and who was rejected, so that `dicom-ai doctor` can say."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.storage import audit
from dicom_ai.storage.database import now
from dicom_ai.storage.watch_tables import CallerRow

MOST_STRANGERS = 100
"""So many callers that were never let in are remembered; of more, those that called last."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A caller that was not let in. calling_ae_title: "" where it is not known."""

    calling_ae_title: str
    address: str
    reason: str


OTHERS = Rejection("", "", "more callers than are told apart")


@dataclass(frozen=True, slots=True)
class Contact:
    """A caller. Each time is None where that never happened. reason: why it was rejected the last time."""

    calling_ae_title: str
    address: str
    called_at: float | None
    verified_at: float | None
    rejected_at: float | None
    reason: str


def called(session: Session, calling_ae_title: str, address: str) -> None:
    """Note that a peer had an association."""
    _row(session, calling_ae_title, address).called_at = now(session)


def verified(session: Session, calling_ae_title: str, address: str) -> None:
    """Note that a peer sent a C-ECHO."""
    row = _row(session, calling_ae_title, address)
    row.called_at = row.verified_at = now(session)


def rejected(session: Session, who: Rejection) -> None:
    """Note that somebody was not let in."""
    row = _row(session, who.calling_ae_title, who.address)
    row.rejected_at, row.reason = now(session), who.reason
    session.flush()
    strangers = sa.select(CallerRow).where(CallerRow.called_at.is_(None)).order_by(CallerRow.rejected_at.desc())
    for one in session.scalars(strangers.offset(MOST_STRANGERS)).all():
        session.delete(one)


def tell_rejected(session: Session, who: Rejection, *, times: int) -> None:
    """Tell the audit trail that somebody was not let in. times: as often since that was last told."""
    title = _text(who.calling_ae_title)
    detail: audit.Detail = {"calling_ae_title": title, "because": who.reason, "times": times}
    audit.record(session, "listener", "association rejected", f"node {who.address or 'unknown'}", detail)


def contacts(session: Session) -> Sequence[Contact]:
    """Return everybody who called, by AE title and address."""
    rows = session.scalars(sa.select(CallerRow).order_by(CallerRow.calling_ae_title, CallerRow.address))
    return tuple(
        Contact(row.calling_ae_title, row.address, row.called_at, row.verified_at, row.rejected_at, row.reason)
        for row in rows
    )


def turned_away(session: Session) -> Sequence[Contact]:
    """Return who was not let in the last time they called, the latest first."""
    away = [item for item in contacts(session) if item.rejected_at and item.rejected_at > (item.called_at or 0)]
    return tuple(sorted(away, key=lambda item: -(item.rejected_at or 0)))


def _row(session: Session, calling_ae_title: str, address: str) -> CallerRow:
    title = _text(calling_ae_title)
    row = session.get(CallerRow, (title, address))
    if row is None:
        row = CallerRow(calling_ae_title=title, address=address, reason="")
        session.add(row)
    return row


def _text(calling_ae_title: str) -> str:
    return calling_ae_title.replace("\0", "")  # PostgreSQL refuses NUL
