"""Which vertebra is which: levels counted from an anchor, or honestly none.

Anchors are C2 from above, the sacrum from below, and levels carried over from another series of the study. Counting
from C2 is unqualified; counting from the sacrum cannot exclude transitional anatomy (numbering on a lumbar image alone
was wrong in 14 % of 1,049 patients, Tokgoz 2014) and says so. Where both ends are seen and disagree, both counts are
reported and what lies between is withheld. Without an anchor the vertebrae are V1..Vn and have no level.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dicom_ai.anatomy.instances import Instance, Spacing, from_above, spacing
from dicom_ai.anatomy.levels import SACRUM, level_index
from dicom_ai.anatomy.spine_path import Path, Row, cheapest_path
from dicom_ai.domain.findings import VertebraLabel

FROM_C2 = "counted from C2"
FROM_SACRUM = "counted from the sacrum, transitional anatomy not excluded"
NO_ANCHOR = "neither C2 nor the sacrum was found: no level is known"
CARRIED_OVER = "carried over from another series"
DOUBT = ", across a gap or a block vertebra"
LOWEST_FROM_C2 = "T12"
"""Below it a count from C2 alone stops: the vertebra that follows may be T13 or L1."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """What a count may start from.

    c2: segment number of the instance that is C2. sacrum: the first sacral vertebra (its upper endplate counts).
    known: segment number -> level, carried over from another series; anchor: what those levels rest on there.
    """

    c2: int | None = None
    sacrum: Instance | None = None
    known: Mapping[int, str] = field(default_factory=dict)
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Labelling:
    """labels: one per instance, from above. notes: plain sentences for the reader."""

    labels: tuple[VertebraLabel, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Count:
    """One count: the level per instance (None where withheld), what it rests on, where it is in doubt.

    strained: it needs a variant, or fits no spine at all.
    """

    levels: tuple[str | None, ...]
    anchor: str
    qualified: tuple[bool, ...]
    strained: bool = False


def label(instances: Sequence[Instance], anchors: Anchors | None = None) -> Labelling:
    """Return the instances from above with their levels, as far as the anchors carry.

    An anchor that is not where it must be (C2 not on top, a sacrum that is not the lowest) is left out and noted.
    """
    row = from_above(instances)
    usable, notes = _usable(row, anchors or Anchors())
    counts = _counts(row, usable)
    if not counts:
        return Labelling(_named(row, _Count((None,) * len(row), "", (False,) * len(row))), tuple(notes))
    if len(counts) == 1:
        notes += _limits(counts[0])
        return Labelling(_named(row, counts[0]), tuple(notes))
    if _agree(counts):
        return Labelling(_named(row, _joined(counts)), (*notes, "counts from both ends of the spine agree"))
    notes.append(_disagreement(counts))
    return Labelling(_named(row, _keep_ends(row, usable, counts[0])), tuple(notes))


def _usable(row: Sequence[Instance], anchors: Anchors) -> tuple[Anchors, list[str]]:
    notes = []
    numbers = [instance.segment_number for instance in row]
    if anchors.c2 is not None and anchors.c2 not in numbers[:2]:
        anchors = replace(anchors, c2=None)
        notes.append("what looked like C2 does not lie on top of the spine and was not used")
    lowest = min((float(instance.centroid_mm[2]) for instance in row), default=np.inf)
    if anchors.sacrum is not None and float(anchors.sacrum.centroid_mm[2]) > lowest:
        anchors = replace(anchors, sacrum=None)
        notes.append("what looked like the sacrum does not lie below the spine and was not used")
    if row and anchors.c2 is None and anchors.sacrum is None and not anchors.known:
        notes.append(NO_ANCHOR)
    return anchors, notes


def _counts(row: Sequence[Instance], anchors: Anchors) -> list[_Count]:
    """Return one count per anchor that carries, the one from C2 first."""
    places = {instance.segment_number: index for index, instance in enumerate(row)}
    found = []
    c2 = frozenset() if anchors.c2 is None else frozenset({places[anchors.c2]})
    if anchors.c2 is not None:
        found.append(_count(row, {places[anchors.c2]: "C2"}, FROM_C2, odd=c2))
    if anchors.known:
        fixed = {places[number]: level for number, level in anchors.known.items() if number in places}
        found.append(_count(row, fixed, f"{anchors.anchor}, {CARRIED_OVER}", odd=c2))
    if anchors.sacrum is not None and row:
        found.append(_count((*row, anchors.sacrum), {len(row): SACRUM}, FROM_SACRUM, odd=c2 | {len(row)}))
    return found


def _count(row: Sequence[Instance], fixed: Mapping[int, str], anchor: str, *, odd: frozenset[int]) -> _Count:
    """Return the levels counted from the fixed ones, without the sacrum's own row; all None where no count fits."""
    gaps = spacing(row, odd=odd)
    steps = (*gaps.steps, 1)
    rows = [Row(fixed.get(place), steps[place], dict(instance.votes)) for place, instance in enumerate(row)]
    vertebrae = len(row) - (SACRUM in fixed.values())
    try:
        path = cheapest_path(rows)
    except ValueError:
        return _Count((None,) * vertebrae, anchor, (False,) * vertebrae, strained=True)
    reach = [_reach(index, fixed, gaps) for index in range(vertebrae)]
    from_below = FROM_SACRUM in anchor
    return _Count(
        levels=tuple(_allowed(path, index, reach[index], gaps, anchor) for index in range(vertebrae)),
        anchor=anchor,
        qualified=tuple(from_below or bool(way & gaps.gaps or way & gaps.blocks) for way in reach),
        strained=path.cost > 0,
    )


