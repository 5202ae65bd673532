"""A neck made from formulas: its cord has a cross-section known in closed form at every height.

The cord is a tube of elliptical cross-section around a curved centre-line c(h); h is the height in mm above the foramen
magnum (negative in the neck). Perpendicular to it the cord has the area pi * a(h) * b(h). Around it lie CSF, epidural
fat, vertebrae and discs, muscle, airway, vessels, fat and skin; above it brainstem and brain; outside is air.

    shape = NeckShape()                                      # or random_shape(seed)
    grid = sagittal_grid(shape)                              # or axial_grid(shape)
    phantom = neck_phantom(shape, grid, contrast="T2", seed=0)
    phantom.image, phantom.cord, phantom.truth.csa_mm2(position_mm)

Soft masks are exact up to the supersampling of SUBSTEP_MM. Every random choice comes from the seed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import scipy.ndimage as ndi

from dicom_ai.domain.image import Volume
from dicom_ai.imaging.neck_shape import (
    LEVEL_NAMES,
    NeckShape,
    Place,
    canal_gap,
    cord_gap,
    height_of,
    place,
    random_shape,
)
from dicom_ai.imaging.neck_tissues import CONTRASTS, Tissue, tissues_at

__all__ = [
    "NeckPhantom",
    "NeckShape",
    "NeckTruth",
    "axial_grid",
    "neck_phantom",
    "neck_truth",
    "random_shape",
    "sagittal_grid",
]

SUBSTEP_MM = 0.2
"""Distance between the sub-points by which partial volume is averaged."""


@dataclass(frozen=True)
class NeckTruth:
    """What is known of the neck without looking at voxels.

    centreline_mm: points of the centre-line, every 0.1 mm of height from the top of the cord down, LPS, shape (n, 3).
    arc_mm: length of the centre-line from its top to each point, shape (n,).
    areas_mm2: cross-section perpendicular to the centre-line at each point, pi * a * b, shape (n,).
    level_bounds_mm: level -> (arc length at its upper border, at its lower border).
    """

    shape: NeckShape
    centreline_mm: np.ndarray = field(repr=False)
    arc_mm: np.ndarray = field(repr=False)
    areas_mm2: np.ndarray = field(repr=False)
    level_bounds_mm: dict[str, tuple[float, float]]

    def csa_mm2(self, position_mm: np.ndarray | float) -> np.ndarray:
        """Return the cord's area at positions along the centre-line, mm from the top of the cord (h = 0)."""
        return np.interp(position_mm, self.arc_mm, self.areas_mm2)

    def position_of(self, points_mm: np.ndarray) -> np.ndarray:
        """Return the position along the centre-line nearest to each LPS point (..., 3), mm from the top of the cord."""
        points = np.asarray(points_mm, dtype=float)
        heights = height_of(self.shape, points.reshape(-1, 3))
        position = np.interp(-heights, -self.centreline_mm[:, 2], self.arc_mm)
        return position.reshape(points.shape[:-1])

    def csa_at(self, points_mm: np.ndarray) -> np.ndarray:
        """Return the cord's area at the place on the centre-line nearest to each LPS point (..., 3)."""
        return self.csa_mm2(self.position_of(points_mm))


@dataclass(frozen=True)
class NeckPhantom:
    """An image of a neck, and its truth on the same grid.

    image: float32. cord, canal: float32 in [0, 1], the share of each voxel that is cord, or lies within the dura.
    tissues: uint8, Tissue at each voxel's centre, the cord painted as CSF (take the cord from `cord`).
    """

    image: Volume
    cord: Volume
    canal: Volume
    tissues: Volume
    truth: NeckTruth


def neck_truth(shape: NeckShape, *, length_mm: float = 260.0) -> NeckTruth:
    """Return what is known of a neck whose cord is followed length_mm downward from the foramen magnum."""
    h = -np.arange(0.0, length_mm + 0.05, 0.1)
    line = np.concatenate([shape.centre(h), h[:, None]], axis=1)
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    semi = shape.semi_axes_mm(h)
    bounds = np.interp(-shape.level_bounds, -h, arc)
    levels = {name: (float(bounds[i]), float(bounds[i + 1])) for i, name in enumerate(LEVEL_NAMES)}
    inside = {name: pair for name, pair in levels.items() if pair[1] < arc[-1]}
    return NeckTruth(shape, line, arc, np.pi * semi[:, 0] * semi[:, 1], inside)


def sagittal_grid(
    shape: NeckShape,
    *,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    extent_mm: tuple[float, float, float] = (56.0, 220.0, 140.0),
    top_mm: float = 35.0,
) -> Volume:
    """Return an empty grid of sagittal slices, right to left; rows run downward, columns backward.

    spacing_mm, extent_mm: between (slices, rows, columns), and over all. top_mm: height of the first row.
    """
    middle = shape.centre(np.array(top_mm - 0.5 * extent_mm[1]))
    counts = [max(1, round(e / s)) for e, s in zip(extent_mm, spacing_mm, strict=True)]
    directions = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    first = np.array([middle[0] - 0.5 * (counts[0] - 1) * spacing_mm[0], middle[1] - 0.5 * extent_mm[2] - 10.0, top_mm])
    return _grid(directions, first, spacing_mm, counts)


def axial_grid(
    shape: NeckShape,
    *,
    spacing_mm: tuple[float, float, float] = (5.0, 0.5, 0.5),
    extent_mm: tuple[float, float, float] = (100.0, 160.0, 160.0),
    top_mm: float = -15.0,
) -> Volume:
    """Return an empty grid of axial slices, head to feet; rows run backward, columns to the patient's left."""
    middle = shape.centre(np.array(top_mm - 0.5 * extent_mm[0]))
    counts = [max(1, round(e / s)) for e, s in zip(extent_mm, spacing_mm, strict=True)]
    directions = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    first = np.array([middle[0] - 0.5 * extent_mm[2], middle[1] - 0.5 * extent_mm[1] - 10.0, top_mm])
    return _grid(directions, first, spacing_mm, counts)


