"""What happens again and again is told of once in a while, with how often it happened meanwhile."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Held:
    since: float
    number: int = 0


class Throttle(Generic[T]):
    """Lets a thing through once per every_s seconds, and counts it else. For any number of threads.

    others: stands for everything beyond the first `most` different things, so that nobody fills the memory.
    """

    def __init__(self, every_s: float, *, others: T, most: int = 100) -> None:
        self._every_s = every_s
        self._others = others
        self._most = most
        self._held: dict[T, _Held] = {}
        self._lock = threading.Lock()

    def take(self, thing: T, at: float) -> T | None:
        """Return what to tell of now: the thing, or others; None where it is only counted. at: now, in seconds."""
        with self._lock:
            if thing not in self._held and len(self._held) >= self._most:
                thing = self._others
            held = self._held.setdefault(thing, _Held(since=float("-inf")))
            if at - held.since < self._every_s:
                held.number += 1
                return None
            held.since = at
            return thing

    def due(self, at: float) -> Mapping[T, int]:
        """Return what was only counted and may be told of now, with how often it happened; forget what is over."""
        with self._lock:
            late = [thing for thing, held in self._held.items() if at - held.since >= self._every_s]
            found = {thing: self._held[thing].number for thing in late if self._held[thing].number}
            for thing in late:
                if thing in found:
                    self._held[thing] = _Held(since=at)
                else:
                    del self._held[thing]
        return found
