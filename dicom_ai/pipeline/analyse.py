"""A claimed job: have its series analysed and kept for the report. Who does that is handed in.

A job whose process ended, or took too long, counts as lost like one whose worker died: another process tries it
once more, then it is parked with the reason. One for which there is no memory is tried some times. What has nothing
to do with the study (disk, database, model folder) uses up none of its tries: it waits until that is mended. A model
that loads and then breaks over a series has failed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from dicom_ai.analysis.task import Task
from dicom_ai.domain.job import Job, JobState
from dicom_ai.domain.retries import Retries
from dicom_ai.errors import DeviceFull, DicomAiError, RejectedInput, Unavailable, WorkerLost
from dicom_ai.storage import folders, jobs, models_off, studies
from dicom_ai.storage.database import Database

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Analyst:
    """What an analysis needs.

    path: file store path -> file. folder: where analyses are kept. do: makes an analysis and keeps it; returns why it
    was made otherwise than usual, and raises what analysis.task.do raises, or WorkerLost. maximum_lost: so many
    processes may be lost over a job.
    """

    database: Database
    path: Callable[[str], Path]
    folder: Path
    do: Callable[[Task], str]
    retries: Retries
    maximum_lost: int


def run(analyst: Analyst, job: Job) -> JobState:
    """Do a claimed analysis and end the claim; return the state the job is in then.

    refused: the images; failed: something broke; queued: something was unavailable, and it is tried again. Raises
    Unavailable where the database takes no word of it.
    """
    with analyst.database.read() as session:
        off = models_off.all_of(session).get(job.model)
    if off is not None:  # it was on when the job was made: the job waits until it is again
        return _put_back(analyst, job, jobs.wait, off.says)
    try:
        otherwise = analyst.do(_task(analyst, job))
    except RejectedInput as error:
        return _end(analyst, job, JobState.REFUSED, str(error))
    except WorkerLost as error:
        return _lose(analyst, job, str(error))
    except DeviceFull as error:
        return _put_back(analyst, job, jobs.retry, str(error))
    except Unavailable as error:
        return _put_back(analyst, job, jobs.wait, str(error))
    except DicomAiError as error:
        return _end(analyst, job, JobState.FAILED, str(error))
    return _end(analyst, job, JobState.DONE, otherwise)


def _task(analyst: Analyst, job: Job) -> Task:
    with analyst.database.read() as session:
        study_uid = jobs.study_of(session, job)
        paths = studies.paths_of(session, study_uid, job.series_uid)
    return Task(
        study_uid=study_uid,
        series_uid=job.series_uid,
        paths=tuple(analyst.path(path) for path in paths),
        model=job.model,
        rule=job.rule,
        folder=analyst.folder / folders.attempt_name(job.id, job.attempts),
    )


def _lose(analyst: Analyst, job: Job, reason: str) -> JobState:
    with analyst.database.write() as session:
        state = jobs.lose(session, job, maximum_lost=analyst.maximum_lost, reason=reason)
    log.error("analysis lost", job_id=job.id, model=job.model, state=state.value, reason=reason)
    return state


def _put_back(analyst: Analyst, job: Job, how: Callable[..., JobState], reason: str) -> JobState:
    with analyst.database.write() as session:
        state: JobState = how(session, job, analyst.retries, reason=reason)
    log.warning("analysis postponed", job_id=job.id, model=job.model, state=state.value, reason=reason)
    return state


def _end(analyst: Analyst, job: Job, state: JobState, reason: str) -> JobState:
    with analyst.database.write() as session:
        held = jobs.finish(session, job, state, reason=reason)
    log.info("analysed", job_id=job.id, series_uid=job.series_uid, model=job.model, state=state.value, held=held)
    return state if held else JobState.SUPERSEDED
