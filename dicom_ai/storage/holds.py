"""Holds: what waits for a person before it leaves the node, and what a person has only to be told.

One table for every part of the node that has a doubt. To hold something, call hold() with what it concerns, in the
transaction that makes or finds it:

    holds.hold(session, NewHold(HoldKind.FINDING, study_uid, "the area at C4 is outside physiology", run_id=3),
               who="reporter")

From that commit on nothing that the hold covers is sent: outbox asks holding() before every turn, and sending asks
again just before it sends. A hold covers the deliveries of its study; run_id, result_id and destination each narrow
that. One that covers a whole study also lets no new report of it begin (report_is_held). With blocks=False nothing is
held: it is a notice, which stays until a person has seen it.

The same doubt again (same kind, study, run, result, destination) is the same hold. It ends when a person decides
(decide), or by itself when a newer report replaces its run (lapse) or its cause is gone (settle). Decisions that a kind
knows are in DECISIONS; every part of the node may add a kind there. `open_now` is what status, pages and alarms show:
the oldest first. reason never holds patient data; detail may (the values that differ), and is shown to a person who
asks for that one hold, never logged or sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.result import ResultKind
from dicom_ai.storage import audit, versions, withdrawals
from dicom_ai.storage.database import lock_study, now
from dicom_ai.storage.tables import HoldRow, OutboxRow, ResultRow, RunRow

_PENDING = ("waiting", "unknown")  # outbox.PENDING, which stands on this module


class HoldKind(StrEnum):
    """Why something is held.

    correction: patient or study attributes of received images were changed. conflict: other pixels under a known UID.
    patients: two patients in one study. destination: the archive has the study otherwise, or not at all. versions: as
    many reports of the study have left as may without a person. finding: the numbers of a report are in doubt.
    """

    CORRECTION = "correction"
    CONFLICT = "conflict"
    PATIENTS = "patients"
    DESTINATION = "destination"
    VERSIONS = "versions"
    FINDING = "finding"


class Decision(StrEnum):
    """What a person says. release: it may leave. discard: it never leaves. seen: a notice was read.

    first, newest: of two images with one UID, or of two patients, that which came first, or last, counts.
    """

    RELEASE = "release"
    DISCARD = "discard"
    SEEN = "seen"
    FIRST = "first"
    NEWEST = "newest"


DECISIONS: dict[HoldKind, frozenset[Decision]] = {
    HoldKind.CORRECTION: frozenset({Decision.SEEN}),
    HoldKind.CONFLICT: frozenset({Decision.FIRST, Decision.NEWEST}),
    HoldKind.PATIENTS: frozenset({Decision.FIRST, Decision.NEWEST}),
    HoldKind.DESTINATION: frozenset({Decision.RELEASE, Decision.DISCARD}),
    HoldKind.VERSIONS: frozenset({Decision.RELEASE, Decision.DISCARD}),
    HoldKind.FINDING: frozenset({Decision.RELEASE, Decision.DISCARD}),
}
"""Kind -> the decisions that end it."""

LOOKED_AT = "looked_at"
"""Key of detail: when the cause of a hold was last looked at, in seconds since 1970."""

HELD_AGAIN_S = 300.0
"""How often a destination is asked again about a study that it did not know, or knew otherwise."""

LAPSED = "lapsed"
"""decision of a hold whose cause went away without a person."""


@dataclass(frozen=True, slots=True)
class NewHold:
    """Something to hold. reason: one plain sentence without patient data. detail: values for who decides.

    run_id, result_id, destination: each narrows what is covered; None and "" cover every one. blocks: False for a
    notice.
    """

    kind: HoldKind
    study_uid: str
    reason: str
    run_id: int | None = None
    result_id: int | None = None
    destination: str = ""
    blocks: bool = True
    detail: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold as it is kept. since, ended_at: seconds since 1970; ended_at is None while it is open.

    decision: one of Decision, or "lapsed"; "" while it is open. held: deliveries it keeps from leaving now.
    """

    id: int
    kind: HoldKind
    study_uid: str
    reason: str
    run_id: int | None
    result_id: int | None
    destination: str
    blocks: bool
    since: float
    ended_at: float | None
    decision: str
    who: str
    why: str
    held: int
    detail: Mapping[str, Any] = field(repr=False)

    @property
    def decisions(self) -> tuple[str, ...]:
        """The decisions that would end it, by name; none when it has ended."""
        return tuple(sorted(DECISIONS[self.kind])) if self.ended_at is None else ()


def hold(session: Session, new: NewHold, *, who: str) -> int:
    """Hold something, or tell a person of it, from this commit on; return the id. The same doubt keeps its hold."""
    lock_study(session, new.study_uid)
    row = session.scalars(sa.select(HoldRow).where(_is_open(), *_same(new))).first()
    if row is not None:
        row.reason, row.detail = new.reason, dict(new.detail)
        return row.id
    row = HoldRow(
        kind=new.kind,
        study_uid=new.study_uid,
        run_id=new.run_id,
        result_id=new.result_id,
        destination=new.destination,
        blocks=new.blocks,
        reason=new.reason,
        detail=dict(new.detail),
        since=now(session),
        decision="",
        who="",
        why="",
    )
    session.add(row)
    session.flush()
    action = "held" if new.blocks else "noticed"
    audit.record(session, who, action, f"study {new.study_uid}", {"hold": row.id, "kind": new.kind, "why": new.reason})
    return row.id


