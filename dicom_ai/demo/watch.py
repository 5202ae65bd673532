"""What the node is doing with a study, read from its database: each step is told once, when it happens."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from dicom_ai.domain.job import FINISHED, JobKind, JobState
from dicom_ai.domain.run import RunState
from dicom_ai.storage import decisions, jobs, results, runs
from dicom_ai.storage.database import Database
from dicom_ai.storage.jobs import JobStatus

Say = Callable[[str, str], None]
"""Tells a person what happened: the step, and a sentence."""


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """How a study ended. expected: SOP Instance UIDs of what was made; problems: why something is missing."""

    study_uid: str
    expected: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()


@dataclass
class Watch:
    """Follows one study through the node.

    names: series UID -> what people call it. say: where each step is told.
    """

    database: Database
    study_uid: str
    names: dict[str, str]
    say: Say
    _told: set[str] = field(default_factory=set)
    _started: float = field(default_factory=time.monotonic)

    def look(self) -> StudyOutcome | None:
        """Tell what is new; return how the study ended, once it has."""
        with self.database.read() as session:
            decided = decisions.all_of(session, self.study_uid)
            work = [job for job in jobs.all_of(session, self.study_uid) if job.kind is JobKind.ANALYSE]
            newest = max(runs.all_of(session, self.study_uid), key=lambda run: run.number, default=None)
            made = results.all_of(session, self.study_uid, PurePath())
        for decision in decided:
            if decision.taken:
                self._tell(
                    "route", f"{self._name(decision.series_uid)} goes to {decision.model} by rule {decision.rule!r}"
                )
        for job in work:
            self._tell_job(job)
        if decided and not work:
            reasons = tuple(f"{self._name(one.series_uid)}: {one.rule}: {'; '.join(one.reasons)}" for one in decided)
            return StudyOutcome(self.study_uid, problems=("no rule took any series", *reasons))
        if newest is None or newest.state is not RunState.REPORTED:
            return None
        self._tell("report", f"run {newest.number}: {len(made)} objects written; {self._clock()}")
        return StudyOutcome(
            self.study_uid, frozenset(item.identity.sop_instance_uid for item in made), self._problems(work)
        )

    def _tell_job(self, job: JobStatus) -> None:
        name = f"{self._name(job.series_uid)}: {job.model}"
        if job.state is JobState.RUNNING:
            self._tell("analyse", f"{name} is running")
        elif job.state in FINISHED:
            reason = f": {job.reason}" if job.reason else ""
            self._tell("analyse", f"{name} {job.state.value}{reason}; {self._clock()}")

    def _problems(self, work: Sequence[JobStatus]) -> tuple[str, ...]:
        return tuple(
            f"{self._name(job.series_uid)}: {job.model} {job.state.value}: {job.reason}"
            for job in work
            if job.state in (JobState.REFUSED, JobState.FAILED)
        )

    def _tell(self, step: str, what: str) -> None:
        key = f"{step} {what.split(';')[0]}"
        if key not in self._told:
            self._told.add(key)
            self.say(step, what)

    def _name(self, series_uid: str) -> str:
        return self.names.get(series_uid, f"…{series_uid[-12:]}")

    def _clock(self) -> str:
        return f"{time.monotonic() - self._started:.1f} s after the last image"
