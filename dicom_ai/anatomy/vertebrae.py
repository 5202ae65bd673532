"""Vertebrae with levels from a segmentation: where each lies, and what an anchor in it allows to call it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from dicom_ai.anatomy.instances import Instance
from dicom_ai.anatomy.labeling import NO_ANCHOR, Anchors, Labelling, label
from dicom_ai.anatomy.levels import SACRUM, disc_between
from dicom_ai.domain.findings import Segmentation, StructureKind
from dicom_ai.domain.image import Volume

TALLEST_BELOW_C2_MM = 20.0
TALL_WITH_DENS = 1.25
"""C2 with its dens, or what the border leaves of it, is at least this much taller than the two vertebrae below."""
SHORTEST_ABOVE_SACRUM_MM = 18.0
FURTHEST_SACRUM = 1.0
"""Largest gap between the lowest vertebra and the sacrum, in heights of that vertebra."""
TALLEST_SACRUM = 1.8
"""A first sacral vertebra is at most so many times as tall as the vertebrae above it; a taller one holds L5 too. In 14
people 0.9 to 1.7 were seen, and 2.0 where a narrow disc L5/S1 had been missed: every level was one too low."""
LEAST_DISC_SHARE = 0.25
"""A disc between the lowest vertebra and the sacrum is at least this share of the median disc above."""
OTHER_SIGNAL = 3.0
"""An anchor whose median signal is so many times that of its two neighbours, or that share of it, is no bone: metal
leaves a void of a vertebra's size. Between the sacrum and the vertebrae above it 0.9 to 2.2 were seen in 20 people."""
CUT_THROUGH, MOST_CUT = 0.5, 0.5
"""The front or back border cuts through a body where it holds at least this share of its largest plane. Where it does
so to this share of the vertebrae, half of the spine is outside: what is left of bodies and discs cannot be counted."""
CORE = 0.5
"""Endplates are looked for in the core of a body: this share of its extent across the spine."""


def label_segmentation(segmentation: Segmentation, grid: Volume) -> Labelling:
    """Return the vertebrae of a segmentation from above, with the levels that its anchors carry.

    An anchor is a vertebra whose structure has the level C2, or a sacrum, if its neighbours are as large as they must
    be there. grid: the image the segmentation lies on.
    """
    vertebrae = [s for s in segmentation.segments if s.structure.kind is StructureKind.VERTEBRA]
    sacra = [s for s in segmentation.segments if s.structure.kind is StructureKind.SACRUM]
    numbers = [segment.number for segment in (*vertebrae, *sacra)]
    column = {found.segment_number: found for found in instances_in(segmentation.labels, grid, numbers)}
    row = [column[segment.number] for segment in vertebrae if segment.number in column]
    row.sort(key=lambda instance: -float(instance.centroid_mm[2]))
    c2 = next((s.number for s in vertebrae if s.structure.level == "C2" and s.number in column), None)
    sacrum = next((column[s.number] for s in sacra if s.number in column), None)
    notes = []
    if c2 is not None and not _plausible_c2(row, c2):
        c2 = None
        notes.append("what looked like C2 has no dens or lies on vertebrae too tall for a neck: it was not used")
    doubt = _doubt_about_sacrum(segmentation, grid, row, sacrum) if sacrum is not None and row else ""
    if doubt:
        sacrum = None
        notes.append(f"what looked like the sacrum {doubt} and was not used")
    if (c2 is not None or sacrum is not None) and _half_outside(segmentation.labels, grid, row):
        c2 = sacrum = None
        notes.append("the front or back border of the image cuts through most vertebrae: they were not counted")
    result = label(row, Anchors(c2=c2, sacrum=sacrum))
    return replace(result, notes=(*notes, *result.notes))


