"""How often a log-in may fail: after a few failures an account from one address waits, longer each time."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

FREE = 5
"""Failures without a wait."""

FIRST_WAIT_S = 30.0
LONGEST_WAIT_S = 900.0
MOST_KEPT = 10_000
"""Addresses and names remembered; the oldest are forgotten beyond it, so that guessing cannot fill the memory."""


@dataclass(slots=True)
class _Failures:
    number: int = 0
    until: float = 0.0


class Attempts:
    """Failed log-ins by who asks, kept in memory: a restart forgets them, and signs nobody in."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[str, _Failures] = {}
        self._lock = threading.Lock()

    def wait_s(self, who: str) -> float:
        """Return how long the next try must wait; 0 where it need not."""
        with self._lock:
            found = self._failed.get(who)
            return max(found.until - self._clock(), 0.0) if found else 0.0

    def failed(self, who: str) -> None:
        """Count a failure."""
        with self._lock:
            found = self._failed.pop(who, None) or _Failures()
            found.number += 1
            if found.number >= FREE:
                found.until = self._clock() + min(FIRST_WAIT_S * 2 ** (found.number - FREE), LONGEST_WAIT_S)
            self._failed[who] = found
            while len(self._failed) > MOST_KEPT:
                del self._failed[next(iter(self._failed))]

    def succeeded(self, who: str) -> None:
        """Forget the failures."""
        with self._lock:
            self._failed.pop(who, None)
