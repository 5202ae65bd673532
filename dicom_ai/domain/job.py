"""Jobs and study runs: the states they may take and the moves between them."""

from dataclasses import dataclass
from enum import StrEnum


class JobKind(StrEnum):
    """What a job does; each kind has one queue."""

    ANALYSE = "analyse"
    REPORT = "report"


class JobState(StrEnum):
    """Where a job is. refused: the images are not suitable; failed: something broke; superseded: newer images came."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    SUPERSEDED = "superseded"


NEXT: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.SUPERSEDED}),
    JobState.RUNNING: frozenset(
        {JobState.QUEUED, JobState.DONE, JobState.REFUSED, JobState.FAILED, JobState.SUPERSEDED}
    ),
    JobState.DONE: frozenset({JobState.SUPERSEDED}),
    JobState.REFUSED: frozenset({JobState.QUEUED, JobState.SUPERSEDED}),
    JobState.FAILED: frozenset({JobState.QUEUED, JobState.SUPERSEDED}),
    JobState.SUPERSEDED: frozenset(),
}
"""The moves a job may make; storage/jobs.py refuses any other."""

FINISHED = frozenset({JobState.DONE, JobState.REFUSED, JobState.FAILED, JobState.SUPERSEDED})


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job: what to do, for which series of which run, and by which fencing token it may be finished."""

    id: int
    kind: JobKind
    run_id: int
    attempts: int
    owner: str
    series_uid: str = ""
    model: str = ""
    rule: str = ""