def renamed(segmentation: Segmentation, labelling: Labelling, grid: Volume) -> Segmentation:
    """Return the segmentation with the names and levels of a labelling; a disc is named by the bones around it."""
    names = {vertebra.segment_number: vertebra for vertebra in labelling.labels}
    discs = [one.number for one in segmentation.segments if one.structure.kind is StructureKind.DISC]
    has_sacrum = any(one.structure.kind is StructureKind.SACRUM for one in segmentation.segments)
    segments = []
    for segment in segmentation.segments:
        structure = segment.structure
        if segment.number in names:
            structure = replace(structure, name=names[segment.number].name, level=names[segment.number].level)
        elif segment.number in discs:
            level = _level_of_disc(segmentation.labels == segment.number, labelling, grid=grid, has_sacrum=has_sacrum)
            name = f"{level} disc" if level else f"Disc {discs.index(segment.number) + 1}"
            structure = replace(structure, name=name, level=level)
        segments.append(replace(segment, structure=structure, tracking_id=structure.name))
    obsolete = {NO_ANCHOR} if any(vertebra.level for vertebra in labelling.labels) else set()
    notes = dict.fromkeys(note for note in (*segmentation.notes, *labelling.notes) if note not in obsolete)
    return replace(segmentation, segments=tuple(segments), notes=tuple(notes), vertebrae=labelling.labels)


def _level_of_disc(mask: np.ndarray, labelling: Labelling, *, grid: Volume, has_sacrum: bool) -> str | None:
    """Return "C3/C4" where the vertebrae directly above and below the disc have levels that follow one another."""
    height = float(grid.to_mm(np.argwhere(mask).mean(axis=0))[2])
    above = [one for one in labelling.labels if float(one.centroid_mm[2]) > height]
    below = [one for one in labelling.labels if float(one.centroid_mm[2]) <= height]
    lower = below[0].level if below else SACRUM if has_sacrum else None
    if not above or above[-1].level is None or lower is None:
        return None
    try:
        return disc_between(above[-1].level, lower)
    except ValueError:
        return None


def instances_in(labels: np.ndarray, grid: Volume, numbers: Sequence[int]) -> tuple[Instance, ...]:
    """Return where the segments with these numbers lie, from above; those without a voxel are left out."""
    boxes = ndimage.find_objects(labels)
    clouds = {}
    for number in numbers:
        box = boxes[number - 1] if number <= len(boxes) else None
        if box is not None:
            inside = np.argwhere(labels[box] == number) + [part.start for part in box]
            clouds[number] = inside
    centres = {number: grid.to_mm(cloud.mean(axis=0)) for number, cloud in clouds.items()}
    order = sorted(clouds, key=lambda number: -float(centres[number][2]))
    border = _border_axes(grid)
    found = []
    for place, number in enumerate(order):
        above, below = order[max(0, place - 1)], order[min(len(order) - 1, place + 1)]
        axis = centres[above] - centres[below] if above != below else np.array([0.0, 0.0, 1.0])
        upper, lower = _ends(grid.to_mm(clouds[number]), centres[number], axis / np.linalg.norm(axis))
        found.append(Instance(number, centres[number], upper, lower, whole=_whole(clouds[number], grid.shape, border)))
    return tuple(found)


