"""The four corners of a vertebral body from its mask: a straight line through each side, crossed with its neighbours.

top back ---- top front        columns run to the right, rows downwards; a point is (column, row), pixel centres
   |              |            are whole numbers. "First" is the side at smaller columns, whatever it shows.
bottom back - bottom front
"""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

LEAST_PIXELS = 30
_ROUNDS = 3
_OF_SIDE = 0.7


@dataclass(frozen=True, slots=True)
class Quad:
    """A body as four points (column, row): top_first is the upper corner at smaller columns.

    middle_top, middle_bottom: where the outline itself lies half way between the sides, not the straight lines.
    """

    top_first: np.ndarray = field(repr=False)
    top_second: np.ndarray = field(repr=False)
    bottom_second: np.ndarray = field(repr=False)
    bottom_first: np.ndarray = field(repr=False)
    middle_top: np.ndarray = field(repr=False)
    middle_bottom: np.ndarray = field(repr=False)

    @property
    def upper(self) -> np.ndarray:
        """The middle of the upper endplate."""
        return (self.top_first + self.top_second) / 2

    @property
    def lower(self) -> np.ndarray:
        """The middle of the lower endplate."""
        return (self.bottom_first + self.bottom_second) / 2

    @property
    def corners(self) -> np.ndarray:
        """All four, around the body, shape (4, 2)."""
        return np.array([self.top_first, self.top_second, self.bottom_second, self.bottom_first])


def quad_of(mask: np.ndarray, downwards: np.ndarray) -> Quad | None:
    """Return the corners of a body, or None where the mask is too small or not like one.

    mask: bool (rows, columns). downwards: (column, row) direction of the column of vertebrae here.
    """
    if int(mask.sum()) < LEAST_PIXELS:
        return None
    (window,) = ndimage.find_objects(mask.astype(np.uint8))  # a film has a hundred times the pixels of a body
    first, mask = np.array([window[1].start, window[0].start]), mask[window]
    rows, columns = np.nonzero(mask & ~ndimage.binary_erosion(mask))
    points = np.stack([columns, rows], axis=1) + first.astype(float)
    centre = np.stack(np.nonzero(mask)[::-1], axis=1).mean(axis=0) + first
    down = np.asarray(downwards, float) / max(float(np.linalg.norm(downwards)), 1e-9)
    sides: list[np.ndarray] = []
    for _ in range(_ROUNDS):
        frame = np.array([[down[1], -down[0]], down])  # rows: second (to larger columns), down
        sides = _sides((points - centre) @ frame.T)
        if not sides:
            return None
        slope = (sides[0][1] + sides[1][1]) / 2
        down = np.array([-slope, 1.0]) @ frame / np.hypot(slope, 1.0)
        if abs(slope) < 1e-3:
            break
    return _quad(sides, frame, centre, (points - centre) @ frame.T)


def _sides(local: np.ndarray) -> list[np.ndarray]:
    """Return (offset, slope) of the lines top, bottom (down = offset + slope * second), first, second (reversed)."""
    half = np.percentile(np.abs(local), 95, axis=0)
    if half.min() < 1.5:
        return []
    second, down = (local / half).T
    flat = np.abs(down) > np.abs(second)
    found = []
    for axis, which in (
        (1, flat & (down < 0)),
        (1, flat & (down > 0)),
        (0, ~flat & (second < 0)),
        (0, ~flat & (second > 0)),
    ):
        along = second if axis == 1 else down
        near = which & (np.abs(along) < _OF_SIDE)
        if near.sum() < 3:
            return []
        found.append(_line(local[near, 1 - axis], local[near, axis]))
    return found


def _line(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return (offset, slope) of across over along, fitted twice: without the worst points the second time."""
    slope, offset = np.polyfit(along, across, 1)
    away = np.abs(across - offset - slope * along)
    keep = away <= max(np.percentile(away, 80), 0.5)
    if keep.sum() >= 3 and np.ptp(along[keep]) > 0:
        slope, offset = np.polyfit(along[keep], across[keep], 1)
    return np.array([offset, slope])


def _quad(sides: list[np.ndarray], frame: np.ndarray, centre: np.ndarray, local: np.ndarray) -> Quad | None:
    top, bottom, first, second = sides
    corners = [
        _crossing(flat, steep) for flat, steep in ((top, first), (top, second), (bottom, second), (bottom, first))
    ]
    # The outline's pixels are inside the body; its border runs half a pixel further out.
    outward = [np.sign(corner) * 0.5 for corner in corners]
    placed = [(corner + out) @ frame + centre for corner, out in zip(corners, outward, strict=True)]
    width = abs(corners[1][0] - corners[0][0]) or 1.0
    middle = np.abs(local[:, 0]) < max(0.12 * width, 1.0)
    upper, lower = local[middle & (local[:, 1] < 0), 1], local[middle & (local[:, 1] > 0), 1]
    if not len(upper) or not len(lower):
        return None
    ends = [np.array([0.0, np.median(upper) - 0.5]), np.array([0.0, np.median(lower) + 0.5])]
    return Quad(*placed, *(end @ frame + centre for end in ends))


def _crossing(flat: np.ndarray, steep: np.ndarray) -> np.ndarray:
    """Return where down = a + b * second meets second = c + d * down."""
    down = (flat[0] + flat[1] * steep[0]) / (1 - flat[1] * steep[1])
    return np.array([steep[0] + steep[1] * down, down])
