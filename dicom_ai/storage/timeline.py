"""What happened to a study, from its first image to the word of the archive that it has the results."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.browsing import Moment
from dicom_ai.domain.job import JobKind
from dicom_ai.storage import holds
from dicom_ai.storage.outbox import OutboxState
from dicom_ai.storage.tables import AttemptRow, AuditRow, DecisionRow, JobRow, OutboxRow, ResultRow, RunRow, StudyRow
from dicom_ai.storage.watch_tables import ConfirmationRow

_KINDS = {JobKind.ANALYSE: "analysis", JobKind.REPORT: "report"}
_TOLD_ELSEWHERE = ("viewed", "held", "noticed")


def of_study(session: Session, study_uid: str) -> Sequence[Moment]:
    """Return what happened to a study, oldest first; empty for an unknown one."""
    study = session.get(StudyRow, study_uid)
    if study is None:
        return ()
    moments = [Moment(study.first_received_at, "first image received", kind="receiving")]
    if study.last_received_at > study.first_received_at:
        moments.append(Moment(study.last_received_at, "last image received", kind="receiving"))
    for source in (_routing, _attempts, _runs, _deliveries, _confirmations, _holds, _persons):
        moments += source(session, study_uid)
    return tuple(sorted(moments, key=lambda moment: moment.at))


def _routing(session: Session, study_uid: str) -> Iterator[Moment]:
    """Yield each routing once, with what it decided anew: decisions of one routing have one time."""
    query = sa.select(DecisionRow.decided_at, DecisionRow.rules_version, DecisionRow.taken).where(
        DecisionRow.study_uid == study_uid
    )
    rounds: dict[tuple[float, int], list[bool]] = {}
    for at, version, taken in session.execute(query):
        rounds.setdefault((at, version), []).append(taken)
    for (at, version), answers in rounds.items():
        what = f"routed by rules version {version}"
        yield Moment(at, what, f"{sum(answers)} taken", "taken" if any(answers) else "not taken")


def _attempts(session: Session, study_uid: str) -> Iterator[Moment]:
    query = (
        sa.select(AttemptRow, JobRow)
        .join(JobRow, JobRow.id == AttemptRow.job_id)
        .where(JobRow.study_uid == study_uid)
        .order_by(AttemptRow.started_at)
    )
    for attempt, job in session.execute(query):
        what = f"{_KINDS[JobKind(job.kind)]}{f' by {job.model}' if job.model else ''}"
        if job.attempts > 1:
            what = f"{what}, try {attempt.number}"
        yield Moment(attempt.started_at, f"{what} began", "", "running")
        if attempt.ended_at is not None:
            reason = job.reason if attempt.number == job.attempts else ""
            yield Moment(attempt.ended_at, f"{what} ended", reason, attempt.outcome or "")


def _runs(session: Session, study_uid: str) -> Iterator[Moment]:
    for run in session.scalars(sa.select(RunRow).where(RunRow.study_uid == study_uid).order_by(RunRow.number)):
        yield Moment(run.created_at, f"run {run.number} began", run.reason, "collecting")
        if run.reported_at is not None:
            detail = "" if run.complete else "with what there was"
            yield Moment(run.reported_at, f"run {run.number} reported", detail, "reported")


def _deliveries(session: Session, study_uid: str) -> Iterator[Moment]:
    query = (
        sa.select(OutboxRow, ResultRow)
        .join(ResultRow, ResultRow.id == OutboxRow.result_id)
        .where(ResultRow.study_uid == study_uid, OutboxRow.state == OutboxState.SENT)
        .order_by(OutboxRow.id)
    )
    for row, result in session.execute(query):
        if row.sent_at is not None:
            yield Moment(row.sent_at, f"{result.kind.upper()} sent to {row.destination}", "", "sent")


def _confirmations(session: Session, study_uid: str) -> Iterator[Moment]:
    query = (
        sa.select(ConfirmationRow, OutboxRow, ResultRow)
        .join(OutboxRow, OutboxRow.id == ConfirmationRow.outbox_id)
        .join(ResultRow, ResultRow.id == OutboxRow.result_id)
        .where(ResultRow.study_uid == study_uid, ConfirmationRow.state != "sent")
    )
    for row, delivery, result in session.execute(query):
        detail = f"by {row.way}{f': {row.reason}' if row.reason else ''}"
        yield Moment(row.changed_at, f"{result.kind.upper()} {row.state} by {delivery.destination}", detail, row.state)


def _holds(session: Session, study_uid: str) -> Iterator[Moment]:
    for hold in holds.of_study(session, study_uid):
        yield Moment(hold.since, "held for a person" if hold.blocks else "noted for a person", hold.reason, "held")
        if hold.ended_at is not None:
            yield Moment(hold.ended_at, f"hold ended by {hold.who}: {hold.decision}", hold.why, "done")


def _persons(session: Session, study_uid: str) -> Iterator[Moment]:
    """Yield what people did; that they looked is in the trail, not here."""
    query = sa.select(AuditRow).where(AuditRow.subject == f"study {study_uid}").order_by(AuditRow.id)
    for row in session.scalars(query):
        if row.action not in _TOLD_ELSEWHERE and not row.action.startswith("hold"):
            yield Moment(
                row.at, f"{_WHOSE.get(row.action, f'{row.action} by')} {row.actor}", str(row.detail.get("why", "")), ""
            )


_WHOSE = {"images received": "images received from", "queried": "archive asked by"}
"""Action of the trail -> what it is called before the name of who did it, where that is not "... by"."""
