"""What routing last said about every series and rule of a study, with the reasons it gave."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.storage.database import now
from dicom_ai.storage.tables import DecisionRow


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """One decision. reasons: plain sentences, each a predicate and the value it saw."""

    series_uid: str
    rule: str
    model: str
    taken: bool
    shadow: bool
    reasons: tuple[str, ...]


def replace(
    session: Session,
    study_uid: str,
    decisions: Sequence[StoredDecision],
    *,
    rules_version: int,
    keep: Collection[str] = (),
) -> None:
    """Put these decisions in the place of all earlier ones of the study.

    One that stays the same keeps its time, and the version of the rules that said so first. Those that are new have one
    time among them: by it they are known as one routing.

    keep: series whose rules' decisions stay, because their images can no longer be looked at.
    """
    at = now(session)
    stays = sa.and_(DecisionRow.series_uid.in_(keep), DecisionRow.rule != "")
    earlier = {
        (row.series_uid, row.rule, row.taken, row.shadow): (row.decided_at, row.rules_version)
        for row in session.scalars(sa.select(DecisionRow).where(DecisionRow.study_uid == study_uid))
    }
    session.execute(sa.delete(DecisionRow).where(DecisionRow.study_uid == study_uid, ~stays))
    for item in decisions:
        decided_at, version = earlier.get((item.series_uid, item.rule, item.taken, item.shadow), (at, rules_version))
        session.add(
            DecisionRow(
                study_uid=study_uid,
                series_uid=item.series_uid,
                rule=item.rule,
                model=item.model,
                taken=item.taken,
                shadow=item.shadow,
                reasons=list(item.reasons),
                rules_version=version,
                decided_at=decided_at,
            )
        )
    session.flush()


def all_of(session: Session, study_uid: str) -> Sequence[StoredDecision]:
    """Return the decisions of a study, by series and rule."""
    rows = session.scalars(
        sa.select(DecisionRow)
        .where(DecisionRow.study_uid == study_uid)
        .order_by(DecisionRow.series_uid, DecisionRow.rule)
    )
    return tuple(
        StoredDecision(row.series_uid, row.rule, row.model, row.taken, row.shadow, tuple(row.reasons)) for row in rows
    )
