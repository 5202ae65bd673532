"""Results that nobody should look at any more: of a patient or study that was corrected, or of a recalled model.

What has not left is cancelled. What has left, or may have, is listed with its destinations until a person has dealt
with it there: a node cannot take an object back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.result import ResultKind
from dicom_ai.storage import audit
from dicom_ai.storage.database import now
from dicom_ai.storage.tables import OutboxRow, ResultRow, RunRow

SENT, WAITING, UNKNOWN, CANCELLED, WITHDRAWN = "sent", "waiting", "unknown", "cancelled", "withdrawn"
"""States of storage/outbox.py, which stands on this module."""

THERE = {SENT: "yes", UNKNOWN: "maybe", WITHDRAWN: "maybe"}
"""State of a delivery -> whether the destination has the object; it has not in any other."""

NOT_THERE = "no"


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """One object at one destination. there: "yes", "maybe" or "no". withdrawn_at: None for one that is only looked for.

    destination: "" for an object that was to go nowhere, as in shadow. run: its number in the study. path: relative to
    the data folder; "" where retention has deleted it.
    """

    result_id: int
    run_id: int
    study_uid: str
    run: int
    kind: ResultKind
    sop_class_uid: str
    series_uid: str
    sop_instance_uid: str
    destination: str
    there: str
    sent_at: float | None
    withdrawn_at: float | None
    why: str
    path: str


def withdraw_study(session: Session, study_uid: str, *, why: str, who: str) -> int:
    """Withdraw every result of a study; return how many deliveries have left, or may have."""
    return withdraw(session, ResultRow.study_uid == study_uid, subject=f"study {study_uid}", why=why, who=who)


def withdraw(session: Session, which: Any, *, subject: str, why: str, who: str) -> int:
    """Withdraw the results that a condition on their rows names; return how many deliveries have left, or may have."""
    fresh = sa.select(ResultRow.id).where(which, ResultRow.withdrawn_at.is_(None), ResultRow.kind != ResultKind.KO)
    ids = session.scalars(fresh).all()
    for before, after in ((WAITING, CANCELLED), (UNKNOWN, WITHDRAWN)):
        session.execute(
            sa.update(OutboxRow).where(OutboxRow.result_id.in_(ids), OutboxRow.state == before).values(state=after)
        )
    session.execute(
        sa.update(ResultRow).where(ResultRow.id.in_(ids)).values(withdrawn_at=now(session), withdrawn_why=why)
    )
    left = session.scalar(
        sa.select(sa.func.count()).where(OutboxRow.result_id.in_(ids), OutboxRow.state.in_(list(THERE)))
    )
    if ids:
        detail: audit.Detail = {"results": len(ids), "deliveries_that_left": left or 0, "why": why}
        audit.record(session, who, "results withdrawn", subject, detail)
    session.flush()
    return left or 0


def listed(session: Session, study_uid: str = "") -> Sequence[Withdrawn]:
    """Return the withdrawn objects that a destination has, or may have, oldest first; of one study, or of all."""
    which = ResultRow.withdrawn_at.is_not(None)
    return found(session, sa.and_(which, ResultRow.study_uid == study_uid) if study_uid else which)


def found(session: Session, which: Any) -> Sequence[Withdrawn]:
    """Return the objects that a condition names and a destination has, or may have, oldest first."""
    return everywhere(session, sa.and_(which, OutboxRow.state.in_(list(THERE))))


def everywhere(session: Session, which: Any) -> Sequence[Withdrawn]:
    """Return the objects that a condition names at every destination they were made for, or at none, oldest first."""
    query = (
        sa.select(ResultRow, OutboxRow, RunRow.number)
        .outerjoin(OutboxRow, OutboxRow.result_id == ResultRow.id)
        .join(RunRow, RunRow.id == ResultRow.run_id)
        .where(which, ResultRow.kind != ResultKind.KO, ResultRow.sop_class_uid.is_not(None))
        .order_by(ResultRow.id, OutboxRow.destination)
    )
    return tuple(_withdrawn(result, delivery, number) for result, delivery, number in session.execute(query))


def _withdrawn(result: ResultRow, delivery: OutboxRow | None, number: int) -> Withdrawn:
    return Withdrawn(
        result_id=result.id,
        run_id=result.run_id,
        study_uid=result.study_uid,
        run=number,
        kind=ResultKind(result.kind),
        sop_class_uid=result.sop_class_uid or "",
        series_uid=result.series_uid,
        sop_instance_uid=result.sop_instance_uid,
        destination=delivery.destination if delivery else "",
        there=THERE.get(delivery.state, NOT_THERE) if delivery else NOT_THERE,
        sent_at=delivery.sent_at if delivery else None,
        withdrawn_at=result.withdrawn_at,
        why=result.withdrawn_why or "",
        path=result.path or "",
    )


def of_model(session: Session, model: str, *, version: str = "", since: float = 0.0) -> Any:
    """Return the condition for every result that a model had a part in, in reports made since a time.

    version: "" for any. A mask of another model is no part of it; what speaks of the whole study is.
    """
    runs = session.execute(sa.select(RunRow.id, RunRow.findings).where(RunRow.reported_at >= since)).all()
    ids = [run_id for run_id, findings in runs if _names(findings or {}, model, version)]
    foreign_mask = sa.and_(ResultRow.slot.like("seg:%"), ~ResultRow.slot.startswith(f"seg:{model}:", autoescape=True))
    return sa.and_(ResultRow.run_id.in_(ids), ~foreign_mask)


def models(session: Session) -> Sequence[str]:
    """Return every model that had a part in a report, each with its version."""
    reports = session.scalars(sa.select(RunRow.findings).where(RunRow.reported_at.is_not(None)))
    entries = [entry for findings in reports for entry in _entries(findings or {})]
    return sorted({f"{entry['name']} {entry['version']}" for entry in entries})


def _names(findings: Mapping[str, Any], model: str, version: str) -> bool:
    return any(entry["name"] == model and version in ("", entry["version"]) for entry in _entries(findings))


def _entries(findings: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [series["model"] for report in findings.values() for series in report.get("series", ())]
