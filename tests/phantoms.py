"""Cords whose cross-section is known in closed form."""

from dataclasses import dataclass, field

import numpy as np

from dicom_ai.domain.image import Volume
from dicom_ai.imaging.orient import BODY_AXES

SPINE_GENERIC_LIKE = (7.8, 12.0)
"""AP and RL diameter in mm of the reference cord: its area is 73.51 mm2 (models.md 5.1)."""


@dataclass(frozen=True, slots=True)
class CordPhantom:
    """An elliptical cylinder in a box, its axis straight through the middle.

    soft: the exact share of each voxel inside the cylinder (by fine sampling). axis: unit vector towards the head, LPS.
    area_mm2: of the section across the axis. ap_mm, rl_mm: the diameters of that section.
    """

    soft: Volume = field(repr=False)
    axis: np.ndarray = field(repr=False)
    ap_mm: float
    rl_mm: float

    @property
    def area_mm2(self) -> float:
        return np.pi / 4 * self.ap_mm * self.rl_mm

    @property
    def binary(self) -> Volume:
        return self.soft.with_voxels((self.soft.voxels >= 0.5).astype(np.float32))

    @property
    def angle_deg(self) -> float:
        return float(np.degrees(np.arccos(self.axis[2])))


def cord_cylinder(
    *,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    tilt_deg: tuple[float, float] = (0.0, 0.0),
    diameters_mm: tuple[float, float] = SPINE_GENERIC_LIKE,
    shape: tuple[int, int, int] = (24, 64, 64),
    shift_mm: tuple[float, float] = (0.0, 0.0),
    directions: np.ndarray = BODY_AXES,
    samples: int = 6,
) -> CordPhantom:
    """Return an elliptical cylinder, tilted to the back and to the left, sampled on a grid.

    spacing_mm: (slice, row, column). tilt_deg: (towards the back, towards the left), as angles whose tangents are the
    shift per mm of height. diameters_mm: (AP, RL) across the axis. shift_mm: of the axis from the middle, (back, left).
    directions: unit vectors of the volume's axes, one LPS vector per column.
    """
    axis = np.array([np.tan(np.radians(tilt_deg[1])), np.tan(np.radians(tilt_deg[0])), 1.0])
    axis /= np.linalg.norm(axis)
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing_mm
    middle = (np.array(shape) - 1) / 2
    affine[:3, 3] = -affine[:3, :3] @ middle + [shift_mm[1], shift_mm[0], 0.0]
    fine = _fine_steps(samples)
    voxels = np.empty(shape, np.float32)
    for index in range(shape[0]):
        voxels[index] = _share_inside(index, shape, affine, fine, axis, diameters_mm, shift_mm)
    return CordPhantom(Volume(voxels, affine), axis, *diameters_mm)


def turned(phantom: CordPhantom, directions: np.ndarray) -> Volume:
    """Return the soft mask with its axes permuted and flipped so that they point along other directions."""
    from dicom_ai.imaging.orient import reorient_like

    step = np.rint(np.linalg.inv(phantom.soft.directions) @ directions).astype(int)
    order = np.abs(step).argmax(axis=0)
    affine = np.eye(4)
    affine[:3, :3] = directions * phantom.soft.spacing_mm[order]
    start = np.where(step.sum(axis=1) < 0, np.array(phantom.soft.shape) - 1, 0)
    affine[:3, 3] = phantom.soft.to_mm(start)
    like = Volume(np.empty(tuple(np.array(phantom.soft.shape)[order]), np.float32), affine)
    return like.with_voxels(reorient_like(phantom.soft.voxels, of=phantom.soft, like=like))


def _fine_steps(samples: int) -> np.ndarray:
    return (np.arange(samples) + 0.5) / samples - 0.5


def _share_inside(index, shape, affine, fine, axis, diameters_mm, shift_mm) -> np.ndarray:
    rows = (np.arange(shape[1])[:, None] + fine).ravel()
    columns = (np.arange(shape[2])[:, None] + fine).ravel()
    share = np.zeros(shape[1:])
    for height in index + fine:
        grid = np.stack(np.broadcast_arrays(height, rows[:, None], columns[None, :]), axis=-1)
        points = grid @ affine[:3, :3].T + affine[:3, 3] - [shift_mm[1], shift_mm[0], 0.0]
        inside = _inside_ellipse(points, axis, diameters_mm)
        share += inside.reshape(shape[1], fine.size, shape[2], fine.size).mean(axis=(1, 3))
    return share / fine.size


def _inside_ellipse(points: np.ndarray, axis: np.ndarray, diameters_mm: tuple[float, float]) -> np.ndarray:
    left = np.array([1.0, 0.0, 0.0]) - axis[0] * axis
    left /= np.linalg.norm(left)
    back = np.cross(axis, left)
    return (points @ back / (diameters_mm[0] / 2)) ** 2 + (points @ left / (diameters_mm[1] / 2)) ** 2 <= 1
