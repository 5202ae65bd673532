"""Study runs: one report version of a study, and the states it may take."""

from dataclasses import dataclass
from enum import StrEnum


class RunState(StrEnum):
    """Where a run is. collecting: its analyses are made; superseded: a newer run has replaced it."""

    COLLECTING = "collecting"
    REPORTING = "reporting"
    REPORTED = "reported"
    SUPERSEDED = "superseded"


ON_THE_WAY = (RunState.COLLECTING, RunState.REPORTING)
"""A run of which a report is still to come."""


@dataclass(frozen=True, slots=True)
class Request:
    """A rule that asked for an analysis: where its results go, and whether they go anywhere (shadow: nowhere).

    destinations: names of the settings. outputs: the kinds of object it wants, of ResultKind.
    """

    rule: str
    shadow: bool
    destinations: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """One analysis that routing asks for: a series, a model, and every rule that took them together.

    not_before: seconds since 1970 before which it must not start (a rule's longer quiet time for the series).
    """

    series_uid: str
    model: str
    model_digest: str
    input_digest: str
    requests: tuple[Request, ...]
    priority: int = 0
    not_before: float = 0.0