def _ends(points_mm: np.ndarray, centre: np.ndarray, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the middles of the upper and lower end of a body along an axis that points to the head."""
    apart = points_mm - centre
    along = apart @ axis
    across = np.linalg.norm(apart - along[:, None] * axis, axis=1)
    core = along[across <= CORE * np.quantile(across, 0.9)]
    low, high = np.quantile(core if len(core) else along, [0.02, 0.98])
    return centre + high * axis, centre + low * axis


def _border_axes(grid: Volume) -> tuple[int, ...]:
    """Return the axes along which the border of the image can cut a vertebra: all but that across the body."""
    across = int(np.argmax(np.abs(grid.directions[0])))
    return tuple(axis for axis in range(3) if axis != across)


def _whole(cloud: np.ndarray, shape: Sequence[int], axes: Sequence[int]) -> bool:
    return all(cloud[:, axis].min() > 0 and cloud[:, axis].max() < shape[axis] - 1 for axis in axes)


def _half_outside(labels: np.ndarray, grid: Volume, row: Sequence[Instance]) -> bool:
    """Whether the front or back border of the image cuts through most vertebrae."""
    depth = int(np.argmax(np.abs(grid.directions[1])))
    others = tuple(axis for axis in range(3) if axis != depth)
    cut = 0
    for instance in row:
        planes = np.count_nonzero(labels == instance.segment_number, axis=others)
        cut += bool(max(planes[0], planes[-1]) >= CUT_THROUGH * planes.max())
    return bool(row) and cut >= MOST_CUT * len(row)


def _plausible_c2(row: Sequence[Instance], c2: int) -> bool:
    place = [instance.segment_number for instance in row].index(c2)
    beneath = [instance.height_mm for instance in row[place + 1 : place + 3] if instance.whole]
    if not beneath or float(np.median(beneath)) > TALLEST_BELOW_C2_MM:
        return False
    return row[place].height_mm >= TALL_WITH_DENS * float(np.median(beneath))


def _doubt_about_sacrum(segmentation: Segmentation, grid: Volume, row: Sequence[Instance], sacrum: Instance) -> str:
    """Return what speaks against the first sacral vertebra below a row, "" where nothing does."""
    discs = [one.number for one in segmentation.segments if one.structure.kind is StructureKind.DISC]
    resting = _rests_on_a_disc(segmentation.labels, grid, discs, (row[-1], sacrum))
    if not (resting and _plausible_sacrum(row[-1], sacrum)):
        return "does not lie below a lumbar vertebra and a whole disc"
    if _holds_two(sacrum, row[-3:]):
        return "is as tall as two vertebrae"
    if not _looks_like(segmentation.labels, grid, sacrum, row[-2:]):
        return "has another signal than the vertebrae above it"
    return ""


def _rests_on_a_disc(labels: np.ndarray, grid: Volume, discs: Sequence[int], ends: tuple[Instance, Instance]) -> bool:
    """Whether a disc of some size lies between the lowest vertebra and the sacrum: the one below S1 is a remnant."""
    sizes = np.bincount(labels.ravel(), minlength=max(discs, default=0) + 1)
    centres = {found.segment_number: found.centroid_mm for found in instances_in(labels, grid, discs)}
    upper, lower = (float(end.centroid_mm[2]) for end in ends)
    between = [number for number, centre in centres.items() if lower < centre[2] < upper]
    others = [sizes[number] for number, centre in centres.items() if centre[2] >= upper]
    if not between:
        return False
    return not others or sum(int(sizes[number]) for number in between) >= LEAST_DISC_SHARE * float(np.median(others))


def _looks_like(labels: np.ndarray, grid: Volume, anchor: Instance, neighbours: Sequence[Instance]) -> bool:
    """Whether the median signal of an anchor is within OTHER_SIGNAL times that of its neighbours, above the darkest."""
    floor = float(np.quantile(grid.voxels, 0.01))
    own = float(np.median(grid.voxels[labels == anchor.segment_number])) - floor
    beside = float(np.median(grid.voxels[np.isin(labels, [one.segment_number for one in neighbours])])) - floor
    return beside <= 0 or 1 / OTHER_SIGNAL <= own / beside <= OTHER_SIGNAL


def _holds_two(sacrum: Instance, above: Sequence[Instance]) -> bool:
    heights = [instance.height_mm for instance in above if instance.whole]
    return bool(heights) and sacrum.height_mm > TALLEST_SACRUM * float(np.median(heights))


def _plausible_sacrum(lowest: Instance, sacrum: Instance) -> bool:
    gap = float(np.linalg.norm(lowest.lower_mm - sacrum.upper_mm))
    tall = not lowest.whole or lowest.height_mm >= SHORTEST_ABOVE_SACRUM_MM
    return tall and gap <= FURTHEST_SACRUM * max(lowest.height_mm, SHORTEST_ABOVE_SACRUM_MM)
