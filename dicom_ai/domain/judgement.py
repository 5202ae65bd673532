"""What a person makes of a result."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """accepted: used as it is. corrected: used after a change by hand. rejected: not used."""

    ACCEPTED = "accepted"
    CORRECTED = "corrected"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class NewJudgement:
    """A verdict to keep. levels: those it is about; empty: the result as a whole. scanner: what made the images."""

    verdict: Verdict
    reason: str
    levels: tuple[str, ...]
    scanner: str
    who: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """One verdict. levels: those it is about; empty: the result as a whole."""

    at: float
    who: str
    verdict: Verdict
    reason: str
    levels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """How many results of a scanner were judged how, at one level ("": as a whole)."""

    scanner: str
    level: str
    numbers: Mapping[Verdict, int]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.numbers.values())
