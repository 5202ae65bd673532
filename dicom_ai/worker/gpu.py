"""Queue gpu: analyses, one after another, with the models loaded once per process."""

import structlog

from dicom_ai.app import App
from dicom_ai.domain.job import Job, JobState
from dicom_ai.errors import ModelError
from dicom_ai.inference.registry import ModelStore
from dicom_ai.pipeline import analyse
from dicom_ai.pipeline.analyse import Analyst
from dicom_ai.storage import jobs
from dicom_ai.worker.heartbeat import beating
from dicom_ai.worker.owners import new_owner
from dicom_ai.worker.unexpected import describe

QUEUE = "gpu"
log = structlog.get_logger()


class GpuWork:
    """What the threads of queue gpu do."""

    def __init__(self, app: App, models: ModelStore | None = None) -> None:
        self._app = app
        settings = app.settings.models
        self._models = models or ModelStore(
            app.models_folder, device=settings.device, runtime=settings.runtime, threads=settings.threads
        )
        self.owner = new_owner()
        self._analyst = Analyst(
            database=app.database,
            path=app.files.path,
            folder=app.analyses,
            predictor=self._models.load,
            retries=app.retries,
        )

    def warm_up(self) -> dict[str, str]:
        """Load every model, so that the first study does not wait; return what each really runs on, or why not."""
        outcomes = {}
        for name in self._models.names():
            try:
                outcomes[name] = self._models.load(name).reference.device
            except ModelError as error:
                outcomes[name] = f"refused: {error}"
                log.error("model refused", model=name, reason=str(error))
        return outcomes

    def run_due(self) -> None:
        """Do analyses until none is due."""
        while job := self._claim():
            self._run(job)

    def stop(self) -> None:
        """Put back what is still being worked on: the process is about to end."""
        with self._app.database.write() as session:
            jobs.release(session, self.owner)

    def _claim(self) -> Job | None:
        with self._app.database.write() as session:
            return jobs.claim_next(session, QUEUE, self.owner, self._app.settings.timing.lease_s)

    def _run(self, job: Job) -> None:
        lease_s = self._app.settings.timing.lease_s
        with structlog.contextvars.bound_contextvars(job_id=job.id, attempt=job.attempts):
            try:
                with beating(lambda: self._beat(job), lease_s):
                    analyse.run(self._analyst, job)
            except Exception as error:  # noqa: BLE001 - one of the three places: it becomes a job state
                reason = describe(error)
                log.error("analysis failed", **reason.fields)
                with self._app.database.write() as session:
                    jobs.finish(session, job, JobState.FAILED, reason=reason.text)

    def _beat(self, job: Job) -> bool:
        with self._app.database.write() as session:
            return jobs.heartbeat(session, job, self._app.settings.timing.lease_s)