def decide(session: Session, hold_id: int, decision: Decision, *, who: str, why: str) -> Hold:
    """End an open hold by a person's word; return it as it was. What it held goes on, or with DISCARD never leaves.

    FIRST and NEWEST also say which images count; the study is reported again where that is not what was reported.
    Raises ValueError where there is no such open hold, or its kind does not know the decision.
    """
    row = session.get(HoldRow, hold_id)
    if row is None or row.ended_at is not None:
        raise ValueError(f"there is no open hold {hold_id}")
    kind = HoldKind(row.kind)
    if decision not in DECISIONS[kind]:
        raise ValueError(f"hold {hold_id} ({kind}) is decided by {' or '.join(sorted(DECISIONS[kind]))}")
    lock_study(session, row.study_uid)
    before = _hold(session, row)
    if decision in (Decision.FIRST, Decision.NEWEST):
        _choose(session, row, newest=decision is Decision.NEWEST, who=who)
    _let_go(session, row, discard=decision is Decision.DISCARD)
    _end(session, row, decision, who=who, why=why)
    return before


def lapse(session: Session, run_id: int, *, why: str) -> None:
    """End what was held of a run: a newer report has taken its place."""
    for row in session.scalars(sa.select(HoldRow).where(_is_open(), HoldRow.run_id == run_id)):
        _end(session, row, LAPSED, who="node", why=why)


def lapse_empty(session: Session) -> int:
    """End the holds of a report all of whose deliveries were cancelled or withdrawn meanwhile; return how many.

    One that has no deliveries at all, because nothing is to be sent, still waits for a person.
    """
    covered = sa.exists().where(RunRow.study_uid == HoldRow.study_uid, OutboxRow.run_id == RunRow.id, *_covers())
    waits = covered.where(OutboxRow.state.in_(_PENDING))
    query = sa.select(HoldRow).where(
        _is_open(), HoldRow.blocks, HoldRow.run_id.is_not(None), covered.correlate(HoldRow), ~waits.correlate(HoldRow)
    )
    empty = session.scalars(query).all()
    for row in empty:
        _end(session, row, LAPSED, who="node", why="nothing of it is to be sent any more")
    return len(empty)


def settle(session: Session, kind: HoldKind, study_uid: str, *, destination: str = "", why: str) -> None:
    """End the holds of a kind on a study (and destination) whose cause is gone; what they held goes on."""
    query = sa.select(HoldRow).where(
        _is_open(), HoldRow.kind == kind, HoldRow.study_uid == study_uid, HoldRow.destination == destination
    )
    for row in session.scalars(query):
        _let_go(session, row, discard=False)
        _end(session, row, LAPSED, who="node", why=why)


def is_released(session: Session, kind: HoldKind, delivery_id: int) -> bool:
    """Say whether a person has let a delivery go that was held for a reason of this kind."""
    released = sa.exists().where(
        OutboxRow.id == delivery_id,
        RunRow.id == OutboxRow.run_id,
        HoldRow.kind == kind,
        HoldRow.decision == Decision.RELEASE,
        HoldRow.ended_at >= RunRow.created_at,
        *_covers(),
    )
    return bool(session.scalar(sa.select(released)))


def take_stale(session: Session, kind: HoldKind, *, every_s: float) -> Hold | None:
    """Take an open hold whose cause was last looked at so long ago, to look again; note that this is done now."""
    for row in session.scalars(sa.select(HoldRow).where(_is_open(), HoldRow.kind == kind).order_by(HoldRow.id)):
        if float(row.detail.get(LOOKED_AT) or row.since) <= now(session) - every_s:
            row.detail = {**row.detail, LOOKED_AT: now(session)}
            session.flush()
            return _hold(session, row)
    return None


def stale(session: Session, kind: HoldKind, *, every_s: float) -> Sequence[str]:
    """Return the studies with such holds."""
    rows = session.scalars(sa.select(HoldRow).where(_is_open(), HoldRow.kind == kind))
    return [row.study_uid for row in rows if float(row.detail.get(LOOKED_AT) or row.since) <= now(session) - every_s]


def find(session: Session, hold_id: int) -> Hold | None:
    """Return one hold, open or ended."""
    row = session.get(HoldRow, hold_id)
    return None if row is None else _hold(session, row)


def open_now(session: Session) -> Sequence[Hold]:
    """Return what waits for a person, oldest first: holds and notices."""
    rows = session.scalars(sa.select(HoldRow).where(_is_open()).order_by(HoldRow.since, HoldRow.id))
    return tuple(_hold(session, row) for row in rows.all())


