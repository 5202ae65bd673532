"""Rounds: what the clock's process does beside ticking, each in a thread of its own, so that none waits for another.

A round that fails is logged and made again; a slow archive or mail server delays nothing else. To add one: a row in
Rounds.__init__.
"""

import os
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog

from dicom_ai.alarms import watch
from dicom_ai.app import App
from dicom_ai.audit_feed import feed
from dicom_ai.errors import ConfigError, Unavailable
from dicom_ai.pipeline import confirm
from dicom_ai.pipeline.confirm import Confirmer
from dicom_ai.storage import signs, transfers
from dicom_ai.worker.owners import new_owner
from dicom_ai.worker.unexpected import describe

CONFIRM_EVERY_S = 10.0
"""How often destinations are asked whether they have what they took, where something new was sent."""

RECEIVED_EVERY_S = 30.0
"""How often the audit trail is told of images that came."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Round:
    """Something made again and again. run: makes it once."""

    name: str
    every_s: float
    run: Callable[[], object]


class Rounds:
    """The threads. Any number of processes may have them: each round takes its turn in the database."""

    def __init__(self, app: App) -> None:
        owner = new_owner()
        self._stopped = threading.Event()
        wanted = app.settings.confirmation
        confirmer = Confirmer(app.database, app.destinations, wanted.report_wait_s, wanted.give_up_h * 3600)
        rounds = (
            Round("alarms", app.settings.alarms.every_s, lambda: watch.run(app.watch, owner)),
            Round("confirm", CONFIRM_EVERY_S, lambda: confirm.run(confirmer, owner)),
            Round("received", RECEIVED_EVERY_S, lambda: _tell_received(app, owner)),
            *(
                Round(f"audit-{name}", app.settings.audit.every_s, partial(_feed_audit, app, name, owner))
                for name in app.audit_outlets
            ),
        )
        self._threads = [
            threading.Thread(target=self._repeat, args=(one,), name=f"round-{one.name}", daemon=True) for one in rounds
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether every round is still made."""
        return all(thread.is_alive() for thread in self._threads)

    def stop(self, *, grace_s: float = 5.0) -> None:
        """Make no further round; one that hangs in a network call is left behind."""
        self._stopped.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(grace_s)

    def _repeat(self, one: Round) -> None:
        while not self._stopped.is_set():
            try:
                one.run()
            except (Unavailable, ConfigError) as error:
                log.warning("a round could not be made", round=one.name, reason=str(error))
            except Exception as error:  # noqa: BLE001 - one of the three places: nobody would see that a round ended
                log.error("a round failed", round=one.name, **describe(error).fields)
            self._stopped.wait(one.every_s)


def _tell_received(app: App, owner: str) -> None:
    with app.database.write() as session:
        transfers.tell_received(session, owner)


def _feed_audit(app: App, outlet: str, owner: str) -> None:
    feed.run(app.audit_feed(outlet), owner)


def note_devices(app: App, devices: Mapping[str, str]) -> None:
    """Note what the models of this worker run on, so that a look sees when it becomes less."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")  # one worker per GPU: each has its own rows
    host = socket.gethostname() + (f", GPU {visible}" if visible else "")
    with app.database.write() as session:
        signs.note_devices(session, host[:128], devices, wanted=app.settings.models.device)
