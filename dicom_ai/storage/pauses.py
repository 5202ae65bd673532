"""Pauses: a person holds what would be sent, of everything, one rule, one model or one destination.

A pause is a row, so that it outlives every restart; the audit says who set and ended it, when and why. Receiving,
analysing and reporting go on meanwhile.
"""

from collections.abc import Collection, Mapping, Sequence
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
    """A pause that holds. since: seconds since 1970. held: deliveries that would be pending without it too.

    earlier: names that the rule had before; what was made under them is held too.
    """

    subject: Subject
    since: float
    who: str
    why: str
    held: int
    earlier: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every name under which it holds something."""
        return (self.subject.name, *self.earlier)

    @property
    def text(self) -> str:
        """What is paused, in words."""
        return f"{self.subject.text} (before: {', '.join(self.earlier)})" if self.earlier else self.subject.text


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
    row = _row_of(session, subject)
    if row is None:
        return False
    held = _held(session, row)
    session.execute(
        sa.update(OutboxRow)
        .where(_PENDING, _holds(session, row))
        .values(queued_at=now(session))
        .execution_options(synchronize_session=False)
    )
    session.delete(row)
    session.flush()
    detail: audit.Detail = {"why": why, "paused_s": now(session) - row.since, "held_deliveries": len(held)}
    audit.record(session, who, RESUMED, Subject(subject.kind, row.name).text, detail)
    return True


def rename_rule(session: Session, old: str, new: str, *, who: str) -> bool:
    """Let the pause of a rule follow its new name, and go on holding what was made under the old; False for none."""
    row = _row_of(session, Subject(PauseKind.RULE, old))
    if row is None:
        return False
    there = session.get(PauseRow, (PauseKind.RULE, new))
    kept = row if there is None or there is row else there
    names = dict.fromkeys([*kept.earlier, *row.earlier, row.name, old])
    if kept is not row:
        session.delete(row)
        session.flush()
    kept.name, kept.earlier = new, [name for name in names if name != new]
    session.flush()
    audit.record(session, who, "pause renamed", Subject(PauseKind.RULE, new).text, {"before": old})
    return True


def is_paused(session: Session, rule: str) -> bool:
    """Say whether a pause of its own holds what a rule makes."""
    return _row_of(session, Subject(PauseKind.RULE, rule)) is not None


def all_of(session: Session) -> Sequence[Pause]:
    """Return the pauses that hold, oldest first."""
    rows = session.scalars(sa.select(PauseRow).order_by(PauseRow.since, PauseRow.kind, PauseRow.name)).all()
    return tuple(
        Pause(
            Subject(PauseKind(row.kind), row.name),
            row.since,
            row.who,
            row.why,
            len(_held(session, row)),
            tuple(row.earlier),
        )
        for row in rows
    )


def holding(session: Session) -> sa.ColumnElement[bool]:
    """Return the condition that some pause holds a delivery, for a query on the outbox."""
    rows = session.scalars(sa.select(PauseRow)).all()
    return sa.or_(sa.false(), *(_holds(session, row) for row in rows))


def _row_of(session: Session, subject: Subject) -> PauseRow | None:
    """Return the pause of a subject, also by an earlier name of a rule."""
    row = session.get(PauseRow, (subject.kind, subject.name))
    if row is not None or subject.kind is not PauseKind.RULE:
        return row
    rows = session.scalars(sa.select(PauseRow).where(PauseRow.kind == PauseKind.RULE))
    return next((one for one in rows if subject.name in one.earlier), None)


def _held(session: Session, row: PauseRow) -> Sequence[int]:
    return session.scalars(sa.select(OutboxRow.id).where(_PENDING, _holds(session, row))).all()


def _holds(session: Session, row: PauseRow) -> sa.ColumnElement[bool]:
    kind = PauseKind(row.kind)
    if kind is PauseKind.ALL:
        return sa.true()
    if kind is PauseKind.DESTINATION:
        return OutboxRow.destination == row.name
    if kind is PauseKind.MODEL:
        return OutboxRow.id.in_(_with_analyses().where(JobRow.model == row.name))
    rules = {row.name, *row.earlier}
    asked = session.execute(_with_analyses().add_columns(RunJobRow.requests).where(_PENDING))
    return OutboxRow.id.in_({delivery for delivery, requests in asked if _asks(requests, rules)})


def _asks(requests: Sequence[Mapping[str, Any]], rules: Collection[str]) -> bool:
    return any(request["rule"] in rules and not request["shadow"] for request in requests)


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
