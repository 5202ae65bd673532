"""The course of the cord: centroids of its axial slices, smoothed, with tangents and positions along it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import make_smoothing_spline

from dicom_ai.domain.image import Volume

SMOOTHING_WAVELENGTH_MM = 25.0
"""Waves of the course shorter than this are noise of the mask: at this length half of the amplitude is kept."""

ENOUGH_FOR_A_CURVE = 5
"""With fewer slices that hold cord, the course is a straight line."""

ROBUST_ROUNDS = 3
OUTLIER_MM = 0.5
"""A centroid further from the course than this (or than 3 robust standard deviations) loses weight."""


@dataclass(frozen=True, slots=True)
class Centerline:
    """The course of the cord from its lowest to its highest slice, gaps included; one entry per slice, feet to head.

    slices: int, shape (n,), indices of the slices of the axial-first volume.
    points_mm: LPS, shape (n, 3), the smoothed course. tangents: unit vectors towards the head, LPS, shape (n, 3).
    position_mm: shape (n,), arc length from the top of the cord seen (the upper face of the highest slice) down to the
        middle of each slice. length_mm: arc length from top to bottom.
    """

    slices: np.ndarray = field(repr=False)
    points_mm: np.ndarray = field(repr=False)
    tangents: np.ndarray = field(repr=False)
    position_mm: np.ndarray = field(repr=False)
    length_mm: float

    def position_of(self, point_mm: np.ndarray) -> float:
        """Return how far below the top the point of the course nearest to an LPS point lies, in mm.

        Beyond its ends the course goes on straight: negative above the top, more than length_mm below the bottom.
        """
        reach = 1000.0
        points = np.vstack(
            [
                self.points_mm[0] - reach * self.tangents[0],
                self.points_mm,
                self.points_mm[-1] + reach * self.tangents[-1],
            ]
        )
        positions = np.concatenate([[self.position_mm[0] + reach], self.position_mm, [self.position_mm[-1] - reach]])
        steps = np.diff(points, axis=0)
        along = np.sum((point_mm - points[:-1]) * steps, axis=1) / np.sum(steps**2, axis=1)
        along = np.clip(along, 0.0, 1.0)
        nearest = np.linalg.norm(points[:-1] + along[:, None] * steps - point_mm, axis=1).argmin()
        return float(positions[nearest] + along[nearest] * (positions[nearest + 1] - positions[nearest]))


def centerline(cord: Volume) -> Centerline:
    """Return the course of the cord through an axial-first volume of soft values in [0, 1].

    Each slice gives the centroid of its values, weighted by them; a smoothing spline goes through the centroids,
    less bound to faint slices and to outliers. Slices without cord between others are bridged.
    Raise ValueError where no slice holds cord.
    """
    amount = cord.voxels.sum(axis=(1, 2), dtype=np.float64)
    seen = np.flatnonzero(amount > 0)
    if seen.size == 0:
        raise ValueError("no slice holds cord")
    in_plane_mm = _centroids(cord, seen)
    weights = np.minimum(1.0, amount[seen] / np.median(amount[seen]))
    slice_mm = cord.spacing_mm[0]
    rows = _smooth_course(seen * slice_mm, in_plane_mm[:, 0], weights)
    columns = _smooth_course(seen * slice_mm, in_plane_mm[:, 1], weights)
    return _along(cord, np.arange(seen[0], seen[-1] + 1), rows, columns)


def _centroids(cord: Volume, slices: np.ndarray) -> np.ndarray:
    """Return the weighted centroid of each slice as (row, column) in mm within the plane, shape (n, 2)."""
    values = cord.voxels[slices].astype(np.float64)
    total = values.sum(axis=(1, 2))
    rows = values.sum(axis=2) @ np.arange(values.shape[1]) / total
    columns = values.sum(axis=1) @ np.arange(values.shape[2]) / total
    return np.stack([rows * cord.spacing_mm[1], columns * cord.spacing_mm[2]], axis=1)


Course = Callable[[np.ndarray, int], np.ndarray]
"""Position along the slice axis in mm, order of the derivative -> place within the plane in mm (or its slope)."""


def _smooth_course(at_mm: np.ndarray, offset_mm: np.ndarray, weights: np.ndarray) -> Course:
    """Return a smooth function through offsets, robust to outliers."""
    if at_mm.size < ENOUGH_FOR_A_CURVE:
        return _straight_course(at_mm, offset_mm, weights)
    spacing_mm = float(np.median(np.diff(at_mm)))
    # A smoothing spline halves the amplitude where (2 pi / wavelength)^4 * lam * spacing = 1.
    lam = (SMOOTHING_WAVELENGTH_MM / (2 * np.pi)) ** 4 / spacing_mm
    trust = weights
    for _ in range(ROBUST_ROUNDS):
        spline = make_smoothing_spline(at_mm, offset_mm, w=trust, lam=lam)
        distance = np.abs(offset_mm - spline(at_mm))
        limit = max(OUTLIER_MM, 3 * 1.4826 * float(np.median(distance)))
        trust = weights * np.minimum(1.0, limit / np.maximum(distance, 1e-9)) ** 2
    spline = make_smoothing_spline(at_mm, offset_mm, w=trust, lam=lam)
    return lambda at, order: spline(at, nu=order)


def _straight_course(at_mm: np.ndarray, offset_mm: np.ndarray, weights: np.ndarray) -> Course:
    """Return the weighted straight line through a few offsets; one slice gives a line along the slice axis."""
    if at_mm.size == 1:
        return lambda at, order: np.full(at.shape, offset_mm[0] if order == 0 else 0.0)
    line = np.polynomial.Polynomial.fit(at_mm, offset_mm, 1, w=np.sqrt(weights)).convert()
    return lambda at, order: line.deriv(order)(at) + np.zeros(at.shape)


def _along(cord: Volume, slices: np.ndarray, rows: Course, columns: Course) -> Centerline:
    """Return the course over the given slices."""
    spacing = cord.spacing_mm
    at_mm = slices * spacing[0]
    indices = np.stack([slices, rows(at_mm, 0) / spacing[1], columns(at_mm, 0) / spacing[2]], axis=1)
    slope = np.stack([np.ones(slices.size), rows(at_mm, 1), columns(at_mm, 1)], axis=1) @ cord.directions.T
    step_mm = np.linalg.norm(slope, axis=1) * spacing[0]
    points = cord.to_mm(indices)
    between = np.linalg.norm(np.diff(points, axis=0), axis=1)
    from_top = np.concatenate([np.cumsum(between[::-1])[::-1], [0.0]]) + step_mm[-1] / 2
    return Centerline(
        slices=slices,
        points_mm=points,
        tangents=slope / np.linalg.norm(slope, axis=1, keepdims=True),
        position_mm=from_top,
        length_mm=float(from_top[0] + step_mm[0] / 2),
    )
