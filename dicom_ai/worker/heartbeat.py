"""A lease kept alive by a thread of its own while work is done, and what becomes of the work told for certain."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from dicom_ai.errors import Unavailable

TELL_AGAIN_S = 1.0

log = structlog.get_logger()


@contextmanager
def beating(beat: Callable[[], bool], lease_s: float) -> Iterator[None]:
    """Call beat three times per lease until the work ends, or until it says that the claim is lost."""
    stopped = threading.Event()

    def keep_on() -> None:
        while not stopped.wait(lease_s / 3):
            try:
                if not beat():
                    log.warning("claim lost while working")
                    return
            except Unavailable as error:
                log.warning("no heartbeat", reason=str(error))

    thread = threading.Thread(target=keep_on, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def tell(write: Callable[[], object], stopped: threading.Event) -> None:
    """Write what became of a claim; while the database is away, try again until it is back or the worker stops.

    Untold, the claim would run out, and count as a worker that the work took down.
    """
    while True:
        try:
            write()
            return
        except Unavailable as error:
            log.warning("the end of a claim could not be written", reason=str(error))
        if stopped.wait(TELL_AGAIN_S):
            return
