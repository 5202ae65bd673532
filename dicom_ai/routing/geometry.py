"""Facts about where the slices of a series lie (PS3.3 C.7.6.2): plane, spacing, gaps, coverage."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from dicom_ai.domain.study import FrameGeometry, Header, Series
from dicom_ai.routing.evidence import Fact, values

PLANES = {0: "sagittal", 1: "coronal", 2: "axial"}
"""Axis of the patient (LPS) along which the slice normal points -> plane."""

_MOST_OBLIQUE = 0.8  # cosine of 37 degrees: a neck's axial slices tilt by up to 30
_SAME_POSITION_MM = 0.01
_MAJORITY = 0.8
_ISOTROPIC_RATIO = 1.3
_UNKNOWN = Fact(None, "ImageOrientationPatient, ImagePositionPatient or PixelSpacing is absent")


def geometry_facts(series: Series) -> dict[str, Fact]:
    """Return plane, orientations, slices, slice_spacing_mm, gap_ratio, in_plane_spacing_mm, extents, isotropic."""
    frames = [frame for instance in series.instances for frame in instance.frames]
    facts = {"plane": _plane(series), "slices": _slices(series, frames), **_extents(series, frames)}
    facts["in_plane_spacing_mm"] = _in_plane(series.header, frames)
    facts["slice_spacing_mm"], facts["gap_ratio"] = _spacing(series.header, frames)
    facts["isotropic"] = _isotropic(facts["in_plane_spacing_mm"], facts["slice_spacing_mm"])
    return facts


def plane_of(row: Sequence[float], column: Sequence[float]) -> str:
    """Return the plane whose normal lies nearest to that of a slice; oblique beyond 37 degrees from all."""
    normal = np.abs(np.cross(np.asarray(row, float), np.asarray(column, float)))
    length = float(np.linalg.norm(normal))
    if length < 0.5:
        return "oblique"
    axis = int(np.argmax(normal))
    return PLANES[axis] if normal[axis] / length >= _MOST_OBLIQUE else "oblique"


def head_feet_range(series: Series) -> tuple[float, float] | None:
    """Return the lowest and highest z (LPS, towards the head) that the frames reach; None where unknown."""
    frames = [frame for instance in series.instances for frame in instance.frames]
    if not frames:
        return None
    corners = np.concatenate([_corners(frame, series.header) for frame in frames])
    return float(corners[:, 2].min()), float(corners[:, 2].max())


def _plane(series: Series) -> Fact:
    planes = Counter(plane_of(row, column) for row, column in _directions(series))
    if not planes:
        return Fact(None, "ImageOrientationPatient is absent")
    plane, count = planes.most_common(1)[0]
    told = ", ".join(f"{name} x {n}" for name, n in sorted(planes.items()))
    if count < _MAJORITY * planes.total():
        return Fact("mixed", f"ImageOrientationPatient: {told}")
    return Fact(plane, f"ImageOrientationPatient: {told}")


def _directions(series: Series) -> list[tuple[Sequence[float], Sequence[float]]]:
    """Return row and column directions of the frames; from the header where the rest of the geometry is absent."""
    found: list[tuple[Sequence[float], Sequence[float]]] = []
    for instance in series.instances:
        found.extend((frame.row_direction, frame.column_direction) for frame in instance.frames)
        if not instance.frames and (cosines := _cosines(instance.header)):
            found.append((cosines[:3], cosines[3:]))
    return found


def _cosines(header: Header) -> list[float]:
    try:
        cosines = [float(value) for value in values(header, "ImageOrientationPatient")]
    except ValueError:
        return []
    return cosines if len(cosines) == 6 else []


def _slices(series: Series, frames: Sequence[FrameGeometry]) -> Fact:
    if frames:
        return Fact(float(len(frames)), f"{len(frames)} frames with a position")
    return Fact(float(len(series.instances)), f"{len(series.instances)} objects")


def _in_plane(header: Header, frames: Sequence[FrameGeometry]) -> Fact:
    if frames:
        largest = max(max(frame.pixel_spacing_mm) for frame in frames)
        return Fact(largest, f"PixelSpacing {largest:g} mm")
    return _UNKNOWN


def _spacing(header: Header, frames: Sequence[FrameGeometry]) -> tuple[Fact, Fact]:
    """Return the usual distance between slices, and the largest over the usual one."""
    positions = _along_normal(frames)
    steps = np.array([b - a for a, b in pairwise(positions) if b - a > _SAME_POSITION_MM])
    if not len(steps):
        unknown = Fact(None, "fewer than two slice positions of one orientation")
        return unknown, unknown
    usual, largest = float(np.median(steps)), float(steps.max())
    told = f"{len(steps) + 1} positions, {usual:.2f} mm apart, at most {largest:.2f} mm"
    return Fact(usual, told), Fact(largest / usual, told)


def _along_normal(frames: Sequence[FrameGeometry]) -> list[float]:
    """Return where the slices lie along the normal of the first, sorted; none where the normals differ."""
    if not frames:
        return []
    normals = np.array([np.cross(frame.row_direction, frame.column_direction) for frame in frames])
    if np.min(normals @ normals[0]) < 0.999:
        return []
    return sorted(float(np.dot(frame.position_mm, normals[0])) for frame in frames)


def _isotropic(in_plane: Fact, between: Fact) -> Fact:
    sizes = [size.value for size in (in_plane, between) if isinstance(size.value, float) and size.value > 0]
    if len(sizes) < 2:
        return Fact(None, "voxel size is not known")
    ratio = max(sizes) / min(sizes)
    return Fact(ratio <= _ISOTROPIC_RATIO, f"voxel sides differ by a factor of {ratio:.2f}")


def _extents(series: Series, frames: Sequence[FrameGeometry]) -> dict[str, Fact]:
    """Return how far the frames reach from feet to head and from right to left."""
    if not frames:
        return {"coverage_mm": _UNKNOWN, "width_mm": _UNKNOWN}
    corners = np.concatenate([_corners(frame, series.header) for frame in frames])
    size = corners.max(axis=0) - corners.min(axis=0)
    return {
        "coverage_mm": Fact(float(size[2]), f"frames reach {size[2]:.0f} mm from feet to head"),
        "width_mm": Fact(float(size[0]), f"frames reach {size[0]:.0f} mm from right to left"),
    }


def _corners(frame: FrameGeometry, header: Header) -> np.ndarray:
    """Return the corners of a frame in LPS millimetres, shape (4, 3)."""
    counts = [int(values(header, keyword)[0]) if values(header, keyword) else 1 for keyword in ("Rows", "Columns")]
    start = np.asarray(frame.position_mm)
    down = np.asarray(frame.column_direction) * (counts[0] - 1) * frame.pixel_spacing_mm[0]
    across = np.asarray(frame.row_direction) * (counts[1] - 1) * frame.pixel_spacing_mm[1]
    return np.stack([start, start + down, start + across, start + down + across])
