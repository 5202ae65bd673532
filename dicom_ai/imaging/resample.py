"""Putting a volume on another grid. The affine of the result says exactly where its voxels lie.

Inside the source's field of view (to the outer faces of its edge voxels) the nearest edge value continues; beyond it
the result is `outside`. Where the new grid is coarser, the source is smoothed first, so that thin structures do not alias.
"""

import numpy as np
from scipy import ndimage

from dicom_ai.domain.image import Volume


def resample(volume: Volume, spacing_mm: np.ndarray | tuple[float, ...], order: int = 1) -> Volume:
    """Return the volume on a grid of the same directions and the same centre with this spacing.

    spacing_mm: new distances along (slice, row, column); 0 keeps the axis as it is.
    order: 0 nearest (keeps the dtype, for labels), 1 linear, 3 cubic spline (both float32).
    The new grid has as many voxels as fit the field of view best, at least one on each axis.
    """
    old = volume.spacing_mm
    new = np.where(np.asarray(spacing_mm, float) > 0, spacing_mm, old)
    if np.allclose(new, old, rtol=1e-6, atol=0):
        return volume if order == 0 else volume.with_voxels(volume.voxels.astype(np.float32, copy=False))
    shape = np.maximum(1, np.rint(np.array(volume.shape) * old / new)).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = volume.directions * new
    centre = volume.to_mm((np.array(volume.shape) - 1) / 2)
    affine[:3, 3] = centre - affine[:3, :3] @ ((shape - 1) / 2)
    # An empty array of stride 0: a grid takes no memory.
    grid = Volume(np.broadcast_to(np.uint8(0), tuple(shape)), affine, volume.frame_of_reference_uid)
    return resample_onto(volume, grid, order)


def resample_onto(volume: Volume, grid: Volume, order: int = 1, *, outside: float = 0.0) -> Volume:
    """Return the volume's values at the voxel centres of another grid, which may be oblique to it.

    grid: its voxels are not read. order: as resample.
    Only the result and a smoothed copy of the source are held in memory.
    """
    to_source = np.linalg.inv(volume.affine) @ grid.affine
    matrix, offset = to_source[:3, :3], to_source[:3, 3]
    source = volume.voxels if order == 0 else _smoothed(volume.voxels, matrix)
    values = _sample(source, matrix, offset, grid.shape, order)
    _fill_outside(values, matrix, offset, volume.shape, outside)
    return Volume(values, grid.affine, grid.frame_of_reference_uid or volume.frame_of_reference_uid)


def _smoothed(voxels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Blur each axis for the step, in its voxels, that the new grid makes along it (skimage's rule: (step - 1) / 2)."""
    step = np.abs(matrix).max(axis=1)
    sigma = np.maximum(0.0, (step - 1.0) / 2.0)
    floats = voxels.astype(np.float32, copy=False)
    return ndimage.gaussian_filter(floats, sigma, mode="nearest") if sigma.max() > 1e-3 else floats


def _sample(
    source: np.ndarray, matrix: np.ndarray, offset: np.ndarray, shape: tuple[int, int, int], order: int
) -> np.ndarray:
    if source.dtype == bool:
        source = source.astype(np.uint8)
    diagonal = np.allclose(matrix, np.diag(np.diag(matrix)), atol=1e-9)
    return ndimage.affine_transform(
        source,
        np.diag(matrix) if diagonal else matrix,
        offset,
        output_shape=shape,
        output=source.dtype,
        order=order,
        mode="nearest",
    )


def _fill_outside(
    values: np.ndarray, matrix: np.ndarray, offset: np.ndarray, source_shape: tuple[int, int, int], outside: float
) -> None:
    """Set what lies beyond the source's field of view, one slice at a time."""
    rows, columns = np.arange(values.shape[1])[:, None], np.arange(values.shape[2])[None, :]
    for index, plane in enumerate(values):
        inside = np.ones(plane.shape, bool)
        for axis, size in enumerate(source_shape):
            to_slice, to_row, to_column = matrix[axis]
            position = offset[axis] + to_slice * index + to_row * rows + to_column * columns
            inside &= (position >= -0.5 - 1e-6) & (position <= size - 0.5 + 1e-6)
        plane[~inside] = outside