def _reach(index: int, fixed: Mapping[int, str], gaps: Spacing) -> frozenset[int]:
    """Return the places a count passes on its way from the nearest fixed row to this one."""
    nearest = min(fixed, key=lambda place: abs(place - index))
    way = range(nearest, index) if nearest < index else range(index, nearest)
    return frozenset(way) | ({index} & gaps.broken)


def _allowed(path: Path, index: int, way: frozenset[int], gaps: Spacing, anchor: str) -> str | None:
    level = path.levels[index]
    part_of_one = bool(way & gaps.broken) or index - 1 in gaps.broken
    beyond = anchor == FROM_C2 and level_index(level) > level_index(LOWEST_FROM_C2)
    if not path.decided[index] or index in gaps.blocks or part_of_one or beyond or level == SACRUM:
        return None
    return level


def _agree(counts: Sequence[_Count]) -> bool:
    """Whether every count fits a spine without variants and no two name one vertebra differently."""
    places = zip(*(count.levels for count in counts), strict=True)
    return not any(count.strained for count in counts) and all(len(set(names) - {None}) < 2 for names in places)


def _joined(counts: Sequence[_Count]) -> _Count:
    """Return the first count, completed by the others; what two counts confirm leaves no doubt."""
    places = list(zip(*(count.levels for count in counts), strict=True))
    levels = tuple(next((level for level in names if level), None) for names in places)
    if any(sum(level is not None for level in names) > 1 for names in places):
        return replace(counts[0], levels=levels, qualified=(False,) * len(levels))
    doubts = zip(*(count.qualified for count in counts), strict=True)
    return replace(counts[0], levels=levels, qualified=tuple(any(doubt) for doubt in doubts))


def _keep_ends(row: Sequence[Instance], anchors: Anchors, first: _Count) -> _Count:
    """Withhold every level but that of the anchor itself."""
    kept = tuple("C2" if instance.segment_number == anchors.c2 else None for instance in row)
    return replace(first, levels=kept, qualified=(False,) * len(row))


def _disagreement(counts: Sequence[_Count]) -> str:
    said = [f"{_ends(count)} ({count.anchor})" for count in counts]
    return "the counts disagree, so the levels between are withheld: " + "; ".join(said)


def _ends(count: _Count) -> str:
    known = [level for level in count.levels if level]
    return f"{known[0]} to {known[-1]}" if known else "no level"


def _limits(count: _Count) -> list[str]:
    notes = [f"levels {count.anchor}"] if any(count.levels) else []
    if any(level is None for level in count.levels):
        notes.append("some vertebrae could not be counted for certain and have no level")
    return notes


