"""Putting a volume on another grid. The affine of the result says exactly where its voxels lie.

Inside the source's field of view (to the outer faces of its edge voxels) the nearest edge value continues; beyond it
the result is `outside`. Where the new grid is coarser, the source is smoothed first: thin structures do not alias.
"""

from collections.abc import Sequence
from itertools import permutations, product

import numpy as np
from scipy import ndimage

from dicom_ai.domain.image import Volume

_TOWARDS = {
    "L": (1.0, 0.0, 0.0),
    "R": (-1.0, 0.0, 0.0),
    "P": (0.0, 1.0, 0.0),
    "A": (0.0, -1.0, 0.0),
    "S": (0.0, 0.0, 1.0),
    "I": (0.0, 0.0, -1.0),
}


def resample(volume: Volume, spacing_mm: Sequence[float] | np.ndarray, order: int = 1) -> Volume:
    """Return the volume on a grid of the same directions and the same centre with this spacing.

    spacing_mm: new distances along (slice, row, column); 0 keeps the axis as it is.
    order: 0 nearest (keeps the dtype, for labels), 1 linear, 3 cubic spline (both float32).
    """
    return resample_onto(volume, grid_for(volume, spacing_mm=spacing_mm), order)


def grid_for(volume: Volume, *, spacing_mm: Sequence[float] | np.ndarray = (), orientation: str = "") -> Volume:
    """Return an empty grid over the volume's field of view, along its own directions and with the same centre.

    orientation: where (slice, row, column) indices of the grid increase to: three letters of L/R, P/A, S/I; the
        volume's axes that are nearest to them are taken. "" keeps their order.
    spacing_mm: along the axes of the grid; 0 keeps an axis as it is, () keeps all.
    It has as many voxels as fit the field of view best, at least one on each axis; its voxels take no memory.
    """
    order, signs = _axes_towards(volume, orientation)
    old = volume.spacing_mm[order]
    asked = np.asarray(spacing_mm, float) if len(spacing_mm) else np.zeros(3)
    new = np.where((asked > 0) & ~np.isclose(asked, old, rtol=1e-6, atol=0), asked, old)
    shape = np.maximum(1, np.rint(np.array(volume.shape)[order] * old / new)).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = volume.directions[:, order] * signs * new
    centre = volume.to_mm((np.array(volume.shape) - 1) / 2)
    affine[:3, 3] = centre - affine[:3, :3] @ ((shape - 1) / 2)
    return Volume(np.broadcast_to(np.uint8(0), tuple(shape)), affine, volume.frame_of_reference_uid)


def resample_onto(volume: Volume, grid: Volume, order: int = 1, *, outside: float = 0.0, smooth: bool = True) -> Volume:
    """Return the volume's values at the voxel centres of another grid, which may be oblique to it.

    grid: its voxels are not read. order: as resample. smooth: blur first where the grid is coarser (never for order 0);
        False for values that already are means over the grid's voxels.
    Only the result and a smoothed copy of the source are held in memory.
    """
    to_source = np.linalg.inv(volume.affine) @ grid.affine
    matrix, offset = to_source[:3, :3], to_source[:3, 3]
    source = volume.voxels if order == 0 else _smoothed(volume.voxels, matrix if smooth else np.zeros((3, 3)))
    values = _sample(source, matrix, offset, grid.shape, order)
    _fill_outside(values, matrix, offset, volume.shape, outside)
    return Volume(values, grid.affine, grid.frame_of_reference_uid or volume.frame_of_reference_uid)


def _axes_towards(volume: Volume, orientation: str) -> tuple[list[int], np.ndarray]:
    """Return which axis of the volume becomes slice, row and column, and their signs."""
    if not orientation:
        return [0, 1, 2], np.ones(3)
    along = np.array([_TOWARDS[letter] for letter in orientation]) @ volume.directions  # (grid axis, own axis)
    order = list(max(permutations(range(3)), key=lambda own: float(np.abs(along[range(3), own]).sum())))
    return order, np.where(along[range(3), order] < 0, -1.0, 1.0)


def _smoothed(voxels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Blur each axis for the step, in its voxels, that the new grid makes along it (skimage's rule: (step - 1) / 2)."""
    step = np.abs(matrix).max(axis=1)
    sigma = np.maximum(0.0, (step - 1.0) / 2.0)
    floats = voxels.astype(np.float32, copy=False)
    return ndimage.gaussian_filter(floats, sigma, mode="nearest") if sigma.max() > 1e-3 else floats


def _sample(
    source: np.ndarray, matrix: np.ndarray, offset: np.ndarray, shape: tuple[int, int, int], order: int
) -> np.ndarray:
    dtype = source.dtype
    source = source.astype(np.uint8) if dtype.kind == "b" else source
    # Turning is free, and a diagonal matrix is interpolated one axis at a time.
    own = np.abs(matrix).argmax(axis=0)
    straight = np.zeros((3, 3))
    straight[own, range(3)] = matrix[own, range(3)]
    if len(set(own)) == 3 and np.abs(matrix - straight).max() * max(shape) < 1e-6:
        source, offset, matrix = source.transpose(own), offset[own], matrix[own, range(3)]
        if (
            np.allclose(matrix, 1.0, rtol=0, atol=1e-9)
            and np.allclose(offset, 0.0, atol=1e-6)
            and source.shape == shape
        ):
            return np.array(source.astype(dtype, copy=False))
    values = ndimage.affine_transform(
        source, matrix, offset, output_shape=shape, output=source.dtype, order=order, mode="nearest"
    )
    return values.astype(dtype, copy=False)


def _fill_outside(
    values: np.ndarray, matrix: np.ndarray, offset: np.ndarray, source_shape: tuple[int, int, int], outside: float
) -> None:
    """Set what lies beyond the source's field of view, one slice at a time."""
    corners = np.array(list(product(*((0, size - 1) for size in values.shape)))) @ matrix.T + offset
    if (corners >= -0.5).all() and (corners <= np.array(source_shape) - 0.5).all():
        return  # the map is linear: with its corners inside, the whole grid is
    rows, columns = np.arange(values.shape[1])[:, None], np.arange(values.shape[2])[None, :]
    for index, plane in enumerate(values):
        inside = np.ones(plane.shape, bool)
        for axis, size in enumerate(source_shape):
            to_slice, to_row, to_column = matrix[axis]
            position = offset[axis] + to_slice * index + to_row * rows + to_column * columns
            inside &= (position >= -0.5 - 1e-6) & (position <= size - 0.5 + 1e-6)
        plane[~inside] = outside
