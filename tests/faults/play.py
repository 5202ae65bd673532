"""Plays scenarios and prints what became of the images and results."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.ledger import Tally
from tests.faults.scenarios import Scenario
from tests.faults.skip import Skipped

COLUMNS = ("acknowledged", "lost", "results", "missing", "doubled", "wrong patient")


@dataclass(frozen=True)
class Outcome:
    """How a scenario ended: the books, or why it could not be played (skipped) or did not end (stuck)."""

    scenario: str
    size: str
    seconds: float
    tally: Tally | None = None
    skipped: str = ""
    stuck: str = ""

    @property
    def good(self) -> bool:
        """Whether it was played to its end and the books are even, or it could not be played here."""
        return bool(self.skipped) or (not self.stuck and self.tally is not None and self.tally.good)

    @property
    def verdict(self) -> str:
        """One word, and why."""
        if self.skipped:
            return f"skipped: {self.skipped}"
        if self.good:
            return "good"
        return f"BAD: {self.stuck or self.tally}"


def play(scenario: Scenario, size: str, *, keep: bool = False) -> Outcome:
    """Play a scenario in a folder of its own. keep: leave the folder of one that went wrong."""
    folder = Path(tempfile.mkdtemp(prefix="dicom-ai-faults-"))
    start = time.monotonic()
    try:
        with closing(scenario.play(folder, size)) as stage:
            try:
                site = next(stage)
            except TimeoutError as error:
                return Outcome(scenario.name, size, time.monotonic() - start, stuck=str(error))
            tally = site.tally()
        return Outcome(scenario.name, size, time.monotonic() - start, tally)
    except Skipped as reason:
        return Outcome(scenario.name, size, time.monotonic() - start, skipped=str(reason))
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            Console(stderr=True).print(f"kept: {folder}")


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    """Print the table."""
    table = Table("scenario", "node", *COLUMNS, "s", "", title="Faults")
    for column in table.columns[2:-1]:
        column.justify = "right"
    for outcome in outcomes:
        table.add_row(
            outcome.scenario,
            outcome.size,
            *_numbers(outcome),
            f"{outcome.seconds:.0f}",
            outcome.verdict.partition(":")[0],
        )
    table.add_section()
    table.add_row("all", "", *_sums(outcomes), "", "good" if all(outcome.good for outcome in outcomes) else "BAD")
    console.print(table)


def _numbers(outcome: Outcome) -> tuple[str, ...]:
    tally = outcome.tally
    if tally is None:
        return ("",) * len(COLUMNS)
    return tuple(str(number) for number in _in_order(tally))


def _sums(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    tallies = [_in_order(outcome.tally) for outcome in outcomes if outcome.tally]
    return tuple(str(sum(column)) for column in zip(*tallies, strict=True)) or ("0",) * len(COLUMNS)


def _in_order(tally: Tally) -> tuple[int, ...]:
    return (tally.acknowledged, tally.lost, tally.results, tally.missing, tally.doubled, tally.wrong_patient)
