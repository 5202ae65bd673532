"""Queue gpu: analyses, one after another, in processes that keep the models loaded and can be replaced."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog

from dicom_ai.analysis.task import WAYS, WAYS_ON_GPU, Task
from dicom_ai.app import App
from dicom_ai.domain.job import Job, JobState
from dicom_ai.errors import DeviceFull, ModelError, Unavailable, WorkerLost
from dicom_ai.inference.predictor import Models
from dicom_ai.inference.registry import ModelStore
from dicom_ai.pipeline import analyse
from dicom_ai.pipeline.analyse import Analyst
from dicom_ai.storage import jobs
from dicom_ai.worker.heartbeat import beating, tell
from dicom_ai.worker.model_process import ModelProcess
from dicom_ai.worker.owners import new_owner
from dicom_ai.worker.unexpected import describe

QUEUE = "gpu"
LONGEST_END_S = 5.0
"""How long a stop waits until its threads have seen that their processes are gone."""

log = structlog.get_logger()


class GpuWork:
    """What the threads of queue gpu do. open_models: see ModelProcess; None: the models folder of the settings."""

    def __init__(self, app: App, open_models: Callable[[], Models] | None = None) -> None:
        self._app = app
        settings = app.settings.models
        open_models = open_models or partial(
            ModelStore, app.models_folder, device=settings.device, runtime=settings.runtime, threads=settings.threads
        )
        fallback = settings.device_fallback and settings.device != "require_gpu"
        self._models = open_models()  # for names and manifests; nothing is loaded in this process
        self._processes = [
            ModelProcess(open_models, ways=WAYS if fallback else WAYS_ON_GPU)
            for _ in range(app.settings.workers.gpu_threads)
        ]
        self._idle: queue.SimpleQueue[ModelProcess] = queue.SimpleQueue()
        for process in self._processes:
            self._idle.put(process)
        self._stopping = threading.Event()
        self.owner = new_owner()

    def warm_up(self) -> dict[str, str]:
        """Load every model, so that the first study does not wait; return what each really runs on, or why not."""
        outcomes = {}
        for name in self._models.names():
            for process in self._processes:
                try:
                    outcomes[name] = process.load(name)
                except (ModelError, DeviceFull, WorkerLost) as error:
                    outcomes[name] = f"refused: {error}"
                    log.error("model refused", model=name, reason=str(error))
        return outcomes

    def run_due(self) -> None:
        """Do analyses until none is due."""
        if not self._app.files.present:
            log.warning("the data folder is empty: is its volume mounted? Work waits")
            return
        process = self._idle.get()
        try:
            while not self._stopping.is_set() and (job := self._claim()):
                self._run(job, process)
        finally:
            self._idle.put(process)

    def stop(self) -> None:
        """Put back what is still being worked on, and end the processes: this one is about to end."""
        self._stopping.set()
        with self._app.database.write() as session:
            jobs.release(session, self.owner)
        for process in self._processes:
            process.close()
        with suppress(queue.Empty):  # until the threads have seen it
            for _ in self._processes:
                self._idle.get(timeout=LONGEST_END_S)

    def _claim(self) -> Job | None:
        with self._app.database.write() as session:
            return jobs.claim_next(session, QUEUE, self.owner, self._app.settings.timing.lease_s)

    def _run(self, job: Job, process: ModelProcess) -> None:
        analyst = Analyst(
            database=self._app.database,
            path=self._app.files.path,
            folder=self._app.analyses,
            do=partial(self._do, process),
            retries=self._app.retries,
            maximum_lost=self._app.settings.timing.maximum_lost,
        )
        with structlog.contextvars.bound_contextvars(job_id=job.id, attempt=job.attempts):
            try:
                with beating(lambda: self._beat(job), self._app.settings.timing.lease_s):
                    analyse.run(analyst, job)
            except Unavailable as error:
                tell(partial(self._wait, job, str(error)), self._stopping)
            except Exception as error:  # noqa: BLE001 - one of the three places: it becomes a job state
                reason = describe(error)
                log.error("analysis failed", **reason.fields)
                tell(partial(self._fail, job, reason.text), self._stopping)

    def _wait(self, job: Job, reason: str) -> None:
        with self._app.database.write() as session:
            jobs.wait(session, job, self._app.retries, reason=reason)

    def _fail(self, job: Job, reason: str) -> None:
        with self._app.database.write() as session:
            jobs.finish(session, job, JobState.FAILED, reason=reason)

    def _do(self, process: ModelProcess, task: Task) -> str:
        """Have a task done; the time for loading its model, where that is needed, is not the model's own.

        A model that is not there, or does not load, is no fault of the task: raises Unavailable.
        """
        try:
            limit_s = self._models.manifest(task.model).longest_run_s
            with suppress(DeviceFull):  # the task itself tries every way to run the model
                process.load(task.model)
        except ModelError as error:
            raise Unavailable(str(error)) from error
        return process.do(task, limit_s=limit_s)

    def _beat(self, job: Job) -> bool:
        with self._app.database.write() as session:
            return jobs.heartbeat(session, job, self._app.settings.timing.lease_s)
