"""The shape of a neck as formulas: a curved centre-line, a cord of elliptical cross-section, a canal around it.

h is the height in mm above the foramen magnum, negative in the neck; c(h) is the centre-line; perpendicular to it the
cord is an ellipse with half axes a(h), b(h), so its area is pi * a * b in closed form.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.ndimage as ndi

LOWEST_MM, HIGHEST_MM, TABLE_STEP_MM = -450.0, 150.0, 0.01
"""The heights between which a neck is defined, and the step of its table."""

LEVEL_NAMES = ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2", "T3", "T4", "T5", "T6")
_HEIGHTS_MM = np.array([13.0, 27.0, 17.0, 16.5, 16.0, 16.0, 17.5, 19.5, 20.5, 21.0, 21.5, 22.0, 22.0])
"""From the middle of one disc to the middle of the next, a man of mean size; C1 and C2 without a disc between them."""
_AREA_AT_MM2 = np.array([76.0, 73.0, 74.0, 78.0, 77.0, 70.0, 58.0, 48.0, 43.5, 40.0, 37.5, 36.5, 36.0])
_RATIO_AT = np.array([0.73, 0.66, 0.63, 0.59, 0.57, 0.57, 0.60, 0.67, 0.72, 0.75, 0.78, 0.80, 0.80])
"""Cord area and AP/RL ratio at the middle of each level: means of PAM50-normalized-metrics (models.md 5.2), rounded."""


@dataclass(frozen=True, slots=True)
class NeckShape:
    """The parameters of a neck; lengths in mm.

    scale: size of vertebrae. cord_area, cord_ratio: factors on area and AP/RL ratio of the mean cord.
    lordosis_mm, kyphosis_mm: how far the centre-line bows forward in the neck and backward below it.
    tilt_ap, tilt_rl: slope of the whole centre-line. scoliosis_mm: sideways bow.
    canal_margin_mm: mean distance of cord and canal wall. cord_offset_mm: of the cord in the canal, to behind.
    squeeze: up to 0.5; flattening of the cord's AP axis at squeeze_height (a compression), within 8 mm.
    body_rl_mm, body_ap_mm: half axes of the neck's outline.
    """

    scale: float = 1.0
    cord_area: float = 1.0
    cord_ratio: float = 1.0
    lordosis_mm: float = 7.0
    kyphosis_mm: float = 6.0
    tilt_ap: float = 0.08
    tilt_rl: float = 0.0
    scoliosis_mm: float = 1.5
    canal_margin_mm: float = 3.4
    cord_offset_mm: float = 0.3
    squeeze: float = 0.0
    squeeze_height: float = -70.0
    body_rl_mm: float = 58.0
    body_ap_mm: float = 62.0
    fat_mm: float = 7.0

    @property
    def level_bounds(self) -> np.ndarray:
        """Heights h of the borders between levels, shape (levels + 1,), from 0 downward."""
        return -np.concatenate([[0.0], np.cumsum(_HEIGHTS_MM) * self.scale])

    def centre(self, h: np.ndarray) -> np.ndarray:
        """Return the point (x, y) of the centre-line at height h, LPS mm, shape (..., 2)."""
        length = 130.0 * self.scale
        low = np.minimum(h, 0.0)  # above the foramen magnum the line goes on straight
        x = self.tilt_rl * h + self.scoliosis_mm * np.sin(2 * np.pi * low / 170.0)
        bow = -np.cos(np.pi * (low + 0.5 * length) / length)
        sag = np.clip(-(h + length) / 80.0, 0.0, None) ** 2
        y = self.tilt_ap * h + self.lordosis_mm * bow + self.kyphosis_mm * sag
        return np.stack([x, y], axis=-1)

    def slope(self, h: np.ndarray) -> np.ndarray:
        """Return d(x, y)/dh of the centre-line, shape (..., 2)."""
        return (self.centre(h + 0.05) - self.centre(h - 0.05)) / 0.1

    def semi_axes_mm(self, h: np.ndarray) -> np.ndarray:
        """Return the cord's half axes (R-L, A-P) at height h, shape (..., 2)."""
        bounds = self.level_bounds
        middles = 0.5 * (bounds[1:] + bounds[:-1])
        area = self.cord_area * _smooth(h, middles, _AREA_AT_MM2)
        ratio = self.cord_ratio * _smooth(h, middles, _RATIO_AT)
        squeeze = 1.0 - self.squeeze * np.exp(-0.5 * ((h - self.squeeze_height) / 8.0) ** 2)
        rl = np.sqrt(area / (np.pi * ratio))
        return np.stack([rl * squeeze**-0.2, rl * ratio * squeeze], axis=-1)


