"""How long the stages of the work took that ended in a span of time: counts by length, without study or patient."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.job import JobKind
from dicom_ai.domain.result import ResultKind
from dicom_ai.storage.tables import AttemptRow, InstanceRow, JobRow, OutboxRow, ResultRow, StudyRow

LIMITS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14_400)
"""What took no longer than each of these is counted at it."""

STAGES = ("waiting", "analysing", "reporting", "sending", "whole")
"""waiting: an analysis for a worker, from when it is due. whole: from a study's last image to its sent report."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What ended. within: how many took no longer than each limit."""

    number: int = 0
    total_s: float = 0.0
    within: tuple[int, ...] = (0,) * len(LIMITS_S)

    def __add__(self, other: "Spent") -> "Spent":
        within = tuple(one + more for one, more in zip(self.within, other.within, strict=True))
        return Spent(self.number + other.number, self.total_s + other.total_s, within)


def received(session: Session) -> int:
    """Return how many objects the node has noted since it was set up, by the number of the last one."""
    return session.scalar(sa.select(sa.func.max(InstanceRow.id))) or 0


def spent(session: Session, *, begin: float, end: float) -> Mapping[str, Spent]:
    """Return by stage what ended after begin and not after end."""
    of_job = sa.and_(JobRow.id == AttemptRow.job_id, AttemptRow.ended_at > begin, AttemptRow.ended_at <= end)
    worked = AttemptRow.ended_at - AttemptRow.started_at
    sent = (OutboxRow.sent_at > begin, OutboxRow.sent_at <= end)
    report = (ResultRow.id == OutboxRow.result_id, ResultRow.kind == ResultKind.SR)
    of_study = StudyRow.study_uid == ResultRow.study_uid
    analysis, reporting = JobRow.kind == JobKind.ANALYSE, JobRow.kind == JobKind.REPORT
    return {
        "waiting": _spent(session, AttemptRow.started_at - JobRow.available_at, of_job, analysis),
        "analysing": _spent(session, worked, of_job, analysis),
        "reporting": _spent(session, worked, of_job, reporting),
        "sending": _spent(session, OutboxRow.sent_at - OutboxRow.queued_at, *sent),
        "whole": _spent(session, OutboxRow.sent_at - StudyRow.last_received_at, *sent, *report, of_study),
    }


def ended(session: Session, *, begin: float, end: float) -> Mapping[tuple[str, str], int]:
    """Return how many tries of jobs ended in a span, by kind and outcome ("done", "failed", "lost", "retry", ...)."""
    query = (
        sa.select(JobRow.kind, AttemptRow.outcome, sa.func.count())
        .join(JobRow, JobRow.id == AttemptRow.job_id)
        .where(AttemptRow.ended_at > begin, AttemptRow.ended_at <= end)
        .group_by(JobRow.kind, AttemptRow.outcome)
    )
    return {(kind, outcome or ""): number for kind, outcome, number in session.execute(query)}


def _spent(session: Session, length_s: sa.ColumnElement[Any], *conditions: sa.ColumnElement[bool]) -> Spent:
    within = [sa.func.sum(sa.case((length_s <= limit, 1), else_=0)) for limit in LIMITS_S]
    # What began after it had ended (an image that came late, a clock that was set) took no time that means anything.
    query = sa.select(sa.func.count(), sa.func.sum(length_s), *within).where(*conditions, length_s >= 0)
    number, total_s, *counts = session.execute(query).one()
    return Spent(number, float(total_s or 0), tuple(int(count or 0) for count in counts))
