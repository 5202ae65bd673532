"""Pauses: a person holds what would be sent, of everything, one rule, one model or one destination.

A pause is a row, so that it outlives every restart; the audit says who set and ended it, when and why. Receiving,
analysing and reporting go on meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.result import ResultKind
from dicom_ai.storage import audit
from dicom_ai.storage.database import lock_study, now
from dicom_ai.storage.tables import JobRow, OutboxRow, PauseRow, ResultRow, RunJobRow
from dicom_ai.storage.words import one_of

RESUMED = "resumed"
"""The word of the audit trail for the end of a pause."""

BRAKE = "the node"
"""Who paused a rule that suddenly took far more than usual; a person resumes it."""

RECALL = "ko:recall:"
"""How the slot of the note of a recall begins."""

_PENDING = one_of(OutboxRow.state, ("waiting", "unknown"))  # outbox.PENDING, which stands on this module


class PauseKind(StrEnum):
    """What a pause holds."""

    ALL = "all"
    RULE = "rule"
    MODEL = "model"
    DESTINATION = "destination"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is paused: everything (name is empty then), or the rule, model or destination of a name."""

    kind: PauseKind
    name: str = ""

    @property
    def text(self) -> str:
        """The subject in words: "all", or "rule cervical-cord"."""
        return f"{self.kind.value} {self.name}".strip()


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause that holds. since: seconds since 1970. held: deliveries that would be pending without it too."""

    subject: Subject
    since: float
    who: str
    why: str
    held: int


def pause(session: Session, subject: Subject, *, who: str, why: str) -> bool:
    """Hold what would be sent of a subject from now on; False, and nothing changes, where it is held already."""
    lock_study(session, f"pause of {subject.text}")  # no study: any word makes one wait for the other
    if session.get(PauseRow, (subject.kind, subject.name)) is not None:
        return False
    session.add(PauseRow(kind=subject.kind, name=subject.name, since=now(session), who=who, why=why))
    session.flush()
    audit.record(session, who, "paused", subject.text, {"why": why})
    return True


def resume(session: Session, subject: Subject, *, who: str, why: str) -> bool:
    """End a pause; False where there is none. What it held gets its whole span of retries again."""
    row = session.get(PauseRow, (subject.kind, subject.name))
    if row is None:
        return False
    held = _held(session, subject)
    session.execute(
        sa.update(OutboxRow)
        .where(_PENDING, _holds(session, subject))
        .values(queued_at=now(session))
        .execution_options(synchronize_session=False)
    )
    session.delete(row)
    session.flush()
    detail: audit.Detail = {"why": why, "paused_s": now(session) - row.since, "held_deliveries": len(held)}
    audit.record(session, who, RESUMED, subject.text, detail)
    return True


def all_of(session: Session) -> Sequence[Pause]:
    """Return the pauses that hold, oldest first."""
    rows = session.scalars(sa.select(PauseRow).order_by(PauseRow.since, PauseRow.kind, PauseRow.name)).all()
    return tuple(
        Pause(subject, row.since, row.who, row.why, len(_held(session, subject)))
        for row in rows
        for subject in [Subject(PauseKind(row.kind), row.name)]
    )


def holding(session: Session) -> sa.ColumnElement[bool]:
    """Return the condition that some pause holds a delivery, for a query on the outbox."""
    subjects = [Subject(PauseKind(row.kind), row.name) for row in session.scalars(sa.select(PauseRow))]
    return sa.or_(sa.false(), *(_holds(session, subject) for subject in subjects))


def _held(session: Session, subject: Subject) -> Sequence[int]:
    return session.scalars(sa.select(OutboxRow.id).where(_PENDING, _holds(session, subject))).all()


def _holds(session: Session, subject: Subject) -> sa.ColumnElement[bool]:
    if subject.kind is PauseKind.ALL:
        return sa.true()
    if subject.kind is PauseKind.DESTINATION:
        return OutboxRow.destination == subject.name
    if subject.kind is PauseKind.MODEL:
        return OutboxRow.id.in_(_with_analyses().where(JobRow.model == subject.name))
    asked = session.execute(_with_analyses().add_columns(RunJobRow.requests).where(_PENDING))
    return OutboxRow.id.in_({delivery for delivery, requests in asked if _asks(requests, subject.name)})


def _asks(requests: Sequence[Mapping[str, Any]], rule: str) -> bool:
    return any(request["rule"] == rule and not request["shadow"] for request in requests)


def _with_analyses() -> sa.Select[int]:
    """Select the deliveries, once for every analysis their object speaks of: a SEG of its own, all others of all.

    The note of a recall speaks of none: it takes back what a paused model has sent.
    """
    own_slot = sa.literal("seg:") + JobRow.model + sa.literal(":") + JobRow.series_uid
    return (
        sa.select(OutboxRow.id)
        .join(ResultRow, ResultRow.id == OutboxRow.result_id)
        .join(RunJobRow, RunJobRow.run_id == OutboxRow.run_id)
        .join(JobRow, JobRow.id == RunJobRow.job_id)
        .where(
            sa.or_(ResultRow.kind != ResultKind.SEG, ResultRow.slot == own_slot, ResultRow.slot.like(own_slot + ":%")),
            ~ResultRow.slot.startswith(RECALL),
        )
    )
