"""What people make of results: accepted, corrected or rejected, with a reason; the latest word on a run counts."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.judgement import Judgement, NewJudgement, Tally, Verdict
from dicom_ai.errors import ConfigError
from dicom_ai.storage import audit
from dicom_ai.storage.database import now
from dicom_ai.storage.tables import RunRow
from dicom_ai.storage.web_tables import JudgementRow


def add(session: Session, run_id: int, new: NewJudgement) -> None:
    """Keep a judgement. Raises ConfigError where something other than accepted comes without a reason."""
    reason = new.reason.strip()
    if new.verdict is not Verdict.ACCEPTED and not reason:
        raise ConfigError(f"say why the result is {new.verdict.value}")
    row = JudgementRow(run_id=run_id, at=now(session), who=new.who, verdict=new.verdict, reason=reason)
    row.levels, row.scanner = list(new.levels), new.scanner
    session.add(row)
    session.flush()
    study_uid = session.get_one(RunRow, run_id).study_uid
    # Not the reason: people write names into it in spite of what they are told.
    audit.record(session, new.who, f"result {new.verdict.value}", f"study {study_uid}", {"run": run_id})


def of_run(session: Session, run_id: int) -> Sequence[Judgement]:
    """Return the judgements of a run, newest first."""
    rows = session.scalars(
        sa.select(JudgementRow).where(JudgementRow.run_id == run_id).order_by(JudgementRow.id.desc())
    )
    return tuple(_judgement(row) for row in rows)


def latest(session: Session, run_ids: Sequence[int]) -> Mapping[int, Judgement]:
    """Return the judgement that counts of each run that has one."""
    rows = session.scalars(
        sa.select(JudgementRow).where(JudgementRow.run_id.in_(list(run_ids))).order_by(JudgementRow.id)
    )
    return {row.run_id: _judgement(row) for row in rows}


def tally(session: Session, *, begin: float, end: float) -> Sequence[Tally]:
    """Return how the results judged in a span of time were judged, by scanner and level."""
    newest = sa.select(sa.func.max(JudgementRow.id)).group_by(JudgementRow.run_id)
    rows = session.scalars(
        sa.select(JudgementRow).where(JudgementRow.id.in_(newest), JudgementRow.at >= begin, JudgementRow.at < end)
    )
    counts: dict[tuple[str, str], dict[Verdict, int]] = {}
    for row in rows:
        for level in row.levels or [""]:
            by_verdict = counts.setdefault((row.scanner, level), dict.fromkeys(Verdict, 0))
            by_verdict[Verdict(row.verdict)] += 1
    return tuple(Tally(scanner, level, numbers) for (scanner, level), numbers in sorted(counts.items()))


def _judgement(row: JudgementRow) -> Judgement:
    return Judgement(row.at, row.who, Verdict(row.verdict), row.reason, tuple(row.levels))
