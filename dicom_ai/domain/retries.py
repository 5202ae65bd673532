"""How often and how late something is tried again: exponential back-off with jitter."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retries:
    """first_s: the wait after the first try; it doubles up to longest_s. maximum: tries in all, where they are counted.

    give_up_s: how long something is tried at all, where time counts instead.
    """

    first_s: float
    longest_s: float
    maximum: int
    give_up_s: float

    def delay_s(self, attempts: int, *, together: int | None = None) -> float:
        """Return how long to wait after so many tries, give or take a fifth, so that not all come back at once.

        together: things that name the same number wait the same time.
        """
        doubled = self.first_s * 2 ** min(attempts - 1, 30)
        jitter = random.Random(together).uniform(0.8, 1.2)
        return min(doubled, self.longest_s) * jitter
