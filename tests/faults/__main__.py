"""make faults: python -m tests.faults [--short] [--size SIZE] [--at-once N] [--json FILE] [--table FILE] [NAME ...]."""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console

from tests.faults.play import Outcome, play, show, write_json, write_markdown
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.site import SIZES


def main() -> int:
    """Play the scenarios asked for, all without any; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="only what every run of the tests plays")
    parser.add_argument("--size", choices=SIZES, help="only this kind of node")
    parser.add_argument("--at-once", type=int, default=1, help="scenarios that are played at a time")
    parser.add_argument("--json", type=Path, help="write every row into this file, after each scenario")
    parser.add_argument("--table", type=Path, help="write the table as Markdown into this file, after each scenario")
    parser.add_argument("names", nargs="*", help="only scenarios whose name contains one of these")
    arguments = parser.parse_args()
    asked = _asked(arguments.names, arguments.size, short=arguments.short)
    progress, played = Console(stderr=True, highlight=False, soft_wrap=True), dict[int, Outcome]()
    with ProcessPoolExecutor(arguments.at_once, mp_context=get_context("spawn")) as players:
        waiting = {players.submit(play, scenario, size): place for place, (scenario, size) in enumerate(asked)}
        for one in as_completed(waiting):
            played[waiting[one]] = one.result()
            progress.print(f"{datetime.now(UTC):%H:%M:%S}  {len(played)} of {len(asked)}  {_said(one.result())}")
            _write([outcome for _, outcome in sorted(played.items())], arguments.json, arguments.table)
    outcomes = [outcome for _, outcome in sorted(played.items())]
    show(outcomes, Console(width=180))
    return 0 if outcomes and all(outcome.good for outcome in outcomes) else 1


def _asked(names: Sequence[str], size: str | None, *, short: bool) -> list[tuple[Scenario, str]]:
    return [
        (scenario, one)
        for scenario in SCENARIOS
        if not names or any(name in scenario.name for name in names)
        for one in (scenario.short if short else scenario.sizes)
        if size in (None, one)
    ]


def _said(outcome: Outcome) -> str:
    struck = f", {outcome.struck} of {outcome.faults} faults struck" if outcome.faults else ""
    kept = f" (see {outcome.kept})" if outcome.kept else ""
    return f"{outcome.scenario} ({outcome.size}): {outcome.verdict}{struck}, {outcome.seconds:.0f} s{kept}"


def _write(outcomes: Sequence[Outcome], rows: Path | None, table: Path | None) -> None:
    if rows:
        write_json(outcomes, rows)
    if table:
        write_markdown(outcomes, table)


if __name__ == "__main__":
    sys.exit(main())
