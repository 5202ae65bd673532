"""The shape of the cord across its own direction, read from one axial slice of soft values."""

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from dicom_ai.domain.image import Volume
from dicom_ai.imaging.contours import polygon_area, soft_contour

STRIP_MM = 3.0
"""The AP diameter is the mean over a strip this wide through the middle of the cord, as SCT 7.2 does."""

LEFT = np.array([1.0, 0.0, 0.0])
"""LPS."""


@dataclass(frozen=True, slots=True)
class CrossSection:
    """One section of the cord across its direction; lengths in mm, area in mm2, angles in degrees.

    area_mm2: sum of soft values x pixel area x cosine between slice normal and cord. ap_mm: mean thickness front to
    back in the middle strip. rl_mm: axis from right to left of the ellipse with the same second moments. eccentricity,
    solidity: 0..1. angle_deg: between cord and slice normal. turn_deg: of the section's RL axis from the patient's.
    """

    area_mm2: float
    ap_mm: float
    rl_mm: float
    eccentricity: float
    solidity: float
    angle_deg: float
    turn_deg: float
    centroid_mm: np.ndarray = field(repr=False)


def cross_section(cord: Volume, index: int, *, tangent: np.ndarray) -> CrossSection:
    """Return the section of the cord in one slice of an axial-first volume of soft values.

    tangent: unit vector along the cord, LPS. The slice is looked at along the cord: what it shows is projected along
    the tangent onto the plane across it, which is exact for a cylinder at any tilt.
    Raise ValueError where the slice holds no cord.
    """
    rows, columns = np.nonzero(cord.voxels[index])
    if rows.size == 0:
        raise ValueError(f"slice {index} holds no cord")
    values = cord.voxels[index][rows, columns].astype(np.float64)
    points = cord.to_mm(np.stack([np.full(rows.size, index), rows, columns], axis=1))
    centroid = values @ points / values.sum()
    normal = np.cross(cord.directions[:, 1], cord.directions[:, 2])
    cosine = abs(float(normal @ tangent)) / float(np.linalg.norm(normal))
    pixel_mm2 = float(np.prod(cord.spacing_mm[1:])) * float(np.linalg.norm(normal))
    left, back = _axes_across(tangent)
    across = (points - centroid) @ np.stack([left, back], axis=1)
    moments = _second_moments(cord, across, values, tangent=tangent, axes=np.stack([left, back]))
    turn = _turn(moments)
    spread = _rotated(moments, turn)
    area = float(values.sum()) * pixel_mm2 * cosine
    return CrossSection(
        area_mm2=area,
        ap_mm=_strip_thickness(cord, across, values, turn=turn, unit_mm2=pixel_mm2 * cosine),
        rl_mm=4.0 * float(np.sqrt(spread[0])),
        eccentricity=float(np.sqrt(1.0 - spread.min() / spread.max())),
        solidity=_solidity(cord.voxels[index], cord.spacing_mm[1:]),
        angle_deg=float(np.degrees(np.arccos(np.clip(cosine, 0.0, 1.0)))),
        turn_deg=float(np.degrees(turn)),
        centroid_mm=centroid,
    )


def _axes_across(tangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit vectors towards the left and the back in the plane across the cord."""
    left = LEFT - (LEFT @ tangent) * tangent
    left /= np.linalg.norm(left)
    return left, np.cross(tangent, left)


def _second_moments(
    cord: Volume, across: np.ndarray, values: np.ndarray, *, tangent: np.ndarray, axes: np.ndarray
) -> np.ndarray:
    """Return the covariance of the section over (left, back) in mm2, shape (2, 2), without the blur of the voxels.

    Partial volume is the shape blurred by the voxel; the variance of a box of width w is w^2 / 12. A binary mask
    samples the shape at points and carries no such blur.
    """
    covariance = (across * values[:, None]).T @ across / values.sum()
    if np.all(values == 1.0):
        blur = np.zeros((2, 2))
    else:
        # A whole voxel edge seen along the cord; the slice axis contributes by its shift across the cord.
        edges = cord.affine[:3, :3].T @ axes.T
        blur = edges.T @ edges / 12.0
    sharp = covariance - blur
    smallest = 1e-3 * float(np.prod(cord.spacing_mm[1:]))
    lengths, vectors = np.linalg.eigh(sharp)
    return vectors @ np.diag(np.maximum(lengths, smallest)) @ vectors.T


def _turn(moments: np.ndarray) -> float:
    """Return the angle in radians from the patient's left to the section's own RL axis, within 45 degrees.

    A nearly round section has no axis of its own: it is not turned.
    """
    lengths, vectors = np.linalg.eigh(moments)
    if lengths[1] < 1.25 * lengths[0]:
        return 0.0
    sideways = vectors[:, np.abs(vectors[0]).argmax()]
    return float(np.arctan(sideways[1] / sideways[0]))


def _rotated(moments: np.ndarray, turn: float) -> np.ndarray:
    """Return the variances along the section's own (RL, AP) axes, shape (2,)."""
    c, s = np.cos(turn), np.sin(turn)
    axes = np.array([[c, s], [-s, c]])
    return np.diag(axes @ moments @ axes.T)


def _strip_thickness(cord: Volume, across: np.ndarray, values: np.ndarray, *, turn: float, unit_mm2: float) -> float:
    """Return the mean thickness from front to back over the strip through the middle of the section, in mm."""
    c, s = np.cos(turn), np.sin(turn)
    sideways = across @ np.array([c, s])
    # A pixel counts for the share of its width that lies in the strip.
    pixel_mm = abs(c) * cord.spacing_mm[2] + abs(s) * cord.spacing_mm[1]
    width_mm = max(STRIP_MM, float(pixel_mm))
    share = np.clip(((width_mm + pixel_mm) / 2 - np.abs(sideways)) / pixel_mm, 0.0, 1.0)
    return float(values @ share) * unit_mm2 / width_mm


def _solidity(values: np.ndarray, spacing_mm: np.ndarray) -> float:
    """Return the area inside the outline at half value, divided by that of its convex hull; both sheared alike."""
    try:
        outline = soft_contour(values, level=min(0.5, 0.5 * float(values.max()))) * spacing_mm[::-1]
        hull = ConvexHull(outline[:-1])
    except (ValueError, QhullError):
        return float("nan")
    return min(1.0, abs(polygon_area(outline)) / hull.volume)
