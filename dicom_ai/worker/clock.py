"""The clock: looks every few seconds for what is due, puts back what dead workers held, rings for both queues.

Every few minutes it also lets go what need not be kept any more.
"""

import threading
import time
from collections.abc import Callable

import structlog

from dicom_ai.app import App
from dicom_ai.errors import Unavailable
from dicom_ai.pipeline import complete, retain
from dicom_ai.storage import clock_jump, jobs, outbox, studies
from dicom_ai.storage.disk import disk_of
from dicom_ai.worker import gpu, io, owners
from dicom_ai.worker.unexpected import describe

RETENTION_EVERY_S = 600.0
"""How often the clock looks for what need not be kept any more."""

MOST_TOKENS = 16
"""Tokens per queue and tick: a worker goes on until nothing is due, so more would only be read and dropped."""

JUMP_S = 5.0
"""The wall clock was set when it and the monotonic clock went apart by more than this between two ticks."""

log = structlog.get_logger()


class Clock:
    """A thread that ticks. Any number may run; one is enough.

    ring: (queue, times). Raises Unavailable when the broker is away.
    """

    def __init__(self, app: App, ring: Callable[[str, int], None]) -> None:
        self._app = app
        self._ring = ring
        self._retained_at = float("-inf")
        self._ahead_s: float | None = None
        self._swept_at = float("-inf")
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def start(self) -> None:
        """Begin to tick; the first tick also takes up what a stopped node left."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it ticks."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop after the tick at hand."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def tick(self) -> None:
        """Look once for what is due, and ring for it."""
        timing = self._app.settings.timing
        self._watch_wall_clock()
        self._sweep()
        waiting = complete.run(self._app.database, series_quiet_s=timing.series_quiet_s, patience=self._app.patience)
        with self._app.database.write() as session:
            due = dict(jobs.take_due(session, token_gap_s=timing.token_gap_s))
            sending = outbox.take_due(session, known=tuple(self._app.destinations), token_gap_s=timing.token_gap_s)
        due[io.QUEUE] = due.get(io.QUEUE, 0) + sending + len(waiting)
        for queue in (gpu.QUEUE, io.QUEUE):
            if due.get(queue):
                self._ring(queue, min(due[queue], MOST_TOKENS))
        self._retain()

    def _watch_wall_clock(self) -> None:
        """Notice that the wall clock was set, and let what waits go on waiting as long as it would have."""
        at = self._app.database.clock()
        ahead_s = at - time.monotonic()
        if self._ahead_s is None:
            with self._app.database.read() as session:
                moved_s = min(at - (studies.last_received_at(session) or at), 0)  # set while the node was stopped
        else:
            moved_s = ahead_s - self._ahead_s
        if abs(moved_s) > JUMP_S:
            with self._app.database.write() as session:
                move = clock_jump.went_back if moved_s < 0 else clock_jump.went_forward
                changed = move(session, abs(moved_s))
            log.warning("the wall clock was set", moved_s=round(moved_s), changed=changed)
        self._ahead_s = ahead_s

    def _retain(self) -> None:
        """Let go what need not be kept, and warn of a disk that fills, every few minutes."""
        if time.monotonic() < self._retained_at + RETENTION_EVERY_S:
            return
        self._retained_at = time.monotonic()
        with self._app.database.write() as session:
            trusted = clock_jump.may_delete(session)
        if trusted:
            retain.run(self._app.database, self._app.files, self._app.limits)
        warning = disk_of(self._app.files.root).warning(reserve_bytes=self._app.files.reserve_bytes)
        if warning:
            log.warning(warning)

    def _run(self) -> None:
        while True:
            try:
                self.tick()
            except Unavailable as error:
                log.warning("the clock could not look", reason=str(error))
            except Exception as error:  # noqa: BLE001 - one of the three places: a clock that stops stops the node
                log.error("the clock failed", **describe(error).fields)
            if self._stopped.wait(self._app.settings.timing.clock_s):
                return

    def _sweep(self) -> None:
        """Put back what dead workers held.

        After a time in which this clock did not see the database, perhaps no worker did: they get one lease more.
        """
        timing = self._app.settings.timing
        with self._app.database.write() as session:
            dead = owners.dead({*jobs.owners(session), *outbox.owners(session)})
            outbox.release_dead(session, dead)
            if time.monotonic() - self._swept_at > timing.lease_s / 2:
                jobs.spare(session, timing.lease_s, dead_owners=dead)
            swept = jobs.sweep(session, maximum_lost=timing.maximum_lost, dead_owners=dead)
        self._swept_at = time.monotonic()
        if swept.requeued or swept.parked:
            log.warning("workers stopped", requeued=list(swept.requeued), parked=list(swept.parked))
