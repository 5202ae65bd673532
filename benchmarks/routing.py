"""How many series the shipped rules take that they should, and how many that they should not, from headers alone.

Hits are counted on the headers of real cord scans (spine-generic), false sends on invented series of everything but the
spine (tests/unit/routing/non_spine.py). What a rule takes wrongly leaves the node only if the model also finds
something there: this is the rate at which results could be sent, not yet that at which they are.

python -m benchmarks.routing --headers FOLDER/spine_generic.jsonl
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from tests.unit.routing.non_spine import non_spine
from tests.unit.routing.test_shipped import from_bids, models_for


def hits(path: Path) -> tuple[int, int]:
    """Return how many real cord series go to the cord model, of how many."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    cord = [row for row in rows if "Modality" in row and not row["id"].endswith("dwi")]
    return sum("spinal-cord" in models_for(from_bids(row, "beside")) for row in cord), len(cord)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--headers", type=Path, required=True, help="headers of real cord scans, one JSON object a line"
    )
    parser.add_argument("--count", type=int, default=20_000, help="invented series")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    taken, wanted = hits(options.headers)
    sent, seen = Counter[str](), Counter[str]()
    for region, series in non_spine(options.count, seed=options.seed):
        seen[region] += 1
        sent[region] += bool(models_for(series))
    lines = [f"hit rate: {taken} of {wanted} real cord series, {100 * taken / wanted:.1f} %"]
    total = sent.total()
    most = 3.0 if not total else total + 1.96 * total**0.5 + 2  # upper 95 % limit of a count
    lines.append(
        f"false sends: {total} of {options.count} non-spine series, {1000 * total / options.count:.2f} per 1,000 "
        f"(95 % sure: at most {1000 * most / options.count:.2f})"
    )
    lines += [f"  {region:<8} {sent[region]:>4} of {number:>5}" for region, number in seen.most_common()]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
