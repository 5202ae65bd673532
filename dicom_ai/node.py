"""The whole node in one process, or one of its parts: listener, workers and clock, started and stopped in order.

`dicom-ai serve` and the demo start all of it; `listen`, `work` and `schedule` start one part each.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from dicom_ai.app import App, open_app, prepare
from dicom_ai.errors import ConfigError
from dicom_ai.inference.registry import ModelStore
from dicom_ai.listener import Listener
from dicom_ai.settings import Settings
from dicom_ai.storage import schema
from dicom_ai.worker.celery_app import Bell, Worker
from dicom_ai.worker.clock import Clock
from dicom_ai.worker.gpu import QUEUE as GPU
from dicom_ai.worker.gpu import GpuWork
from dicom_ai.worker.io import QUEUE as IO
from dicom_ai.worker.io import IoWork, ring_quietly

MEMORY = "memory://"
GRACE_S = 10.0
"""How long a stop waits for the work at hand; what is not done then is put back in its queue."""

log = structlog.get_logger()


class GpuPart:
    """Queue gpu: one model run at a time unless told otherwise."""

    def __init__(self, app: App, models: ModelStore | None = None) -> None:
        workers = app.settings.workers
        self._work = GpuWork(app, models)
        self._worker = Worker(workers.broker_url, GPU, self._work.run_due, threads=workers.gpu_threads)
        self.devices: Mapping[str, str] = {}

    def start(self) -> None:
        """Load the models, then take work."""
        self.devices = self._work.warm_up()
        self._worker.start()

    def stop(self) -> bool:
        """Stop; return whether the work at hand ended in time."""
        ended = self._worker.stop(grace_s=GRACE_S)
        self._work.stop()
        return ended


class IoPart:
    """Queue io: at least two threads more than there are destinations, so that slow peers never stop the rest."""

    def __init__(self, app: App) -> None:
        workers = app.settings.workers
        bell = Bell(workers.broker_url)
        self._work = IoWork(app, ring_quietly(lambda: bell.ring(GPU)))
        threads = max(workers.io_threads, len(app.destinations) + 2)
        self._worker = Worker(workers.broker_url, IO, self._work.run_due, threads=threads)

    def start(self) -> None:
        """Take work."""
        self._worker.start()

    def stop(self) -> bool:
        """Stop; return whether the work at hand ended in time."""
        ended = self._worker.stop(grace_s=GRACE_S)
        self._work.stop()
        return ended


class ClockPart:
    """The clock."""

    def __init__(self, app: App) -> None:
        bell = Bell(app.settings.workers.broker_url)
        self._clock = Clock(app, bell.ring)

    def start(self) -> None:
        """Begin to tick."""
        self._clock.start()

    def stop(self) -> bool:
        """Stop after the tick at hand."""
        self._clock.stop()
        return True


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a stop went. in_time: False when work at hand was cut off and put back."""

    in_time: bool


class Node:
    """Everything in one process: SQLite and memory:// do, a server is not needed.

    rules_on: rules that seed an empty database are on as the file says, instead of in shadow (demo, tests).
    """

    def __init__(self, settings: Settings, *, rules_on: bool = False, models: ModelStore | None = None) -> None:
        self.app = open_app(settings)
        prepare(self.app, rules_on=rules_on)
        self.listener = Listener(settings, self.app.database, self.app.files)
        self._gpu = GpuPart(self.app, models)
        self._parts: tuple[GpuPart | IoPart | ClockPart, ...] = (self._gpu, IoPart(self.app), ClockPart(self.app))

    def start(self) -> None:
        """Start everything; images are received from the moment this returns, or earlier."""
        self.listener.start()
        for part in self._parts:
            part.start()

    def stop(self) -> Stopped:
        """Stop receiving first, then the clock and the workers."""
        self.listener.stop()
        ended = [part.stop() for part in reversed(self._parts)]
        self.app.close()
        return Stopped(all(ended))

    @property
    def port(self) -> int:
        """The TCP port that is really listened on."""
        return self.listener.port

    @property
    def description(self) -> str:
        """One line: what listens, and what runs the models."""
        node = self.app.settings.node
        models = ", ".join(f"{name} on {device}" for name, device in self._gpu.devices.items()) or "none installed"
        return f"{node.ae_title} listening on {node.address}:{self.port}; models: {models}"


def require_broker(settings: Settings) -> None:
    """Raise ConfigError when processes that run apart have no broker between them."""
    if settings.workers.broker_url.startswith(MEMORY):
        raise ConfigError("workers.broker_url is memory://, which ends at this process: use serve, or set redis://...")


def open_part(settings: Settings) -> App:
    """Open what one process of several shares; the database must be at this release (dicom-ai db upgrade)."""
    require_broker(settings)
    app = open_app(settings)
    schema.require_newest(app.database)
    return app


def run_until(part: GpuPart | IoPart | ClockPart | Node, stop: threading.Event) -> bool:
    """Start a part, wait for the event, stop it; return whether all work ended in time."""
    part.start()
    stop.wait()
    outcome = part.stop()
    return outcome.in_time if isinstance(outcome, Stopped) else outcome
