"""Models that a person has turned off: their rules take nothing and say so, and jobs that wait go on waiting."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.job import JobState
from dicom_ai.storage import audit
from dicom_ai.storage.database import lock_study, now
from dicom_ai.storage.neighbour_tables import ModelOffRow
from dicom_ai.storage.tables import JobRow


@dataclass(frozen=True, slots=True)
class Off:
    """A model that is off."""

    model: str
    since: float
    who: str
    why: str

    @property
    def says(self) -> str:
        """That it is off, as a reason."""
        day = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return f"model {self.model} is off since {day}, by {self.who}{f': {self.why}' if self.why else ''}"


def all_of(session: Session) -> Mapping[str, Off]:
    """Return the models that are off, by name."""
    rows = session.scalars(sa.select(ModelOffRow).order_by(ModelOffRow.model))
    return {row.model: Off(row.model, row.since, row.who, row.why) for row in rows}


def turn_off(session: Session, model: str, *, who: str, why: str) -> bool:
    """Let a model make nothing from now on; False where it is off already."""
    lock_study(session, f"model {model}")  # no study: any word makes one wait for the other
    if session.get(ModelOffRow, model) is not None:
        return False
    session.add(ModelOffRow(model=model, since=now(session), who=who, why=why))
    session.flush()
    audit.record(session, who, "model turned off", f"model {model}", {"why": why})
    return True


def turn_on(session: Session, model: str, *, who: str, why: str) -> bool:
    """Let it work again, and its jobs that wait at once; False where it is on already."""
    row = session.get(ModelOffRow, model)
    if row is None:
        return False
    waiting = session.scalars(sa.select(JobRow).where(JobRow.model == model, JobRow.state == JobState.QUEUED)).all()
    for job in waiting:
        job.available_at = min(job.available_at, now(session))
    audit.record(session, who, "model turned on", f"model {model}", {"why": why, "off_s": now(session) - row.since})
    session.delete(row)
    session.flush()
    return True
