"""Queue io: routing, reports and sending. Loads no model."""

import threading
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from dicom_ai.analysis.prior import Earlier
from dicom_ai.analysis.warm_up import warm_up
from dicom_ai.app import App
from dicom_ai.destinations.earlier_reports import Retrieve
from dicom_ai.domain.job import Job
from dicom_ai.domain.prior import Examination
from dicom_ai.errors import Unavailable
from dicom_ai.inference.manifest import read_manifest
from dicom_ai.pipeline import compare, evidence, prior, report, route, send
from dicom_ai.pipeline.compare import Comparer
from dicom_ai.pipeline.evidence import Observer
from dicom_ai.pipeline.prior import Asker
from dicom_ai.pipeline.report import Reporter
from dicom_ai.pipeline.route import Router
from dicom_ai.pipeline.send import Sender
from dicom_ai.storage import jobs, outbox
from dicom_ai.storage.outbox import Turn
from dicom_ai.worker.heartbeat import beating, tell
from dicom_ai.worker.owners import new_owner
from dicom_ai.worker.unexpected import describe

QUEUE = "io"
log = structlog.get_logger()


class IoWork:
    """What the threads of queue io do. ring_gpu: tells the other queue that analyses are due."""

    def __init__(self, app: App, ring_gpu: Callable[[], None]) -> None:
        timing = app.settings.timing
        self._app = app
        self._ring_gpu = ring_gpu
        self._lease_s = timing.lease_s
        self.owner = new_owner()
        self._stopping = threading.Event()
        self._comparer = Comparer(app.database, app.files.path, timing.lease_s)
        self._observer = Observer(
            database=app.database,
            path=app.files.path,
            count=self._count if app.archive else None,
            settled_s=timing.study_quiet_s,
            association_stale_s=timing.association_stale_s,
            archive=app.archive,
        )
        self._router = Router(
            database=app.database,
            path=app.files.path,
            model_digest=self._model_digest,
            series_quiet_s=timing.series_quiet_s,
            lease_s=timing.lease_s,
            max_study_age_days=app.settings.brakes.max_study_age_days,
            rule_rate_factor=app.settings.brakes.rule_rate_factor,
            rule_rate_least=app.settings.brakes.rule_rate_least,
        )
        self._reporter = Reporter(
            database=app.database,
            path=app.files.path,
            data_dir=app.files.root,
            analyses=app.analyses,
            destinations=app.destinations,
            retries=app.retries,
            most_versions=app.settings.brakes.most_versions,
            thresholds=app.settings.findings.thresholds,
            find_earlier=self._earlier if app.settings.prior.archive else None,
        )
        self._sender = Sender(app.database, app.files.path, app.destinations, app.retries)

    def warm_up(self) -> None:
        """Load what the writers load on first use, so that the first report does not wait for it."""
        try:
            warm_up()
        except OSError as error:
            log.warning("no warm-up", reason=error.strerror)

    def run_due(self) -> None:
        """Compare, route, report, send and look for evidence until nothing is due."""
        if not self._app.files.present:
            log.warning("the data folder is empty: is its volume mounted? Work waits")
            return
        while (
            self._tried("comparing", self._compare)
            or self._tried("routing", self._route)
            or self._report()
            or self._send()
            or self._tried("asking a destination", self._ask_again)
            or self._tried("looking for evidence", self._look)
        ):
            pass

    def stop(self) -> None:
        """Put back what is still being worked on: the process is about to end."""
        self._stopping.set()
        with self._app.database.write() as session:
            jobs.release(session, self.owner)

    def _tried(self, named: str, step: Callable[[], bool]) -> bool:
        """Return whether a step had anything to do; what failed waits for its lease, the clock or a quiet time."""
        try:
            return step()
        except Exception as error:  # noqa: BLE001 - one of the three places: it is looked at again later
            log.error(f"{named} failed", **describe(error).fields)
            return False

    def _compare(self) -> bool:
        return compare.run(self._comparer) is not None

    def _route(self) -> bool:
        routed = route.run(self._router)
        if routed is not None:
            self._ring_gpu()
        return routed is not None

    def _report(self) -> bool:
        with self._app.database.write() as session:
            job = jobs.claim_next(session, QUEUE, self.owner, self._lease_s)
        if job is None:
            return False
        with structlog.contextvars.bound_contextvars(job_id=job.id, attempt=job.attempts):
            try:
                with beating(lambda: self._beat(job), self._lease_s):
                    report.run(self._reporter, job)
            except Unavailable as error:
                tell(partial(self._wait, job, str(error)), self._stopping)
            except Exception as error:  # noqa: BLE001 - one of the three places: it becomes a job state
                reason = describe(error)
                log.error("report failed", **reason.fields)
                tell(partial(report.fail, self._app.database, job, reason.text), self._stopping)
        return True

    def _count(self, study_uid: str) -> Mapping[str, int]:
        """Return what the archive counts of a study, wherever a page says that it is now."""
        archive = self._app.archive
        return evidence.counting(archive)(study_uid) if archive else {}

    def _earlier(self, examination: Examination) -> Earlier:
        """Ask for the earlier report of a patient; whatever happens to the question, the report is made."""
        archive, settings = self._app.prior_archive, self._app.settings
        if archive is None:
            return Earlier()
        how = Retrieve(settings.prior.retrieve)
        asker = Asker(
            self._app.database, self._app.files.path, archive, settings.node.ae_title, how, settings.prior.limit_s
        )
        try:
            return prior.find(asker, examination)
        except Exception as error:  # noqa: BLE001 - one of the three places: the report goes without a comparison
            reason = describe(error)
            log.error("looking for an earlier report failed", **reason.fields)
            return Earlier(reason=reason.text, failed=True)

    def _send(self) -> bool:
        turn = send.claim(self._sender, self.owner, self._lease_s)
        if turn is None:
            return False
        try:
            with beating(lambda: self._beat_turn(turn), self._lease_s):
                send.run(self._sender, turn)
        except Exception as error:  # noqa: BLE001 - one of the three places: it becomes the state of the deliveries
            reason = describe(error)
            log.error("sending failed", destination=turn.destination, **reason.fields)
            send.abandon(self._sender, turn, reason.text)
        return True

    def _look(self) -> bool:
        return evidence.run(self._observer) is not None

    def _ask_again(self) -> bool:
        return send.ask_again(self._sender)

    def _wait(self, job: Job, reason: str) -> None:
        with self._app.database.write() as session:
            jobs.wait(session, job, self._app.retries, reason=reason)

    def _beat(self, job: Job) -> bool:
        with self._app.database.write() as session:
            return jobs.heartbeat(session, job, self._lease_s)

    def _beat_turn(self, turn: Turn) -> bool:
        with self._app.database.write() as session:
            return outbox.beat(session, turn, self._lease_s)

    def _model_digest(self, name: str) -> str:
        """Return the digest over the weights that a model's manifest names. Raises ModelError."""
        manifest = read_manifest(self._app.models_folder / name)
        return ",".join(sorted(weights.sha256 for weights in manifest.weights))


def ring_quietly(ring: Callable[[], None]) -> Callable[[], None]:
    """Return a ring that only logs when the broker is away: the clock rings again."""

    def ring_once() -> None:
        try:
            ring()
        except Unavailable as error:
            log.warning("no token sent", reason=str(error))

    return ring_once
