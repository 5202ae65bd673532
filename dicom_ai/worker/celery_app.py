"""Celery as the bell: a token says "do what is due in this queue" and nothing else (docs/operations.md).

Tokens may be lost or repeated: the claim in the database decides, and the clock rings again. The same code runs on
memory:// within one process and on Redis or RabbitMQ between processes.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog
from celery import Celery
from celery.worker import WorkController
from kombu.exceptions import OperationalError

from dicom_ai.errors import Unavailable

log = structlog.get_logger()

MEMORY = "memory://"
"""The broker of a node in one process."""


def make_celery(broker_url: str) -> Celery:
    """Return a Celery application that carries tokens."""
    url = "memory://localhost//" if broker_url == MEMORY else broker_url
    celery = Celery("dicom_ai", broker=url, set_as_current=False)
    celery.conf.update(
        task_acks_late=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"polling_interval": 0.1} if broker_url == MEMORY else {},
    )
    return celery


def reach(broker_url: str) -> None:
    """Raise Unavailable unless the broker answers."""
    try:
        with make_celery(broker_url).connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=5)
    except (OperationalError, OSError) as error:
        raise Unavailable(f"broker: {error}") from error


class Bell:
    """Rings for a queue."""

    def __init__(self, broker_url: str) -> None:
        self._celery = make_celery(broker_url)
        self._lock = threading.Lock()

    def ring(self, queue: str, times: int = 1) -> None:
        """Send tokens to a queue. Raises Unavailable when the broker does not answer."""
        try:
            with self._lock:
                for _ in range(times):
                    self._celery.send_task(_task(queue), queue=queue, retry=False, ignore_result=True)
        except OperationalError as error:
            raise Unavailable(f"broker: {error}") from error


@dataclass(frozen=True, slots=True)
class QueueWork:
    """What is done for a queue, and by how many threads at most.

    run_due: does what is due until nothing is; raises nothing but Unavailable, when the database is away.
    """

    run_due: Callable[[], None]
    threads: int


class Worker:
    """Threads that take the tokens of some queues. One per process: Celery keeps its tasks per process.

    Threads, because a forked child of a process that has run a model hangs in it.
    """

    def __init__(self, broker_url: str, work: Mapping[str, QueueWork]) -> None:
        celery = make_celery(broker_url)
        for queue, item in work.items():
            celery.task(name=_task(queue), shared=False, ignore_result=True)(_Slots(item).run)
        celery.set_default()  # the threads of the pool look their tasks up there
        self._controller = WorkController(
            app=celery,
            pool="threads",
            concurrency=sum(item.threads for item in work.values()),
            queues=list(work),
            hostname=f"{'-'.join(work)}@dicom-ai",
            without_mingle=True,
            without_gossip=True,
            without_heartbeat=True,
            loglevel=logging.WARNING,
        )
        self._thread = threading.Thread(target=self._controller.start, name="worker", daemon=True)

    def start(self) -> None:
        """Begin to take tokens."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether tokens are taken; a worker that ended on its own cannot be started again."""
        return self._thread.is_alive()

    def stop(self, *, grace_s: float = 10) -> bool:
        """Take no more tokens, and wait for the work at hand; return whether it ended in time."""
        stopper = threading.Thread(target=self._controller.stop, daemon=True)
        stopper.start()
        stopper.join(grace_s)
        self._thread.join(0.1 if stopper.is_alive() else grace_s)
        return not stopper.is_alive()


class _Slots:
    """Lets a queue use so many threads and no more; a token that finds none free is dropped.

    Nothing is lost by that: whoever has a slot looks for work once more after giving it back.
    """

    def __init__(self, work: QueueWork) -> None:
        self._work = work
        self._free = threading.Semaphore(work.threads)

    def run(self) -> None:
        for _ in range(2):
            if not self._free.acquire(blocking=False):
                return
            try:
                self._work.run_due()
            except Unavailable as error:  # the clock rings again; Celery would log it with its whole traceback
                log.warning("work waits", reason=str(error))
            finally:
                self._free.release()


def _task(queue: str) -> str:
    return f"dicom_ai.run_due_{queue}"
