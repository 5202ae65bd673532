"""How many series a rule takes: within the last hour, and in its busiest hour of late."""

from collections import Counter
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.storage.database import now
from dicom_ai.storage.pauses import RESUMED, PauseKind, Subject
from dicom_ai.storage.tables import AuditRow, DecisionRow

HOUR_S = 3600.0
RECENT_DAYS = 14


@dataclass(frozen=True, slots=True)
class Rate:
    """Series that a rule took and whose results leave. busiest_hour: the most in an hour of the days before."""

    last_hour: int
    busiest_hour: int


def rate_of(session: Session, rule: str, *, more_than: int) -> Rate | None:
    """Return the rate of a rule; None while its last hour has no more than so many, which costs next to nothing.

    What came before a person resumed the rule is no part of the last hour: that was looked at, and counts as usual.
    """
    at = now(session)
    begin = max(at - HOUR_S, _resumed_at(session, rule))
    taken = (DecisionRow.rule == rule, DecisionRow.taken, DecisionRow.shadow.is_(False))
    query = sa.select(sa.func.count()).where(*taken, DecisionRow.decided_at > begin)
    last_hour = session.scalar(query) or 0
    if last_hour <= more_than:
        return None
    earlier = session.scalars(
        sa.select(DecisionRow.decided_at).where(
            *taken, DecisionRow.decided_at <= begin, DecisionRow.decided_at > begin - RECENT_DAYS * 24 * HOUR_S
        )
    )
    hours = Counter(int((begin - moment) // HOUR_S) for moment in earlier)
    return Rate(last_hour, max(hours.values(), default=0))


def _resumed_at(session: Session, rule: str) -> float:
    subject = Subject(PauseKind.RULE, rule).text
    query = sa.select(sa.func.max(AuditRow.at)).where(AuditRow.action == RESUMED, AuditRow.subject == subject)
    return session.scalar(query) or 0.0
