"""From a soft mask with whatever else is in it to the values of one cord."""

import numpy as np
from scipy import ndimage

from dicom_ai.domain.image import Volume

CORE = 0.5
"""A voxel that is cord for at least this share is the cord's core; a slice without core shows no cord."""

FLOOR = 0.02
"""Smaller values are the tail of a network's output, not partial volume."""

FRINGE_MM = 2.0
"""Soft values this near to the core are its edge (at least two voxels); what lies further away is not this cord."""

MAX_GAP_MM = 20.0
"""Longer stretches without cord end it."""

MAX_STEP_MM = 8.0
"""Between two slices the cord moves sideways by at most this much, plus as much as the slices are apart."""

SMALLEST_SHARE = 0.25
"""A part beyond a gap belongs to the cord if its area is at least this share of the last slice's."""


def isolate_cord(soft: Volume) -> Volume:
    """Return the axial-first soft mask with the values of one cord only; all zero where there is none.

    The cord is the largest connected core (by its sum of values), continued slice by slice up and down over gaps, with
    its soft edge. NaN counts as 0; values are clipped to [0, 1].
    """
    values = np.clip(np.nan_to_num(soft.voxels, nan=0.0, posinf=0.0, neginf=0.0), 0.0, 1.0).astype(np.float32)
    values[values < FLOOR] = 0.0
    kept = np.zeros_like(values)
    box = _bounding_box(values >= CORE, soft)
    if box is not None:
        inside = values[box]
        core = _cord_core(inside, soft.spacing_mm)
        kept[box] = np.where(_with_fringe(core, soft.spacing_mm), inside, 0.0)
    return soft.with_voxels(kept)


def _bounding_box(core: np.ndarray, soft: Volume) -> tuple[slice, slice, slice] | None:
    """Return the box around the core with room for its fringe, or None where there is no core."""
    found = ndimage.find_objects(core.astype(np.uint8))
    if not found:
        return None
    margin = np.concatenate([[0], np.ceil(_fringe_mm(soft.spacing_mm) / soft.spacing_mm[1:])]).astype(int)
    first, second, third = (
        slice(max(0, part.start - room), min(size, part.stop + room))
        for part, room, size in zip(found[0], margin, soft.shape, strict=True)
    )
    return first, second, third


def _cord_core(values: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Return where the core of the cord is, shape of values."""
    above = values >= CORE
    labels, count = ndimage.label(above, structure=np.ones((3, 3, 3)))
    amounts = ndimage.sum_labels(values, labels, np.arange(1, count + 1))
    trunk = labels == 1 + int(np.argmax(amounts))
    held = np.flatnonzero(trunk.any(axis=(1, 2)))
    rest = above & ~trunk
    _continue(trunk, rest, start=int(held[-1]), step=1, spacing_mm=spacing_mm)
    _continue(trunk, rest, start=int(held[0]), step=-1, spacing_mm=spacing_mm)
    return trunk


def _continue(trunk: np.ndarray, rest: np.ndarray, *, start: int, step: int, spacing_mm: np.ndarray) -> None:
    """Add to the trunk, slice by slice from its end, the part of the rest that goes on with it."""
    last = start
    index = start + step
    while 0 <= index < len(trunk) and abs(index - last) * spacing_mm[0] <= max(MAX_GAP_MM, spacing_mm[0]):
        apart_mm = abs(index - last) * spacing_mm[0]
        part = _part_near(rest[index], trunk[last], reach_mm=MAX_STEP_MM + apart_mm, spacing_mm=spacing_mm[1:])
        if part.any():
            trunk[index] |= part
            last = index
        index += step


def _part_near(candidates: np.ndarray, last: np.ndarray, *, reach_mm: float, spacing_mm: np.ndarray) -> np.ndarray:
    """Return the connected part of a slice nearest to the last slice's centroid, empty where none is near and large."""
    labels, count = ndimage.label(candidates)
    numbers = [n for n in range(1, count + 1) if (labels == n).sum() >= SMALLEST_SHARE * last.sum()]
    if not numbers:
        return np.zeros_like(candidates)
    centre = np.array(ndimage.center_of_mass(last))
    away = (np.array(ndimage.center_of_mass(candidates, labels, numbers)) - centre) * spacing_mm
    distance = np.linalg.norm(away, axis=1)
    nearest = int(distance.argmin())
    return (labels == numbers[nearest]) & (distance[nearest] <= reach_mm)


def _fringe_mm(spacing_mm: np.ndarray) -> float:
    """Return how far soft values may lie from the core: thick slices smear the edge of a slanting cord."""
    return max(FRINGE_MM, 2.0 * float(spacing_mm[1:].max())) + min(0.5 * float(spacing_mm[0]), 5.0)


def _with_fringe(core: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Return the core and, within its slices, what lies near to it."""
    near = np.zeros_like(core)
    for index in np.flatnonzero(core.any(axis=(1, 2))):
        near[index] = ndimage.distance_transform_edt(~core[index], sampling=spacing_mm[1:]) <= _fringe_mm(spacing_mm)
    return near