def _named(row: Sequence[Instance], count: _Count) -> tuple[VertebraLabel, ...]:
    return tuple(
        VertebraLabel(
            level=level,
            name=f"{level} vertebra" if level else f"V{place}",
            segment_number=instance.segment_number,
            anchor=_anchor_text(count, place - 1) if level else "",
            qualified=count.qualified[place - 1] if level else False,
            centroid_mm=instance.centroid_mm,
            upper_mm=instance.upper_mm,
            lower_mm=instance.lower_mm,
        )
        for place, (instance, level) in enumerate(zip(row, count.levels, strict=True), start=1)
    )


def _anchor_text(count: _Count, index: int) -> str:
    doubtful = count.qualified[index] and FROM_SACRUM not in count.anchor
    return count.anchor + (DOUBT if doubtful else "")


def transfer_labels(source: Sequence[VertebraLabel], target: Sequence[VertebraLabel]) -> Labelling:
    """Return the target with the levels of the source, both in one frame of reference (the caller has checked it).

    Levels cross only where the two overlap consistently: at least two vertebrae of the target lie on vertebrae of the
    source, one to one and in order, and every overlapping pair is offset by less than a third of a vertebral height.
    Otherwise the target is returned as it is, with the reason: patients move between series.
    """
    pairs = _pairs(source, target)
    if len(pairs) < 2:
        return Labelling(tuple(target), ("no levels carried over: the series share fewer than two vertebrae",))
    offsets = [_offset(*pair) for pair in pairs]
    if max(offsets) >= 1 / 3:
        worst = f"{100 * max(offsets):.0f} % of a vertebral height"
        return Labelling(tuple(target), (f"no levels carried over: the two series are offset by {worst}",))
    known = {below.segment_number: above.level for above, below in pairs if above.level}
    if not known:
        return Labelling(tuple(target), ("no levels carried over: the other series has none there",))
    own = {vertebra.segment_number: vertebra.level for vertebra in target if vertebra.level}
    if own and any(own.get(number, level) != level for number, level in known.items()):
        withheld = label([_instance(vertebra) for vertebra in target])
        return Labelling(withheld.labels, ("the levels of two series disagree and are withheld",))
    if own:
        return Labelling(tuple(target), ("the levels of another series agree",))
    doubt = any(above.qualified for above, below in pairs if above.level)
    anchor = next(above.anchor for above, below in pairs if above.level)
    carried = label([_instance(vertebra) for vertebra in target], Anchors(known=known, anchor=anchor))
    labels = tuple(
        replace(vertebra, qualified=vertebra.qualified or (doubt and vertebra.level is not None))
        for vertebra in carried.labels
    )
    return Labelling(labels, carried.notes)


def _instance(vertebra: VertebraLabel) -> Instance:
    return Instance(vertebra.segment_number, vertebra.centroid_mm, vertebra.upper_mm, vertebra.lower_mm)


def _pairs(
    source: Sequence[VertebraLabel], target: Sequence[VertebraLabel]
) -> list[tuple[VertebraLabel, VertebraLabel]]:
    """Return (source, target) vertebrae whose centres lie within half a height of each other along the spine."""
    pairs, taken = [], set()
    for vertebra in target:
        near = min(source, key=lambda other: _offset(other, vertebra), default=None)
        if near is None or _offset(near, vertebra) >= 0.5 or _beside(near, vertebra) or near.segment_number in taken:
            continue
        taken.add(near.segment_number)
        pairs.append((near, vertebra))
    return pairs


def _offset(one: VertebraLabel, other: VertebraLabel) -> float:
    """Return how far apart two centres are along the spine, in heights of the first."""
    axis = one.upper_mm - one.lower_mm
    return abs(float((other.centroid_mm - one.centroid_mm) @ axis)) / float(axis @ axis)


def _beside(one: VertebraLabel, other: VertebraLabel) -> bool:
    """Whether the second centre lies outside the first vertebra: more than a height away across the spine."""
    axis = one.upper_mm - one.lower_mm
    apart = other.centroid_mm - one.centroid_mm
    across = apart - axis * float(apart @ axis) / float(axis @ axis)
    return float(np.linalg.norm(across)) > float(np.linalg.norm(axis))
