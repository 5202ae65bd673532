"""Deliveries that ended without the object being there: shown to the administrator, or replaced by another object."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.result import ResultKind
from dicom_ai.domain.run import RunState
from dicom_ai.storage import outbox
from dicom_ai.storage.outbox import OutboxState
from dicom_ai.storage.tables import OutboxRow, ResultRow, RunRow

NOT_THERE = (OutboxState.REFUSED, OutboxState.REPLACED, OutboxState.FAILED)
"""States in which a destination lacks an object and no try will follow."""


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """One object at one destination, as an administrator sees it. error: why it is not there.

    checked: what the destination said of patient and study before it was sent.
    """

    id: int
    destination: str
    kind: ResultKind
    study_uid: str
    sop_instance_uid: str
    state: OutboxState
    attempts: int
    error: str
    checked: str = ""


def replace(session: Session, delivery_id: int, *, result_id: int, error: str) -> None:
    """Send another object in place of one whose kind the destination does not take; nothing when a newer run came."""
    row = session.get_one(OutboxRow, delivery_id)
    if session.get_one(RunRow, row.run_id).state == RunState.SUPERSEDED:
        row.state, row.last_error = OutboxState.CANCELLED, error
        return
    outbox.stop(session, delivery_id, OutboxState.REPLACED, error=error)
    queued = sa.select(OutboxRow.id).where(OutboxRow.result_id == result_id, OutboxRow.destination == row.destination)
    if session.scalars(queued).first() is None:
        outbox.add(session, result_id=result_id, run_id=row.run_id, destination=row.destination)


def not_there(session: Session, *, most: int) -> Sequence[DeliveryStatus]:
    """Return the newest deliveries that ended without the destination having the object."""
    return _statuses(session, OutboxRow.state.in_(NOT_THERE), most=most)


def of_study(session: Session, study_uid: str) -> Sequence[DeliveryStatus]:
    """Return every delivery of a study's results, newest first."""
    return _statuses(session, ResultRow.study_uid == study_uid)


def _statuses(session: Session, which: sa.ColumnElement[bool], *, most: int | None = None) -> Sequence[DeliveryStatus]:
    query = (
        sa.select(OutboxRow, ResultRow)
        .join(ResultRow, ResultRow.id == OutboxRow.result_id)
        .where(which)
        .order_by(OutboxRow.id.desc())
        .limit(most)
    )
    return tuple(
        DeliveryStatus(
            id=row.id,
            destination=row.destination,
            kind=ResultKind(result.kind),
            study_uid=result.study_uid,
            sop_instance_uid=result.sop_instance_uid,
            state=OutboxState(row.state),
            attempts=row.attempts,
            error=row.last_error,
            checked=row.checked,
        )
        for row, result in session.execute(query)
    )
