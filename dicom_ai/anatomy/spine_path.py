"""The cheapest way to name a row of vertebrae: a minimum-cost monotone path over the levels.

Rows are vertebrae from above, columns are LEVELS. Every vertebra moves on by as many levels as the geometry says
(one; more where a gap or a block vertebra lies between), and may at a cost take one of the variants of
levels.levels_below: 11 or 13 thoracic, 4 or 6 lumbar vertebrae. After VERIDAH's path (arXiv 2601.14066).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dicom_ai.anatomy.levels import LEVELS, SUPERNUMERARY, level_index, levels_below

VARIANT_COST = 2.0
"""What a supernumerary or absent vertebra costs; a full vote for a level is worth 1 (see Row.votes)."""
MISCOUNT_COST = 3.0
"""What it costs to move on by one level more or fewer than the geometry says."""
DECIDED_MARGIN = 1.0
"""A level is decided where every other level of that vertebra costs at least this much more."""
MOST_STEPS = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One vertebra of the path.

    level: where it is known for certain, else None. steps: levels to move on to the next row.
    votes: level -> confidence in [0, 1] of a classifier, empty where there is none.
    """

    level: str | None = None
    steps: int = 1
    votes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Path:
    """levels: the cheapest level per row. decided: whether no other level comes near. cost: of the whole path."""

    levels: tuple[str, ...]
    decided: tuple[bool, ...]
    cost: float


def cheapest_path(rows: Sequence[Row]) -> Path:
    """Return the cheapest naming of the rows; raises ValueError where the known levels admit none."""
    costs = np.stack([_row_costs(row) for row in rows])
    if rows[0].level is None:
        costs[0, [level_index(level) for level in SUPERNUMERARY]] += VARIANT_COST
    moves = [_move_costs(row.steps) for row in rows[:-1]]
    forward, backward = costs.copy(), np.zeros_like(costs)
    for row, move in enumerate(moves, start=1):
        forward[row] += np.min(forward[row - 1][:, None] + move, axis=0)
    for row in range(len(moves) - 1, -1, -1):
        backward[row] = np.min(moves[row] + (costs[row + 1] + backward[row + 1])[None, :], axis=1)
    through = forward + backward  # (rows, levels): cost of the cheapest path through this level
    if not np.isfinite(through.min()):
        raise ValueError(f"no spine has these {len(rows)} vertebrae between its known levels")
    best = through.argmin(axis=1)
    others = through.copy()
    others[np.arange(len(rows)), best] = np.inf
    decided = others.min(axis=1) - through.min(axis=1) >= DECIDED_MARGIN
    return Path(
        levels=tuple(LEVELS[index] for index in best),
        decided=tuple(bool(value) for value in decided),
        cost=float(through.min()),
    )


def _row_costs(row: Row) -> np.ndarray:
    if row.level is not None:
        costs = np.full(len(LEVELS), np.inf)
        costs[level_index(row.level)] = 0.0
        return costs
    costs = np.zeros(len(LEVELS))
    for level, confidence in row.votes.items():
        costs[level_index(level)] -= confidence
    return costs


def _move_costs(steps: int) -> np.ndarray:
    """Return the cost of moving from one level (row) to another (column) where `steps` levels are expected."""
    moves = np.full((len(LEVELS), len(LEVELS)), np.inf)
    reached = np.where(np.eye(len(LEVELS)) > 0, 0.0, np.inf)
    for taken in range(1, MOST_STEPS + 1):
        reached = np.min(reached[:, :, None] + _SINGLE_STEP[None], axis=1)
        moves = np.minimum(moves, reached + MISCOUNT_COST * abs(taken - steps))
    return moves


def _single_step() -> np.ndarray:
    step = np.full((len(LEVELS), len(LEVELS)), np.inf)
    for level in LEVELS:
        for below, variant in levels_below(level):
            step[level_index(level), level_index(below)] = VARIANT_COST if variant else 0.0
    return step


_SINGLE_STEP = _single_step()
