"""The outline of a vertebral body in a radiograph: a closed contour that is seen whole from its middle.

Corners tell where a body ends; its sides are no straight lines: front and back have a waist, endplates sink in. An
outline has POINTS points, SIDE_POINTS from each corner on: top_back, then along the upper endplate, down the front,
along the lower endplate, and up the back.

refined() finds the sides in the film. It bends each side inwards to the parabola along which the film darkens most from
within to without, no farther than MOST_BENT of the body's width across it. Where no parabola stands out, the side stays
straight: a guess would teach more than a film shows.
"""

import numpy as np
from scipy import ndimage

SIDES = ("top", "front", "bottom", "back")
SIDE_POINTS = 6
POINTS = len(SIDES) * SIDE_POINTS

MOST_BENT = 0.12
"""How far the middle of a side may lie inside, of the body's width across that side."""
_STEPS, _MARGIN = 24, 0.03
"""Depths that are tried up to MOST_BENT, and how far beyond the film is looked at, of the width."""
_PLACES = np.linspace(0.14, 0.86, 25)
"""Along a side, from corner to corner; a bent side does not leave its corners."""
_SMOOTH, _STANDS_OUT = 0.015, 0.7
"""Blur before the edge is looked for, of the width. The mean steepness of an edge, of its spread along it."""


def straight(corners: np.ndarray) -> np.ndarray:
    """Return outlines (n, POINTS, 2) with straight sides for corners (n, 4, 2)."""
    return bowed(corners, np.zeros((len(corners), len(SIDES)), np.float32))


def bowed(corners: np.ndarray, depth_px: np.ndarray) -> np.ndarray:
    """Return outlines whose sides are parabolas. depth_px: (n, 4), how far the middle of each of SIDES lies inside."""
    shares = np.arange(SIDE_POINTS) / SIDE_POINTS
    following = np.roll(corners, -1, axis=1)
    on_chord = corners[:, :, None] + (following - corners)[:, :, None] * shares[:, None]
    sunken = depth_px[..., None] * (4 * shares * (1 - shares))
    moved = on_chord + inward(corners)[:, :, None] * sunken[..., None]
    return np.asarray(moved, np.float32).reshape(-1, POINTS, 2)


def refined(pixels: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return outlines (n, POINTS, 2) whose sides lie on the edges of bright bodies of a film (rows, columns)."""
    depths = [[_depth(pixels, quad, side) for side in range(len(SIDES))] for quad in corners]
    return bowed(corners, np.array(depths, np.float32).reshape(-1, len(SIDES)))


def _depth(pixels: np.ndarray, corners: np.ndarray, side: int) -> float:
    """Return how far the middle of a side lies inside, in pixels; 0 where no edge stands out."""
    start, end = corners[side], corners[(side + 1) % len(SIDES)]
    width = float(np.linalg.norm((start + end) / 2 - (np.roll(corners, -side - 2, axis=0)[:2]).mean(axis=0)))
    offsets = np.linspace(-_MARGIN, MOST_BENT + _MARGIN, 1 + 2 * _STEPS) * width
    normal = inward(corners[None])[0, side]
    on_chord = start + (end - start) * _PLACES[:, None]
    points = on_chord[:, None] + normal * offsets[:, None]
    step = offsets[1] - offsets[0]
    seen = ndimage.map_coordinates(pixels.astype(np.float32), points.transpose(2, 0, 1)[::-1], order=1, mode="nearest")
    rising = ndimage.gaussian_filter1d(seen, max(_SMOOTH * width, 1.0) / step, axis=1, order=1)
    tried = np.linspace(0, MOST_BENT, 1 + _STEPS) * width
    bulge = 4 * _PLACES * (1 - _PLACES)
    looked = (tried[:, None] * bulge - offsets[0]) / step
    along = ndimage.map_coordinates(rising, [np.broadcast_to(np.arange(len(_PLACES)), looked.shape), looked], order=1)
    strength = (along * bulge).mean(axis=1)
    best = int(strength.argmax())
    clear = float(along[best].mean()) > _STANDS_OUT * float(along[best].std()) + 1e-6
    return float(tried[best]) if clear and best < _STEPS else 0.0


def inward(corners: np.ndarray) -> np.ndarray:
    """Return the unit normals (n, 4, 2) of the sides, towards the middle of the body."""
    along = np.roll(corners, -1, axis=1) - corners
    normal = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    to_middle = corners.mean(axis=1, keepdims=True) - corners
    return normal * np.where((normal * to_middle).sum(axis=-1, keepdims=True) < 0, -1, 1)


def paint_outline(canvas: np.ndarray, outline: np.ndarray, *, share: float = 1.0) -> None:
    """Raise a canvas (rows, columns) to how far each pixel lies in an outline (n, 2), soft over a pixel at its edge.

    share: of its size, about its middle.
    """
    rows, columns = canvas.shape
    low = np.maximum(np.floor(outline.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 2, (columns, rows))
    if (high <= low).any():
        return
    middle = outline.mean(axis=0)
    around = outline - middle
    angles = np.arctan2(around[:, 1], around[:, 0])
    order = np.argsort(angles)
    around, angles = around[order], angles[order]
    edges = np.roll(around, -1, axis=0) - around
    normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    reach = (normals * around).sum(axis=1) * share
    x, y = np.meshgrid(np.arange(low[0], high[0]) - middle[0], np.arange(low[1], high[1]) - middle[1])
    edge = np.searchsorted(angles, np.arctan2(y, x)) - 1  # -1: the edge that crosses the angle pi
    inside = reach[edge] - normals[edge, 0] * x - normals[edge, 1] * y
    window = canvas[low[1] : high[1], low[0] : high[0]]
    np.maximum(window, np.clip(inside + 0.5, 0.0, 1.0), out=window)
