"""A claimed job: read the series, run the model, keep what a report needs. The predictor is handed in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from dicom_ai.analysis import kept
from dicom_ai.analysis.series import analyse_series
from dicom_ai.dicom.kept_series import read_series
from dicom_ai.domain.job import Job, JobState
from dicom_ai.domain.retries import Retries
from dicom_ai.errors import DicomAiError, RejectedInput, Unavailable
from dicom_ai.inference.predictor import Predictor
from dicom_ai.storage import folders, jobs, studies
from dicom_ai.storage.database import Database

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Analyst:
    """What an analysis needs.

    path: file store path -> file. folder: where analyses are kept. predictor: model name -> loaded model, or raises
    ModelError.
    """

    database: Database
    path: Callable[[str], Path]
    folder: Path
    predictor: Callable[[str], Predictor]
    retries: Retries


def run(analyst: Analyst, job: Job) -> JobState:
    """Do a claimed analysis and end the claim; return the state the job is in then.

    refused: the images; failed: something broke; queued: something was unavailable, and it is tried again.
    """
    try:
        _analyse(analyst, job)
    except RejectedInput as error:
        return _end(analyst, job, JobState.REFUSED, str(error))
    except Unavailable as error:
        return _retry(analyst, job, str(error))
    except DicomAiError as error:
        return _end(analyst, job, JobState.FAILED, str(error))
    return _end(analyst, job, JobState.DONE, "")


def _analyse(analyst: Analyst, job: Job) -> None:
    with analyst.database.read() as session:
        study_uid = jobs.study_of(session, job)
        paths = studies.paths_of(session, study_uid, job.series_uid)
    predictor = analyst.predictor(job.model)
    series = read_series(study_uid, job.series_uid, [analyst.path(path) for path in paths])
    analysis = analyse_series(series, predictor, rule=job.rule)
    with folders.new_folder(analyst.folder / folders.attempt_name(job.id, job.attempts)) as folder:
        kept.save(analysis, folder)


def _retry(analyst: Analyst, job: Job, reason: str) -> JobState:
    if job.attempts >= analyst.retries.maximum:
        return _end(analyst, job, JobState.FAILED, f"given up after {job.attempts} tries: {reason}")
    delay_s = analyst.retries.delay_s(job.attempts)
    with analyst.database.write() as session:
        held = jobs.retry(session, job, delay_s=delay_s, reason=reason)
    log.warning("analysis postponed", job_id=job.id, delay_s=delay_s, reason=reason, held=held)
    return JobState.QUEUED


def _end(analyst: Analyst, job: Job, state: JobState, reason: str) -> JobState:
    with analyst.database.write() as session:
        held = jobs.finish(session, job, state, reason=reason)
    log.info("analysed", job_id=job.id, series_uid=job.series_uid, model=job.model, state=state.value, held=held)
    return state if held else JobState.SUPERSEDED
