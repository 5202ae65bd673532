"""Turning volumes so that their axes run as the body does, by permuting and flipping axes: no voxel is interpolated."""

from dataclasses import replace
from itertools import permutations

import numpy as np

from dicom_ai.domain.image import Volume

BODY_AXES = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
"""Where the axes of an axial-first volume point, one LPS unit vector per column: head, back (posterior), left."""


def axial_first(volume: Volume) -> Volume:
    """Return the volume with slices running feet to head, rows front to back, columns from the patient's right to left.

    The axes of an oblique volume go to the body axes to which they are closest as a whole. The affine stays exact:
    every voxel keeps its place in LPS millimetres. The voxels are contiguous in memory.
    """
    order = _closest_axes(volume.directions)
    signs = np.sign(np.sum(volume.directions[:, order] * BODY_AXES, axis=0)).astype(int)
    step = np.zeros((3, 3), int)
    step[order, range(3)] = np.where(signs < 0, -1, 1)
    return _turned(volume, step)


def reorient_like(array: np.ndarray, of: Volume, like: Volume) -> np.ndarray:
    """Return an array that lies on the grid `of`, turned to the grid `like`: the same voxels in another order.

    It is the inverse of axial_first when `of` is the turned volume and `like` the original.
    array: shape of `of`; the result has the shape of `like` and is contiguous.
    Raise ValueError where the two grids are not the same voxels.
    """
    if array.shape != of.shape:
        raise ValueError(f"an array of shape {array.shape} on a grid of shape {of.shape}")
    step = _step_between(of, like)
    turned = _turned(of.with_voxels(array), step)
    # Half a micrometre over a long field of view is far below any voxel and far above float64 noise.
    if turned.shape != like.shape or not np.allclose(turned.affine, like.affine, rtol=0, atol=1e-3):
        raise ValueError("the two grids do not hold the same voxels")
    return turned.voxels


def _closest_axes(directions: np.ndarray) -> list[int]:
    """Return which axis of the volume becomes slices, rows and columns: the permutation nearest to the body axes."""
    nearness = np.abs(BODY_AXES.T @ directions)
    return list(
        max(permutations(range(3)), key=lambda order: sum(nearness[body, own] for body, own in enumerate(order)))
    )


def _step_between(of: Volume, like: Volume) -> np.ndarray:
    """Return the signed permutation that takes a step along each axis of `like` to steps along the axes of `of`."""
    step = np.rint(np.linalg.inv(of.affine)[:3, :3] @ like.affine[:3, :3]).astype(int)
    if not (np.abs(step).sum(axis=0) == 1).all() or not (np.abs(step).sum(axis=1) == 1).all():
        raise ValueError("the axes of the two grids are not parallel")
    return step


def _turned(volume: Volume, step: np.ndarray) -> Volume:
    """Return the volume whose axis k runs along the own axis and sign that column k of a signed permutation names."""
    order = np.abs(step).argmax(axis=0)
    flipped = tuple(axis for axis in range(3) if step[order[axis], axis] < 0)
    voxels = np.flip(volume.voxels.transpose(order), axis=flipped)
    start = np.where(step.sum(axis=1) < 0, np.array(volume.shape) - 1, 0)
    affine = np.eye(4)
    affine[:3, :3] = volume.affine[:3, :3] @ step
    affine[:3, 3] = volume.affine[:3, :3] @ start + volume.affine[:3, 3]
    return replace(volume, voxels=np.ascontiguousarray(voxels), affine=affine)
