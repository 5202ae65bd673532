"""From a map of classes to single vertebrae and discs. Arrays are sagittal: (slice, row head to foot, column)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

SEED_MM = 3.0
"""A vertebra is told from the next by what is left of it this far from its outline, in the sagittal plane."""
DEEPEST_MM = 9.0
LEAST_STEP_MM = 9.0
"""Centres of two vertebrae are at least this far apart from head to foot."""
LEAST_SEED_MM3, LEAST_DISC_MM3 = 60.0, 100.0
CUT_MM = 3.0
"""Seeds are cut apart this wide along the plane of a disc, from its front to CUT_BEHIND_MM behind it, in every slice:
far from the middle the bones above and below a disc are often joined in a class map."""
CUT_AHEAD_MM, CUT_BEHIND_MM = 5.0, 20.0
LEAST_CUT_MM3, LEAST_CUT_DEPTH_MM, FLATNESS = 400.0, 10.0, 1.8
"""A disc that cuts is at least so large, so deep from front to back, and so many times deeper than thick: what looks
like disc inside a body, or two discs in one, is not."""
JOINED_SHARE = 0.25
"""A piece of disc with at least this share in a second gap is two discs that touch."""
_NO_GAP = -2
LEAST_BONE_MM3 = 800.0
"""The body of a small neck vertebra."""
LEAST_SHARE = 0.12
"""A vertebra smaller than this share of the median one, and not cut by the border, is no vertebra."""
OFF_SPINE_SHARE, FURTHEST_PIECE_MM = 0.03, 40.0
"""A piece of bone and discs apart from the largest one, at least this share of it, may go on with the spine this far
from its end; beside it lie no vertebrae."""
TOUCHING_SHARE, DISC_SHARE = 0.5, 0.1
"""Two vertebrae, one on the other over TOUCHING_SHARE of the smaller one without disc over DISC_SHARE of it, are parts
of one. Of 102 true neighbours none touched over more than 0.1; of bodies cut by the plane of a stray disc four did over
0.87 and more."""
BESIDE_SHARE, BESIDE_MM = 0.5, 12.0
"""A bone this far to the side of the line between the bones above and below it, and smaller than this share of both, is
the head of a rib or a joint: in a scoliosis of 100 mm radius vertebrae 35 mm apart lie 6 mm off that line."""
REFERENCE_SHARE = 0.3
"""A bone is C2, or the sacrum, if at least this share of it looks so: far from the middle they look like others."""
MOST_OTHER = 0.05
"""A C2 of which more looks like another vertebra, in its middle slices, holds C3, too: every level counted from it is
wrong. In necks made from formulas and a real one it was at most 0.03 where C2 ended at its disc, and 0.11 or more where
it held C3."""


@dataclass(frozen=True, slots=True)
class ClassValues:
    """The value of each class in a class map; c2, sacrum and canal are 0 where a model has none."""

    vertebra: int
    disc: int
    c2: int = 0
    sacrum: int = 0
    canal: int = 0


@dataclass(frozen=True, slots=True)
class Disc:
    """A disc. above, below: places in Parts.vertebrae; the sacrum counts as the one below the last; None: not seen."""

    label: int
    above: int | None
    below: int | None


@dataclass(frozen=True, slots=True)
class Parts:
    """Single structures. labels: uint16, 0 is background. vertebrae: their labels from above, the sacrum not among
    them. c2: label of the vertebra that looks like C2. sacrum, canal: labels, None where there is none. doubt: why what
    looks like C2 is not it, "" where nothing speaks against it.
    """

    labels: np.ndarray = field(repr=False)
    vertebrae: tuple[int, ...]
    discs: tuple[Disc, ...]
    c2: int | None = None
    sacrum: int | None = None
    canal: int | None = None
    doubt: str = ""


def separate(classes: np.ndarray, values: ClassValues, spacing_mm: Sequence[float]) -> Parts:
    """Return the single vertebrae, discs, sacrum and canal of a class map, shape (slices, rows, columns)."""
    bones = np.isin(classes, [value for value in (values.vertebra, values.c2, values.sacrum) if value])
    discs = classes == values.disc
    spine = _on_the_spine(bones | discs, spacing_mm)
    single = _single_bones(bones & spine, discs & spine, spacing_mm)
    kinds = _kinds(single, classes, values)
    single, kinds = _without_doubles(single, kinds, values)
    single, kinds = _without_what_lies_beside(single, kinds, spacing_mm)
    single, kinds = _rejoined(single, kinds, values.vertebra, discs & spine)
    vertebrae = _from_above(single, [number for number, kind in kinds.items() if kind != values.sacrum])
    sacrum = next((number for number, kind in kinds.items() if values.sacrum and kind == values.sacrum), None)
    labels = single.astype(np.uint16)
    found = _discs(labels, discs & spine, [*vertebrae, *([sacrum] if sacrum else [])], spacing_mm)
    canal = _canal(labels, classes == values.canal) if values.canal else None
    c2 = next((number for number in vertebrae if values.c2 and kinds[number] == values.c2), None)
    doubted = c2 is not None and _share_of_other(single == c2, classes, values) > MOST_OTHER
    doubt = "what looked like C2 holds a part of another vertebra and was not used" if doubted else ""
    return Parts(labels, tuple(vertebrae), found, None if doubted else c2, sacrum, canal, doubt)


def _share_of_other(bone: np.ndarray, classes: np.ndarray, values: ClassValues) -> float:
    """Return how much of C2 looks like another vertebra, in the slices that hold most of what looks like C2."""
    like_c2 = np.count_nonzero(bone & (classes == values.c2), axis=(1, 2))
    middle = like_c2 >= like_c2.max() / 2
    return float(np.mean(classes[middle][bone[middle]] == values.vertebra))


def joints(parts: Parts, spacing_mm: Sequence[float]) -> int:
    """Return how many discs lie between two bones of some size, one above the other, as in a spine and nowhere else."""
    column = [*parts.vertebrae, *([parts.sacrum] if parts.sacrum else [])]
    sizes = np.bincount(parts.labels.ravel()) * float(np.prod(spacing_mm))
    count = 0
    for disc in parts.discs:
        if disc.above is None or disc.below is None:
            continue
        pair = [column[disc.above], column[disc.below]]
        upper, lower = (np.argwhere(parts.labels == number).mean(axis=0) * spacing_mm for number in pair)
        step = np.abs(lower - upper)
        count += bool(min(sizes[pair]) >= LEAST_BONE_MM3 and step[1] >= max(step[0], 0.7 * step[2]))
    return count


def _on_the_spine(mask: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Return the mask of the largest piece, and of others that lie on its course above or below it."""
    joined = ndimage.binary_dilation(mask, np.ones((1, 5, 5), bool))
    pieces, count = ndimage.label(joined, np.ones((3, 3, 3), bool))
    if count < 2:
        return mask
    sizes = np.bincount(pieces[mask], minlength=count + 1)
    sizes[0] = 0
    main = int(sizes.argmax())
    extent = ndimage.find_objects(pieces)
    kept = np.zeros(count + 1, bool)
    kept[main] = True
    for number in np.flatnonzero(sizes >= OFF_SPINE_SHARE * sizes[main]):
        kept[number] |= _continues(extent[number - 1], extent[main - 1], spacing_mm)
    return mask & kept[pieces]


