"""The whole node in one process, or one of its parts: listener, workers and clock, started and stopped in order.

`dicom-ai serve` and the demo start all of it; `listen`, `work` and `schedule` start one part each.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from dicom_ai.app import App, open_app, prepare, refuse_loops, refuse_loops_in_force
from dicom_ai.errors import ConfigError, Unavailable
from dicom_ai.inference.predictor import Models
from dicom_ai.listener import Listener
from dicom_ai.settings import Settings
from dicom_ai.storage import schema
from dicom_ai.worker.celery_app import MEMORY, Bell, QueueWork, Worker
from dicom_ai.worker.clock import Clock
from dicom_ai.worker.gpu import QUEUE as GPU
from dicom_ai.worker.gpu import GpuWork
from dicom_ai.worker.io import QUEUE as IO
from dicom_ai.worker.io import IoWork, ring_quietly
from dicom_ai.worker.rounds import Rounds, note_devices

if TYPE_CHECKING:
    from dicom_ai.web.server import WebPart

log = structlog.get_logger()

WATCH_S = 5.0
"""How often a process looks whether its parts still live."""

GRACE_S = 10.0
"""How long a stop waits for the work at hand; what is not done then is put back in its queue."""


class WorkPart:
    """The threads of one queue or of both.

    gpu: one model run at a time unless told otherwise, each in a process of its own, where open_models is called (None:
    the models folder of the settings). io: at least two threads more than there are destinations, so that slow peers
    never stop the rest.
    """

    def __init__(
        self, app: App, queues: Sequence[str] = (GPU, IO), *, open_models: Callable[[], Models] | None = None
    ) -> None:
        workers = app.settings.workers
        bell = Bell(workers.broker_url)
        self._app = app
        self._gpu = GpuWork(app, open_models) if GPU in queues else None
        self._io = IoWork(app, ring_quietly(lambda: bell.ring(GPU))) if IO in queues else None
        work = {}
        if self._gpu:
            work[GPU] = QueueWork(self._gpu.run_due, workers.gpu_threads)
        if self._io:
            work[IO] = QueueWork(self._io.run_due, max(workers.io_threads, len(app.destinations) + 2))
        self._worker = Worker(workers.broker_url, work)
        self.devices: Mapping[str, str] = {}

    def start(self) -> None:
        """Load the models, then take work."""
        if self._gpu:
            self.devices = self._gpu.warm_up()
            note_devices(self._app, self.devices)
        if self._io:
            threading.Thread(target=self._io.warm_up, name="warm-up", daemon=True).start()
        self._worker.start()

    @property
    def alive(self) -> bool:
        """Whether work is taken."""
        return self._worker.alive

    def stop(self) -> bool:
        """Stop; return whether the work at hand ended in time. What did not is put back."""
        ended = self._worker.stop(grace_s=GRACE_S)
        for work in (self._gpu, self._io):
            if work:
                work.stop()
        return ended


class ClockPart:
    """The clock, and the rounds made beside it."""

    def __init__(self, app: App) -> None:
        bell = Bell(app.settings.workers.broker_url)
        self._clock = Clock(app, bell.ring)
        self._rounds = Rounds(app)

    def start(self) -> None:
        """Begin to tick."""
        self._clock.start()
        self._rounds.start()

    @property
    def alive(self) -> bool:
        """Whether the clock ticks, and makes its rounds."""
        return self._clock.alive and self._rounds.alive

    def stop(self) -> bool:
        """Stop after the tick at hand."""
        self._rounds.stop()
        self._clock.stop()
        return True


class Node:
    """Everything in one process: SQLite and memory:// do, a server is not needed.

    rules_on: rules that seed an empty database are on as the file says, instead of in shadow (demo, tests).
    pages: the administrator's pages are served as well; where their port is taken, the node works without them.
    """

    def __init__(self, settings: Settings, *, rules_on: bool = False, pages: bool = False) -> None:
        refuse_loops(settings)
        self.app = open_app(settings)
        prepare(self.app, rules_on=rules_on)
        refuse_loops_in_force(self.app)
        self.listener = Listener(settings, self.app.database, self.app.files, self.app.neighbours)
        self._work = WorkPart(self.app)
        self._clock = ClockPart(self.app)
        self._web = _pages(self.app) if pages else None

    def start(self) -> None:
        """Start everything; images are received from the moment this returns, or earlier."""
        self.listener.start()
        self._work.start()
        self._clock.start()
        if self._web:
            self._web.start()
        self.app.note_process("started", "serve")

    def stop(self) -> bool:
        """Stop receiving first, then the clock and the workers; return whether the work at hand ended in time."""
        self.listener.stop()
        if self._web:
            self._web.stop()
        self._clock.stop()
        ended = self._work.stop()
        self.app.note_process("stopped", "serve")
        self.app.close()
        return ended

    @property
    def alive(self) -> bool:
        """Whether clock, workers and pages live."""
        return self._clock.alive and self._work.alive and (self._web is None or self._web.alive)

    @property
    def port(self) -> int:
        """The TCP port that is really listened on."""
        return self.listener.port

    @property
    def description(self) -> str:
        """One line: what listens, and what runs the models."""
        node = self.app.settings.node
        models = ", ".join(f"{name} on {device}" for name, device in self._work.devices.items()) or "none installed"
        pages = f"; pages on {self._web.address}" if self._web else ""
        return f"{node.ae_title} listening on {node.address}:{self.port}; models: {models}{pages}"


def _pages(app: App) -> "WebPart | None":
    from dicom_ai.web.server import WebPart  # only a node with pages loads what serves them

    try:
        return WebPart(app)
    except ConfigError as error:
        log.error("no pages", reason=str(error))
        return None


def require_broker(settings: Settings) -> None:
    """Raise ConfigError when processes that run apart have no broker between them."""
    if settings.workers.broker_url == MEMORY:
        raise ConfigError("workers.broker_url is memory://, which ends at this process: use serve, or set redis://...")


def open_part(settings: Settings) -> App:
    """Open what one process of several shares; the database must be at this release (dicom-ai db upgrade)."""
    require_broker(settings)
    refuse_loops(settings)
    app = open_app(settings)
    schema.require_newest(app.database)
    refuse_loops_in_force(app)
    return app


def run_until(part: "WorkPart | ClockPart | WebPart | Node", stop: threading.Event) -> bool:
    """Wait for the event and stop what was started; return whether the work at hand ended in time.

    Raises Unavailable when a part has ended on its own: a process that only looks alive must be replaced.
    """
    while not stop.wait(WATCH_S):
        if not part.alive:
            raise Unavailable("a part of this process has ended on its own; it must be started again")
    return part.stop()
