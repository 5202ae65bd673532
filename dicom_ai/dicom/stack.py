"""Frames that form one regular stack of slices, sorted by position; anything else is refused with the numbers seen."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dicom_ai.domain.study import FrameGeometry
from dicom_ai.errors import UnsuitableGeometry

_DIRECTION_TOLERANCE = 1e-3
_SPACING_TOLERANCE = 1e-3
_SAME_PLACE_MM = 0.01
_GAP_TOLERANCE = 0.10
_WORTH_SAYING = 0.01
_SIDEWAYS_PIXELS = 0.5

PLANES = ("sagittal", "coronal", "axial")
"""The plane whose normal is nearest to the patient's x, y, z axis."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A regular stack. order: frame indices along the slice normal (row x column direction, PS3.3 C.7.6.2.1.1).

    affine: 4 x 4, maps (slice, row, column) of the sorted stack to LPS millimetres.
    """

    order: tuple[int, ...]
    affine: np.ndarray = field(repr=False)
    warnings: tuple[str, ...] = ()


class DuplicatePositions(UnsuitableGeometry):
    """Several frames lie at one place: more than one stack, echo or time."""


def regular_stack(frames: Sequence[FrameGeometry]) -> Stack:
    """Sort frames into a stack. Raises UnsuitableGeometry with the reason."""
    if len(frames) < 2:
        raise UnsuitableGeometry(f"{len(frames)} slice where a volume needs at least 2")
    _check_orientations(frames)
    _check_spacings(frames)
    row, column = np.array(frames[0].row_direction), np.array(frames[0].column_direction)
    if abs(row @ column) > _DIRECTION_TOLERANCE * 10:
        raise UnsuitableGeometry(f"rows and columns are not perpendicular: cosine {row @ column:.3f}")
    normal = np.cross(row, column)
    positions = np.array([frame.position_mm for frame in frames])
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    warnings = _check_steps(np.diff(along[order]))
    _check_sideways(positions[order], normal, min(frames[0].pixel_spacing_mm))
    affine = np.eye(4)
    affine[:3, 0] = (positions[order[-1]] - positions[order[0]]) / (len(frames) - 1)
    affine[:3, 1] = column * frames[0].pixel_spacing_mm[0]
    affine[:3, 2] = row * frames[0].pixel_spacing_mm[1]
    affine[:3, 3] = positions[order[0]]
    return Stack(tuple(int(index) for index in order), affine, warnings)


def plane_of(frame: FrameGeometry) -> str:
    """Return "sagittal", "coronal" or "axial": the nearest plane."""
    normal = np.cross(frame.row_direction, frame.column_direction)
    return PLANES[int(np.argmax(np.abs(normal)))]


def _check_orientations(frames: Sequence[FrameGeometry]) -> None:
    directions = np.array([[*frame.row_direction, *frame.column_direction] for frame in frames])
    if np.abs(directions - directions[0]).max() <= _DIRECTION_TOLERANCE:
        return
    planes = Counter(plane_of(frame) for frame in frames)
    if len(planes) > 1:
        seen = ", ".join(f"{count} {plane}" for plane, count in sorted(planes.items()))
        raise UnsuitableGeometry(f"mixed orientations: {seen} slices")
    cosines = np.minimum(directions[:, :3] @ directions[0, :3], directions[:, 3:] @ directions[0, 3:])
    angle = np.degrees(np.arccos(np.clip(cosines.min(), -1, 1)))
    raise UnsuitableGeometry(f"mixed orientations: {next(iter(planes))} slices up to {angle:.1f} degrees apart")


def _check_spacings(frames: Sequence[FrameGeometry]) -> None:
    spacings = np.array([frame.pixel_spacing_mm for frame in frames])
    if np.abs(spacings / spacings[0] - 1).max() > _SPACING_TOLERANCE:
        low, high = spacings.min(), spacings.max()
        raise UnsuitableGeometry(f"mixed pixel spacings: {low:.4g} to {high:.4g} mm")


def _check_steps(steps: np.ndarray) -> tuple[str, ...]:
    """Return warnings; steps: distances between neighbours along the normal, mm."""
    same = int((steps < _SAME_PLACE_MM).sum())
    if same:
        raise DuplicatePositions(f"{same} of {len(steps) + 1} slices lie where another one lies")
    expected = float(np.median(steps))
    worst = int(np.argmax(np.abs(steps - expected)))
    deviation = abs(steps[worst] - expected) / expected
    if deviation > _GAP_TOLERANCE:
        where = f"between slices {worst + 1} and {worst + 2} of {len(steps) + 1}"
        raise UnsuitableGeometry(f"slice gap {steps[worst]:.2f} mm where {expected:.2f} was expected, {where}")
    if deviation > _WORTH_SAYING:
        return (f"slice spacing varies by up to {100 * deviation:.0f} %",)
    return ()


def _check_sideways(positions: np.ndarray, normal: np.ndarray, pixel_mm: float) -> None:
    moved = positions - positions[0]
    sideways = np.linalg.norm(moved - np.outer(moved @ normal, normal), axis=1).max()
    if sideways > _SIDEWAYS_PIXELS * pixel_mm:
        raise UnsuitableGeometry(f"slices are shifted sideways by up to {sideways:.2f} mm")
