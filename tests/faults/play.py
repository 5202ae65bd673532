"""Plays scenarios, and says what became of the images and results: as a table, as JSON, as a table of docs."""

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dicom_ai.errors import DicomAiError
from tests.faults.ledger import Tally
from tests.faults.scenarios import Scenario
from tests.faults.skip import Skipped

COLUMNS = ("struck", "acknowledged", "lost", "results", "missing", "doubled", "wrong patient")
BROKEN = (TimeoutError, AssertionError, OSError, subprocess.SubprocessError, DicomAiError)
"""What ends one scenario, and not the suite: the node or something around it did not do what it must."""


@dataclass(frozen=True)
class Outcome:
    """How a scenario ended: the books, or why it could not be played (skipped) or did not end (stuck).

    faults: how many it had. struck: how many came when there was something to break; without any it was no trial.
    kept: the folder with the node's log and files, where it went wrong.
    """

    scenario: str
    size: str
    seconds: float
    tally: Tally | None = None
    faults: int = 0
    struck: int = 0
    skipped: str = ""
    stuck: str = ""
    kept: str = ""

    @property
    def good(self) -> bool:
        """Whether it was played to its end and the books are even, or it could not be played here."""
        return bool(self.skipped) or (bool(self.struck) and self.tally is not None and self.tally.good)

    @property
    def verdict(self) -> str:
        """One word, and why."""
        if self.skipped:
            return f"skipped: {self.skipped}"
        if self.good:
            return "good"
        if self.tally and self.tally.good:
            return "BAD: no fault struck"
        return f"BAD: {self.stuck or self.tally}"


def play(scenario: Scenario, size: str) -> Outcome:
    """Play a scenario in a folder of its own, which is left where it goes wrong."""
    folder = Path(tempfile.mkdtemp(prefix="dicom-ai-faults-"))
    start = time.monotonic()
    said: dict[str, object] = {}
    try:
        with closing(scenario.play(folder, size)) as stage:
            site = next(stage)
            said = {"faults": len(site.faults), "struck": sum(site.faults), "tally": site.tally()}
    except Skipped as reason:
        said = {"skipped": str(reason)}
    except BROKEN as error:
        said = {"stuck": f"{error}" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"}
    outcome = Outcome(scenario.name, size, time.monotonic() - start, **said)  # type: ignore[arg-type]
    if outcome.good:
        shutil.rmtree(folder, ignore_errors=True)
        return outcome
    return Outcome(scenario.name, size, outcome.seconds, kept=str(folder), **said)  # type: ignore[arg-type]


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    """Print the table, and under it why a row was skipped or is bad."""
    table = Table("scenario", "node", *COLUMNS, "s", "", title="Faults")
    for column in table.columns[2:-1]:
        column.justify = "right"
    for outcome in outcomes:
        seconds, verdict = f"{outcome.seconds:.0f}", outcome.verdict.partition(":")[0]
        table.add_row(outcome.scenario, outcome.size, *_cells(outcome), seconds, verdict)
    table.add_section()
    table.add_row(
        "all", "", *_sums(outcomes), f"{sum(outcome.seconds for outcome in outcomes):.0f}", verdict_of(outcomes)
    )
    console.print(table)
    for outcome in outcomes:
        if outcome.skipped or not outcome.good:
            console.print(f"{outcome.scenario} ({outcome.size}): {outcome.verdict} {outcome.kept}", soft_wrap=True)


def verdict_of(outcomes: Sequence[Outcome]) -> str:
    """Return one word on all of them; what was skipped is not called good."""
    bad = sum(not outcome.good for outcome in outcomes)
    skipped = sum(bool(outcome.skipped) for outcome in outcomes)
    return f"{bad} BAD" if bad or not outcomes else f"good, {skipped} skipped" if skipped else "good"


def write_json(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write everything about every row."""
    rows = [asdict(outcome) | {"verdict": outcome.verdict} for outcome in outcomes]
    path.write_text(json.dumps({"verdict": verdict_of(outcomes), "rows": rows}, indent=1) + "\n")


def write_markdown(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write the table of docs/faults.md."""
    head = ("scenario", "node", *COLUMNS)
    rows = [(one.scenario, one.size, *(_cells(one) if one.tally else (one.verdict,))) for one in outcomes]
    lines = [head, ("---",) * len(head), *rows, ("**all**", "", *_sums(outcomes))]
    path.write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))


def _cells(outcome: Outcome) -> tuple[str, ...]:
    if outcome.tally is None:
        return ("",) * len(COLUMNS)
    return (f"{outcome.struck} of {outcome.faults}", *map(str, _in_order(outcome.tally)))


def _sums(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    played = [outcome for outcome in outcomes if outcome.tally]
    columns = zip(*(_in_order(outcome.tally) for outcome in played if outcome.tally), strict=True)
    sums = tuple(str(sum(column)) for column in columns) or ("0",) * (len(COLUMNS) - 1)
    return (f"{sum(one.struck for one in played)} of {sum(one.faults for one in played)}", *sums)


def _in_order(tally: Tally) -> tuple[int, ...]:
    return (tally.acknowledged, tally.lost, tally.results, tally.missing, tally.doubled, tally.wrong_patient)