def of_study(session: Session, study_uid: str) -> Sequence[Hold]:
    """Return every hold of a study, ended ones too, oldest first."""
    rows = session.scalars(sa.select(HoldRow).where(HoldRow.study_uid == study_uid).order_by(HoldRow.id))
    return tuple(_hold(session, row) for row in rows.all())


def report_is_held(session: Session, study_uid: str) -> bool:
    """Say whether no new report of a study may begin: a hold covers the whole of it."""
    whole = sa.and_(HoldRow.run_id.is_(None), HoldRow.result_id.is_(None), HoldRow.destination == "")
    query = sa.select(sa.exists().where(_is_open(), HoldRow.blocks, HoldRow.study_uid == study_uid, whole))
    return bool(session.scalar(query))


def is_held(session: Session, delivery_id: int) -> bool:
    """Say whether a hold covers one delivery now."""
    return bool(session.scalar(sa.select(sa.exists().where(OutboxRow.id == delivery_id, holding()))))


def holding() -> sa.ColumnElement[bool]:
    """Return the condition that some hold covers a delivery, for a query on the outbox."""
    return sa.exists().where(_is_open(), HoldRow.blocks, *_covers()).correlate(OutboxRow)


def _choose(session: Session, row: HoldRow, *, newest: bool, who: str) -> None:
    """Let the first or the newest images of a study count; what was made of others is withdrawn."""
    studies = {row.study_uid}
    if row.kind == HoldKind.PATIENTS:
        versions.settle_patients(session, row.study_uid, newest=newest)
    else:
        studies |= versions.settle_conflict(session, row.study_uid, newest=newest)
    for study_uid in sorted(studies):
        if newest:
            withdrawals.withdraw_study(session, study_uid, why="other images of the study count now", who=who)
        if study_uid != row.study_uid and not versions.is_in_conflict(session, study_uid):
            settle(session, HoldKind(row.kind), study_uid, why=f"decided with hold {row.id}")


def _covers() -> tuple[sa.ColumnElement[bool], ...]:
    """Return what joins holds, results and the outbox where a hold covers a delivery.

    A rejection note takes back what was wrong: it waits only where its own destination knows the study otherwise.
    """
    return (
        sa.or_(ResultRow.kind != ResultKind.KO, HoldRow.kind == HoldKind.DESTINATION),
        ResultRow.id == OutboxRow.result_id,
        HoldRow.study_uid == ResultRow.study_uid,
        sa.or_(HoldRow.run_id.is_(None), HoldRow.run_id == OutboxRow.run_id),
        sa.or_(HoldRow.result_id.is_(None), HoldRow.result_id == OutboxRow.result_id),
        sa.or_(HoldRow.destination == "", HoldRow.destination == OutboxRow.destination),
    )


def _same(new: NewHold) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        HoldRow.kind == new.kind,
        HoldRow.study_uid == new.study_uid,
        HoldRow.run_id.is_not_distinct_from(new.run_id),
        HoldRow.result_id.is_not_distinct_from(new.result_id),
        HoldRow.destination == new.destination,
    )


def _is_open() -> sa.ColumnElement[bool]:
    return HoldRow.ended_at.is_(None)


def _held(session: Session, row: HoldRow) -> Sequence[int]:
    if not row.blocks or row.ended_at is not None:
        return ()
    of_study = sa.select(RunRow.id).where(RunRow.study_uid == row.study_uid)
    query = sa.select(OutboxRow.id).where(
        OutboxRow.run_id.in_(of_study),
        OutboxRow.state.in_(_PENDING),
        sa.exists().where(HoldRow.id == row.id, *_covers()).correlate(OutboxRow),
    )
    return session.scalars(query).all()


def _let_go(session: Session, row: HoldRow, *, discard: bool) -> None:
    """Give what was held its whole span of retries again, or cancel it for ever."""
    at = now(session)
    values: dict[str, Any] = {"state": "cancelled"} if discard else {"queued_at": at, "next_at": at}
    session.execute(sa.update(OutboxRow).where(OutboxRow.id.in_(_held(session, row))).values(**values))


def _end(session: Session, row: HoldRow, decision: str, *, who: str, why: str) -> None:
    row.ended_at, row.decision, row.who, row.why = now(session), str(decision), who, why
    session.flush()
    detail: audit.Detail = {"hold": row.id, "kind": row.kind, "decision": str(decision), "why": why}
    audit.record(session, who, "hold ended", f"study {row.study_uid}", detail)


def _hold(session: Session, row: HoldRow) -> Hold:
    return Hold(
        id=row.id,
        kind=HoldKind(row.kind),
        study_uid=row.study_uid,
        reason=row.reason,
        run_id=row.run_id,
        result_id=row.result_id,
        destination=row.destination,
        blocks=row.blocks,
        since=row.since,
        ended_at=row.ended_at,
        decision=row.decision,
        who=row.who,
        why=row.why,
        held=len(_held(session, row)),
        detail=cast(Mapping[str, Any], row.detail),
    )
