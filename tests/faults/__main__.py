"""make faults: python -m tests.faults [--short] [--keep] [--size SIZE] [WORDS OF A SCENARIO'S NAME ...]."""

import argparse
import sys

from rich.console import Console

from tests.faults.play import play, show
from tests.faults.scenarios import SCENARIOS
from tests.faults.site import SIZES


def main() -> int:
    """Play the scenarios asked for, all without any; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="only what every run of the tests plays")
    parser.add_argument("--keep", action="store_true", help="keep the folders")
    parser.add_argument("--size", choices=SIZES, help="only this kind of node")
    parser.add_argument("names", nargs="*", help="only scenarios whose name contains one of these")
    arguments = parser.parse_args()
    progress, outcomes = Console(stderr=True), []
    for scenario in SCENARIOS:
        if arguments.names and not any(name in scenario.name for name in arguments.names):
            continue
        for size in scenario.short if arguments.short else scenario.sizes:
            if arguments.size in (None, size):
                outcomes.append(play(scenario, size, keep=arguments.keep))
                progress.print(f"{scenario.name} ({size}): {outcomes[-1].verdict}", highlight=False)
    show(outcomes, Console(width=180))
    return 0 if outcomes and all(outcome.good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
