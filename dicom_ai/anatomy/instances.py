"""Vertebrae as they lie in an image, before they have names: where they are, how high, what is missing between them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

TALL, SHORT = 1.6, 0.65
"""A vertebra TALL times as high as its neighbours lead to expect holds two; two SHORT ones may be parts of one."""
TALLER = 1.3
"""One TALL times as high as both neighbours holds two where the row leads to expect that much less, too: between neck
and chest heights change faster than a line through the whole row."""
UNCLEAR = 0.3
"""A gap with room for this much more or less than a whole vertebra may hold one or not: a C2 that was found in part
left room for 0.7, and C3 was called C4."""
CLOSE = 0.5
"""Centres nearer to each other than this share of a height are no two vertebrae: one fell apart along its middle."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A vertebra seen in an image.

    centroid_mm, upper_mm, lower_mm: LPS points, shape (3,): body centre, middle of upper and of lower endplate.
    whole: False where the border of the image cuts it. votes: (level, confidence in [0, 1]) of a classifier, if any.
    """

    segment_number: int
    centroid_mm: np.ndarray = field(repr=False)
    upper_mm: np.ndarray = field(repr=False)
    lower_mm: np.ndarray = field(repr=False)
    whole: bool = True
    votes: tuple[tuple[str, float], ...] = ()

    @property
    def height_mm(self) -> float:
        """From the middle of the upper to the middle of the lower endplate."""
        return float(np.linalg.norm(self.upper_mm - self.lower_mm))


@dataclass(frozen=True, slots=True)
class Spacing:
    """What the geometry says about a row of instances.

    steps: levels from each instance to the next, shape (n - 1,). blocks: indices of instances that hold two levels.
    gaps: indices of instances below which a vertebra is missing. broken: indices below which counting must stop,
    because two parts may belong to one vertebra, or nobody can tell how many are missing.
    """

    steps: tuple[int, ...]
    blocks: frozenset[int]
    gaps: frozenset[int]
    broken: frozenset[int]


def from_above(instances: Sequence[Instance]) -> tuple[Instance, ...]:
    """Return the instances from head to foot (LPS: the third coordinate points to the head)."""
    return tuple(sorted(instances, key=lambda instance: -float(instance.centroid_mm[2])))


def spacing(instances: Sequence[Instance], *, odd: frozenset[int] = frozenset()) -> Spacing:
    """Return what lies between instances that are ordered from above.

    odd: indices whose height says nothing about their neighbours' (C2 with its dens).
    """
    if len(instances) < 2:
        return Spacing((), frozenset(), frozenset(), frozenset())
    heights = np.array([instance.height_mm for instance in instances])
    usable = [index for index, instance in enumerate(instances) if instance.whole and index not in odd]
    expected = _expected(heights, usable)
    discs = np.array([_distance(above, below) for above, below in pairwise(instances)])
    disc = float(np.median(discs))
    rooms = [_room(gap, disc, expected[index]) for index, gap in enumerate(discs)]
    missing = [max(0, round(room)) for room in rooms]
    blocks = frozenset(index for index in usable if _holds_two(index, heights, expected, usable))
    return Spacing(
        steps=tuple(1 + missing[index] + (index in blocks) for index in range(len(discs))),
        blocks=blocks,
        gaps=frozenset(index for index, count in enumerate(missing) if count),
        broken=frozenset([*_broken(instances, heights, expected, odd), *_unclear(rooms), *_close(instances, expected)]),
    )


def _holds_two(index: int, heights: np.ndarray, expected: np.ndarray, usable: Sequence[int]) -> bool:
    """Whether a vertebra is a block: far taller than expected, or taller and far taller than both its neighbours.

    Neighbours that are themselves short, as collapsed ones are, say nothing.
    """
    if heights[index] > TALL * expected[index]:
        return True
    beside = [place for place in (index - 1, index + 1) if place in usable and heights[place] > SHORT * expected[place]]
    least = max([TALLER * expected[index], *(TALL * heights[place] for place in beside)])
    return len(beside) == 2 and bool(heights[index] > least)


def _distance(above: Instance, below: Instance) -> float:
    """Return the gap between two neighbours along the line of their centres; negative where they overlap."""
    axis = below.centroid_mm - above.centroid_mm
    return float((below.upper_mm - above.lower_mm) @ axis / max(float(np.linalg.norm(axis)), 1e-6))


def _room(gap: float, disc: float, height: float) -> float:
    """Return how many vertebrae fit into a gap beside its discs."""
    usual = min(max(disc, 0.0), 0.6 * height)
    return (gap - usual) / (height + usual)


def _close(instances: Sequence[Instance], expected: np.ndarray) -> list[int]:
    """Return the instances that lie beside the next one, not above it."""
    return [
        index
        for index, (above, below) in enumerate(pairwise(instances))
        if _along(above, above.centroid_mm - below.centroid_mm) < CLOSE * expected[index]
    ]


def _along(instance: Instance, way: np.ndarray) -> float:
    """Return how long a way is along the axis of an instance."""
    axis = instance.upper_mm - instance.lower_mm
    return abs(float(way @ axis)) / max(float(np.linalg.norm(axis)), 1e-6)


def _unclear(rooms: Sequence[float]) -> list[int]:
    """Return the gaps of which nobody can tell whether a vertebra more or less is missing there."""
    return [index for index, room in enumerate(rooms) if room > UNCLEAR and abs(room - round(room)) > UNCLEAR]


def _expected(heights: np.ndarray, usable: Sequence[int]) -> np.ndarray:
    """Return the height to expect at each place: a robust line through the logarithms (Theil-Sen)."""
    index = np.array(usable if usable else range(len(heights)))
    logs = np.log(np.maximum(heights[index], 1e-3))
    if len(index) < 5:
        return np.full(len(heights), float(np.exp(np.median(logs))))
    first, second = np.triu_indices(len(index), k=1)
    slope = float(np.median((logs[second] - logs[first]) / (index[second] - index[first])))
    offset = float(np.median(logs - slope * index))
    return np.exp(offset + slope * np.arange(len(heights)))


def _broken(instances: Sequence[Instance], heights: np.ndarray, expected: np.ndarray, odd: frozenset[int]) -> list[int]:
    found = []
    for index, (above, below) in enumerate(pairwise(instances)):
        if {index, index + 1} & odd or not (above.whole and below.whole):
            continue
        both_short = max(heights[index] / expected[index], heights[index + 1] / expected[index + 1]) < SHORT
        together = float(np.linalg.norm(above.upper_mm - below.lower_mm))
        if both_short and together < 1.35 * expected[index]:
            found.append(index)
    return found