def neck_phantom(
    shape: NeckShape, grid: Volume, *, contrast: str = "T2", noise: float = 0.02, bias: float = 0.15, seed: int = 0
) -> NeckPhantom:
    """Return the neck of this shape on a grid, as a scan of one contrast would show it, and its truth.

    contrast: a row of CONTRASTS. noise: standard deviation relative to the brightest tissue (Rician). bias: amplitude
    of the smooth multiplicative field. seed: of noise, field and texture; the truth does not depend on it.
    """
    rng = np.random.default_rng(seed)
    tissues = _sampled_tissues(shape, grid)
    cord = _share(shape, grid, cord_gap)
    canal = np.maximum(_share(shape, grid, canal_gap), cord)
    signal = np.array([CONTRASTS[contrast][tissue] for tissue in Tissue])
    image = _painted(shape, grid, tissues, signal)
    image += cord * (signal[Tissue.CORD] - signal[Tissue.CSF])
    image *= np.exp(bias * _smooth_field(rng, grid))
    image *= 1.0 + 0.04 * ndi.gaussian_filter(rng.standard_normal(grid.shape), 1.0) / 0.19
    real, imaginary = rng.standard_normal((2, *grid.shape)) * noise
    image = np.hypot(image + real, imaginary) * 800.0
    return NeckPhantom(
        image=grid.with_voxels(image.astype(np.float32)),
        cord=grid.with_voxels(cord.astype(np.float32)),
        canal=grid.with_voxels(canal.astype(np.float32)),
        tissues=grid.with_voxels(tissues),
        truth=neck_truth(shape),
    )


def _grid(directions: np.ndarray, first: np.ndarray, spacing: tuple[float, ...], counts: list[int]) -> Volume:
    affine = np.eye(4)
    affine[:3, :3] = directions * np.asarray(spacing)
    affine[:3, 3] = first
    return Volume(np.zeros(counts, np.float32), affine)


def _points(grid: Volume, indices: np.ndarray) -> np.ndarray:
    return grid.to_mm(indices.astype(float)).reshape(-1, 3)


def _in_slabs(grid: Volume) -> list[np.ndarray]:
    """Return the voxel indices of the grid, shape (n, 3), cut into pieces that fit in a cache."""
    flat = np.arange(int(np.prod(grid.shape)))
    pieces = np.array_split(flat, max(1, flat.size // 200_000))
    return [np.stack(np.unravel_index(piece, grid.shape), axis=1) for piece in pieces]


def _substeps(grid: Volume, step_mm: float) -> np.ndarray:
    """Return offsets of sub-points within a voxel in index units, shape (n, 3)."""
    counts = np.maximum(1, np.ceil(grid.spacing_mm / step_mm - 1e-6)).astype(int)
    axes = [(np.arange(n) + 0.5) / n - 0.5 for n in counts]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def _sampled_tissues(shape: NeckShape, grid: Volume) -> np.ndarray:
    """Tissue at each voxel's centre, uint8, the grid's shape."""
    pieces = [tissues_at(shape, place(shape, _points(grid, indices))) for indices in _in_slabs(grid)]
    return np.concatenate(pieces).reshape(grid.shape)


def _share(shape: NeckShape, grid: Volume, gap: Callable[[NeckShape, Place], np.ndarray]) -> np.ndarray:
    """Return the share of each voxel where gap(point) < 0, float64, by sub-points where the border may pass."""
    reach = 0.5 * float(np.linalg.norm(grid.spacing_mm)) * 1.5 + 0.2
    substeps = _substeps(grid, SUBSTEP_MM)
    share = np.zeros(grid.shape)
    for indices in _in_slabs(grid):
        centre_gap = gap(shape, place(shape, _points(grid, indices)))
        whole = np.where(centre_gap < 0, 1.0, 0.0)
        border = np.flatnonzero(np.abs(centre_gap) < reach)
        for part in np.array_split(border, max(1, border.size * len(substeps) // 400_000)):
            points = _points(grid, indices[part][:, None, :] + substeps[None])
            inside = gap(shape, place(shape, points)) < 0
            whole[part] = inside.reshape(len(part), len(substeps)).mean(axis=1)
        share[tuple(indices.T)] = whole
    return share


def _painted(shape: NeckShape, grid: Volume, tissues: np.ndarray, signal: np.ndarray) -> np.ndarray:
    """Return the mean signal of each voxel, by sub-points 0.5 mm apart where more than one tissue is near."""
    image = signal[tissues]
    substeps = _substeps(grid, 0.5)
    mixed = np.argwhere(ndi.maximum_filter(tissues, 3) != ndi.minimum_filter(tissues, 3))
    for part in np.array_split(mixed, max(1, len(mixed) * len(substeps) // 400_000)):
        points = _points(grid, part[:, None, :] + substeps[None])
        inside = signal[tissues_at(shape, place(shape, points))]
        image[tuple(part.T)] = inside.reshape(len(part), len(substeps)).mean(axis=1)
    return image


def _smooth_field(rng: np.random.Generator, grid: Volume) -> np.ndarray:
    """Return a smooth random field of the grid's shape with unit amplitude."""
    coarse = rng.standard_normal((4, 4, 4))
    positions = np.meshgrid(*[np.linspace(0, 3, n) for n in grid.shape], indexing="ij")
    field_values = ndi.map_coordinates(coarse, positions, order=3, mode="nearest")
    return field_values / max(1e-6, float(np.abs(field_values).max()))