def _smooth(h: np.ndarray, middles: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Interpolate values given at falling heights with a kernel of 9 mm: smooth at every order."""
    samples = np.linspace(middles[-1] - 30, middles[0] + 30, 400)
    table = ndi.gaussian_filter1d(np.interp(samples, middles[::-1], values[::-1]), 9.0 / (samples[1] - samples[0]))
    return np.interp(h, samples, table)


def random_shape(seed: int) -> NeckShape:
    """Return a neck drawn from a wide range of adult shapes; the same seed gives the same neck."""
    rng = np.random.default_rng(seed)
    draw = rng.uniform
    return NeckShape(
        scale=draw(0.85, 1.12),
        cord_area=draw(0.72, 1.3),
        cord_ratio=draw(0.85, 1.2),
        lordosis_mm=draw(-6.0, 14.0),
        kyphosis_mm=draw(2.0, 12.0),
        tilt_ap=draw(-0.25, 0.25),
        tilt_rl=draw(-0.12, 0.12),
        scoliosis_mm=draw(-5.0, 5.0),
        canal_margin_mm=draw(1.6, 4.6),
        cord_offset_mm=draw(-1.0, 1.2),
        squeeze=draw(0.1, 0.5) if rng.random() < 0.25 else 0.0,
        squeeze_height=draw(-110.0, -40.0),
        body_rl_mm=draw(48.0, 75.0),
        body_ap_mm=draw(50.0, 78.0),
        fat_mm=draw(3.0, 18.0),
    )


@dataclass(frozen=True, slots=True)
class Place:
    """Points in the neck's own coordinates, each of shape (n,), mm.

    h: height of the nearest point of the centre-line; u: from it to the patient's left, v: backward, in the plane
    across the cord. x, y: patient coordinates. semi: the cord's half axes there, shape (n, 2).
    """

    h: np.ndarray
    u: np.ndarray
    v: np.ndarray
    x: np.ndarray
    y: np.ndarray
    semi: np.ndarray


@lru_cache(maxsize=8)
def _line(shape: NeckShape) -> np.ndarray:
    """Return (x, y, dx/dh, dy/dh, a, b) of the centre-line every TABLE_STEP_MM from LOWEST_MM up, shape (n, 6)."""
    h = np.arange(LOWEST_MM, HIGHEST_MM, TABLE_STEP_MM)
    return np.concatenate([shape.centre(h), shape.slope(h), shape.semi_axes_mm(h)], axis=1)


def _at_height(shape: NeckShape, h: np.ndarray) -> np.ndarray:
    """Return the rows of _line nearest to heights h, shape (n, 6)."""
    line = _line(shape)
    index = np.rint((h - LOWEST_MM) / TABLE_STEP_MM).astype(np.int32)
    return line[np.clip(index, 0, len(line) - 1)]


def height_of(shape: NeckShape, points: np.ndarray) -> np.ndarray:
    """Return the height of the centre-line's point nearest to each LPS point (n, 3), by Newton steps on the tangent."""
    h = points[:, 2].copy()
    for _ in range(3):
        row = _at_height(shape, h)
        along = (points[:, 0] - row[:, 0]) * row[:, 2] + (points[:, 1] - row[:, 1]) * row[:, 3] + points[:, 2] - h
        h = h + along / (1.0 + row[:, 2] ** 2 + row[:, 3] ** 2)
    return h


def place(shape: NeckShape, points: np.ndarray) -> Place:
    """Return LPS points (n, 3) in the neck's own coordinates."""
    h = height_of(shape, points)
    row = _at_height(shape, h)
    dx, dy, dz = points[:, 0] - row[:, 0], points[:, 1] - row[:, 1], points[:, 2] - h
    # e1 lies across the cord in the plane of x and the tangent; e2 = tangent x e1 completes the right-handed frame.
    sx, sy = row[:, 2], row[:, 3]
    across = 1.0 + sy**2
    u = (across * dx - sx * sy * dy - sx * dz) / np.sqrt(across * (across + sx**2))
    v = (dy - sy * dz) / np.sqrt(across)
    return Place(h, u, v, points[:, 0], points[:, 1], row[:, 4:])


def cord_gap(shape: NeckShape, at: Place) -> np.ndarray:
    """Return about how many mm each point lies outside the cord (negative: inside)."""
    q = np.hypot(at.u / at.semi[:, 0], at.v / at.semi[:, 1])
    return np.maximum((q - 1.0) * at.semi.min(axis=1), at.h)


def canal_gap(shape: NeckShape, at: Place) -> np.ndarray:
    """Return about how many mm each point lies outside the dural sac (negative: inside)."""
    squeezed = shape.squeeze * np.exp(-0.5 * ((at.h - shape.squeeze_height) / 8.0) ** 2)
    margin = shape.canal_margin_mm * (1.0 - 1.2 * squeezed)
    back = shape.cord_offset_mm * (1.0 - 2.0 * squeezed)
    wide, deep = at.semi[:, 0] + 1.25 * margin, at.semi[:, 1] + 0.8 * margin
    q = np.hypot(at.u / wide, (at.v + np.clip(back, -0.4 * margin, 0.4 * margin)) / deep)
    return (q - 1.0) * np.minimum(wide, deep)
