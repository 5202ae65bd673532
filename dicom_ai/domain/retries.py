"""How often and how late something is tried again: exponential back-off with jitter."""

import math
import random
from dataclasses import dataclass

JITTER = 1.2
"""A wait is up to a fifth longer or shorter than planned, so that not all come back at once."""

MOST_DOUBLINGS = 30


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
        """Return how long to wait after so many tries, give or take a fifth.

        together: things that name the same number wait the same time.
        """
        doubled = self.first_s * 2 ** min(attempts - 1, MOST_DOUBLINGS)
        jitter = random.Random(together).uniform(2 - JITTER, JITTER)
        return min(doubled, self.longest_s) * jitter

    def are_over(self, *, attempts: int, since_s: float) -> bool:
        """Whether something that was first tried so long ago by the wall clock, and so often, is given up.

        The clock alone does not decide, for it may have been set, or the node may have been off: as many tries must
        have been made as fit into give_up_s.
        """
        return since_s > self.give_up_s and attempts >= self._least_tries

    @property
    def _least_tries(self) -> int:
        """How many tries there are in give_up_s when every wait is as long as jitter makes it."""
        tries, waited_s, wait_s = 1, 0.0, 0.0
        for doublings in range(MOST_DOUBLINGS + 1):
            if waited_s >= self.give_up_s:
                return tries
            wait_s = min(self.first_s * 2**doublings, self.longest_s) * JITTER
            tries, waited_s = tries + 1, waited_s + wait_s
        return tries + math.ceil((self.give_up_s - waited_s) / wait_s) if wait_s else tries
