"""A lease kept alive by a thread of its own while work is done."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from dicom_ai.errors import Unavailable

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