def _continues(piece: tuple[slice, ...], main: tuple[slice, ...], spacing_mm: Sequence[float]) -> bool:
    """Whether a piece lies wholly above or below the main one, near its end."""
    gap = max(main[1].start - piece[1].stop, piece[1].start - main[1].stop) * spacing_mm[1]
    aside = max(main[2].start - piece[2].stop, piece[2].start - main[2].stop) * spacing_mm[2]
    return 0 <= gap <= FURTHEST_PIECE_MM and aside <= FURTHEST_PIECE_MM / 2


def _single_bones(bones: np.ndarray, discs: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Return the bones numbered: seeds by erosion in the plane, every other voxel to its nearest seed."""
    inner = np.stack(
        [ndimage.distance_transform_edt(_walled(one), sampling=spacing_mm[1:])[1:-1, 1:-1] for one in bones]
    )
    _cut_at_discs(inner, discs, spacing_mm)
    seeds = np.zeros(bones.shape, np.int32)
    for number, seed in enumerate(_seeds(inner, SEED_MM, spacing_mm), start=1):
        seeds[tuple(seed.T)] = number
    if not seeds.any():
        return seeds
    nearest = ndimage.distance_transform_edt(
        seeds == 0, sampling=spacing_mm, return_distances=False, return_indices=True
    )
    return np.where(bones, seeds[tuple(nearest)], 0)


def _cut_at_discs(inner: np.ndarray, discs: np.ndarray, spacing_mm: Sequence[float]) -> None:
    """Set inner to 0 along the plane of every flat disc."""
    pieces, _ = ndimage.label(discs, np.ones((3, 3, 3), bool))
    at = [np.arange(count) * step for count, step in zip(inner.shape, spacing_mm, strict=True)]
    for number, place in enumerate(ndimage.find_objects(pieces), start=1):
        points = (np.argwhere(pieces[place] == number) + [axis.start for axis in place]) * spacing_mm
        if len(points) * float(np.prod(spacing_mm)) < LEAST_CUT_MM3:
            continue
        base = np.stack([np.ones(len(points)), points[:, 0], points[:, 2]], axis=1)
        plane = np.linalg.lstsq(base, points[:, 1], rcond=None)[0]  # row = plane @ (1, slice, column), all in mm
        low, high = np.quantile(points[:, 1] - base @ plane, [0.05, 0.95])
        front, back = np.quantile(points[:, 2], [0.02, 0.98])
        if back - front < max(LEAST_CUT_DEPTH_MM, FLATNESS * (high - low)):
            continue
        columns = np.flatnonzero((at[2] >= front - CUT_AHEAD_MM) & (at[2] <= back + CUT_BEHIND_MM))
        rows = plane[0] + plane[1] * at[0][:, None] + plane[2] * at[2][columns][None]  # (slices, columns)
        near = np.abs(at[1][None, :, None] - rows[:, None, :]) <= CUT_MM / 2
        inner[:, :, columns] = np.where(near, 0.0, inner[:, :, columns])


def _seeds(inner: np.ndarray, depth_mm: float, spacing_mm: Sequence[float]) -> list[np.ndarray]:
    """Return the voxels of one seed per bone, (n, 3) each: what lies this deep, split where it splits further inside.

    inner: distance of each voxel from the outline, in its plane. A split counts only from head to foot.
    """
    pieces, _ = ndimage.label(inner >= depth_mm)
    least = LEAST_SEED_MM3 / float(np.prod(spacing_mm))
    found = []
    for number, place in enumerate(ndimage.find_objects(pieces), start=1):
        own = pieces[place] == number
        if own.sum() < least:
            continue
        deeper = _seeds(np.where(own, inner[place], 0.0), depth_mm + 1.0, spacing_mm) if depth_mm < DEEPEST_MM else []
        parts = deeper if _one_above_another(deeper, spacing_mm) else [np.argwhere(own)]
        found += [part + [axis.start for axis in place] for part in parts]
    return found


def _one_above_another(parts: Sequence[np.ndarray], spacing_mm: Sequence[float]) -> bool:
    """Whether there are several parts and each lies clearly above or below the next."""
    centres = np.array(sorted((tuple(part.mean(axis=0) * spacing_mm) for part in parts), key=lambda centre: centre[1]))
    if len(centres) < 2:
        return False
    steps = np.abs(np.diff(centres, axis=0))
    return bool((steps[:, 1] >= LEAST_STEP_MM).all() and (steps[:, 1] >= steps[:, 0]).all())


def _walled(one: np.ndarray) -> np.ndarray:
    """Return a slice with its outermost voxels repeated: the border of the image is no outline."""
    return np.pad(one, 1, mode="edge")


def _kinds(single: np.ndarray, classes: np.ndarray, values: ClassValues) -> dict[int, int]:
    """Return the class of each bone."""
    kinds = {}
    for number in np.unique(single[single > 0]):
        counts = np.bincount(classes[single == number], minlength=max(values.vertebra, values.c2, values.sacrum) + 1)
        kinds[int(number)] = values.vertebra
        for reference in (values.c2, values.sacrum):
            if reference and counts[reference] >= REFERENCE_SHARE * counts.sum():
                kinds[int(number)] = reference
    return kinds


def _without_doubles(
    single: np.ndarray, kinds: dict[int, int], values: ClassValues
) -> tuple[np.ndarray, dict[int, int]]:
    """Drop all but the uppermost sacrum, what lies below it, and crumbs; the border may cut a vertebra to any size."""
    sizes = np.bincount(single.ravel())
    rows = {number: float(np.mean(np.nonzero(single == number)[1])) for number in kinds}
    sacra = [number for number, kind in kinds.items() if values.sacrum and kind == values.sacrum]
    vertebrae = [number for number in kinds if number not in sacra]
    median = float(np.median([sizes[number] for number in vertebrae])) if vertebrae else 0.0
    large = [number for number in sacra if sizes[number] >= LEAST_SHARE * median]
    sacrum = min(large, key=rows.__getitem__, default=None)
    dropped = {number for number in sacra if number != sacrum}
    for number in vertebrae:
        below = sacrum is not None and rows[number] > rows[sacrum]
        if below or (sizes[number] < LEAST_SHARE * median and not _at_an_end(single == number)):
            dropped.add(number)
    if dropped:
        single = np.where(np.isin(single, list(dropped)), 0, single)
    return single, {number: kind for number, kind in kinds.items() if number not in dropped}


def _without_what_lies_beside(
    single: np.ndarray, kinds: dict[int, int], spacing_mm: Sequence[float]
) -> tuple[np.ndarray, dict[int, int]]:
    """Drop small bones to the side of their neighbours above and below, the smallest first.

    At the ends, where the border cuts bones to any size, those as high as their neighbour lie beside it.
    """
    sizes = np.bincount(single.ravel())
    centres = {number: np.argwhere(single == number).mean(axis=0) * spacing_mm for number in kinds}
    column = sorted(kinds, key=lambda number: float(centres[number][1]))
    for number in sorted(kinds, key=lambda number: int(sizes[number])):
        place = column.index(number)
        around = [column[beside] for beside in (place - 1, place + 1) if 0 <= beside < len(column)]
        small = [one for one in around if sizes[number] < BESIDE_SHARE * sizes[one]]
        sides, heights = ([float(centres[one][axis]) for one in around] for axis in (0, 1))
        at_end = place < 2 or place > len(column) - 3
        as_high = any(abs(float(centres[one][1] - centres[number][1])) < LEAST_STEP_MM for one in small)
        line = np.interp(float(centres[number][1]), heights, sides) if around else 0.0
        off_line = len(small) == 2 and abs(float(centres[number][0]) - line) > BESIDE_MM
        if (at_end and as_high) or off_line:
            column.remove(number)
    kept = [number for number in kinds if number in column]
    return np.where(np.isin(single, kept), single, 0), {number: kinds[number] for number in kept}


def _rejoined(
    single: np.ndarray, kinds: dict[int, int], vertebra: int, discs: np.ndarray
) -> tuple[np.ndarray, dict[int, int]]:
    """Join vertebrae that lie on each other without a disc between; an anchor keeps its own border."""
    apart: list[int] = []
    for number in _from_above(single, [number for number, kind in kinds.items() if kind == vertebra]):
        if apart and _on_each_other(single == apart[-1], single == number, discs):
            single = np.where(single == number, apart[-1], single)
        else:
            apart.append(number)
    return single, {number: kind for number, kind in kinds.items() if kind != vertebra or number in apart}


def _on_each_other(upper: np.ndarray, lower: np.ndarray, discs: np.ndarray) -> bool:
    """Whether one bone lies directly on another over most of the smaller one, and next to no disc between them."""
    area = min(np.count_nonzero(mask.any(axis=1)) for mask in (upper, lower))
    touching = np.count_nonzero(upper[:, :-1] & lower[:, 1:])
    if touching < TOUCHING_SHARE * area:
        return False
    beneath = np.maximum.accumulate(upper, axis=1) & discs
    between = beneath & np.maximum.accumulate(lower[:, ::-1], axis=1)[:, ::-1]
    return bool(np.count_nonzero(between.any(axis=1)) < DISC_SHARE * area)


def _at_an_end(mask: np.ndarray) -> bool:
    return bool(mask[:, 0].any() or mask[:, -1].any())


def _from_above(single: np.ndarray, numbers: Sequence[int]) -> list[int]:
    return sorted(numbers, key=lambda number: float(np.mean(np.nonzero(single == number)[1])))


def _discs(
    labels: np.ndarray, mask: np.ndarray, column: Sequence[int], spacing_mm: Sequence[float]
) -> tuple[Disc, ...]:
    """Write the discs into labels, one per gap of the column, and return them from above."""
    pieces, count = ndimage.label(mask, np.ones((3, 3, 3), bool))
    if not count or not column:
        return ()
    centres = np.array([ndimage.center_of_mass(labels == number) for number in column]) * spacing_mm
    gaps = np.full(mask.shape, _NO_GAP, np.int32)
    for piece, size in enumerate(np.bincount(pieces.ravel())[1:], start=1):
        if size * float(np.prod(spacing_mm)) >= LEAST_DISC_MM3:
            points = np.argwhere(pieces == piece)
            gaps[tuple(points.T)] = _one_or_split(_gaps_of(points * spacing_mm, centres))
    found, number = [], int(labels.max())
    for gap in (int(gap) for gap in np.unique(gaps) if gap != _NO_GAP):
        own = (gaps == gap) & (labels == 0)
        if own.any():
            number += 1
            labels[own] = number
            found.append(Disc(number, gap if gap >= 0 else None, gap + 1 if gap + 1 < len(column) else None))
    return tuple(found)


def _gaps_of(points_mm: np.ndarray, centres_mm: np.ndarray) -> np.ndarray:
    """Return the place of the bone above each point, (n,): -1 where it lies above the first."""
    if len(centres_mm) == 1:
        return np.where(points_mm[:, 1] > centres_mm[0, 1], 0, -1)
    middles = (centres_mm[:-1] + centres_mm[1:]) / 2
    nearest = np.argmin(np.linalg.norm(points_mm[:, None] - middles[None], axis=2), axis=1)
    above = (points_mm - centres_mm[0]) @ (centres_mm[1] - centres_mm[0]) < 0
    below = (points_mm - centres_mm[-1]) @ (centres_mm[-1] - centres_mm[-2]) > 0
    return np.select([above, below], [-1, len(centres_mm) - 1], nearest)


def _one_or_split(gaps: np.ndarray) -> np.ndarray:
    """Return one gap for all points of a piece, unless it fills a good part of two: two discs that touch."""
    values, counts = np.unique(gaps, return_counts=True)
    if np.sort(counts)[-2:][0] >= JOINED_SHARE * counts.sum() and len(values) > 1:
        return gaps
    return np.full(len(gaps), values[counts.argmax()])


def _canal(labels: np.ndarray, mask: np.ndarray) -> int | None:
    """Write the largest piece of the canal into labels; return its label."""
    pieces, count = ndimage.label(mask, np.ones((3, 3, 3), bool))
    if not count:
        return None
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    number = int(labels.max()) + 1
    labels[(pieces == int(sizes.argmax())) & (labels == 0)] = number
    return number
