"""CSA as the Spinal Cord Toolbox computes it (7.x, process_seg), for comparison only: models.md and its own quirks.

Differences from spinal_cord_csa: the centroid is not weighted; a B-spline smooths it; each slice is stretched to its
own minimum and maximum, so that a soft slice whose largest value is 0.9 grows; the cosines of two angles are
multiplied, which is 0.4 % less than the exact cosine at 15 and 20 degrees; nothing is withheld. Shape is measured as
everywhere here.
"""

from dataclasses import replace

import numpy as np
from scipy.interpolate import splev, splrep

from dicom_ai.domain.image import Volume
from dicom_ai.imaging.orient import axial_first
from dicom_ai.measurements.cross_section import cross_section
from dicom_ai.measurements.spinal_cord_csa import CordProfile, CordSettings, CordSlice

SMOOTH = 30
"""sct_process_segmentation -centerline-smooth."""


def measure_cord_as_sct(mask: Volume) -> CordProfile:
    """Return the profile of a mask in [0, 1], in any orientation, with CSA as SCT computes it. No course is given."""
    volume = axial_first(mask)
    values = np.clip(np.nan_to_num(volume.voxels), 0.0, 1.0).astype(np.float32)
    slices = np.flatnonzero(values.any(axis=(1, 2)))
    settings = CordSettings(max_across_mm=np.inf, end_margin_mm=0.0, sure_share=0.0, min_slices=1, max_angle_deg=90.0)
    if slices.size == 0:
        return CordProfile(volume.with_voxels(values), None, (), settings)
    slopes = _slopes(volume.with_voxels(values), slices)
    peaks = values[slices].max(axis=(1, 2), keepdims=True)
    stretched = np.zeros_like(values)
    stretched[slices] = values[slices] / peaks
    cord = volume.with_voxels(stretched)
    height = float(cord.spacing_mm[0]) * np.sqrt(1 + np.sum(slopes**2, axis=1))
    position = np.cumsum(height[::-1])[::-1] - height / 2
    found = (_slice(cord, int(index), slopes[n], float(position[n])) for n, index in enumerate(slices))
    return CordProfile(cord, None, tuple(found), settings)


def _slopes(volume: Volume, slices: np.ndarray) -> np.ndarray:
    """Return the shift per mm of height, to the back and to the left, shape (slices, 2)."""
    centroids = np.array([np.argwhere(volume.voxels[index]).mean(axis=0) for index in slices])
    if slices.size < 3:
        return np.zeros((slices.size, 2))
    span = slices[-1] - slices[0] + 1
    smooth = (slices.size / span) ** 2 * SMOOTH * volume.spacing_mm[0] / 3
    degree = 3 if slices.size > 3 else 1
    shifts = [
        splev(slices, splrep(slices, centroids[:, axis], s=smooth, k=degree), der=1) * volume.spacing_mm[axis + 1]
        for axis in range(2)
    ]
    return np.stack(shifts, axis=1) / volume.spacing_mm[0]


def _slice(cord: Volume, index: int, slope: np.ndarray, position_mm: float) -> CordSlice:
    tangent = cord.directions @ np.array([1.0, *slope])
    tangent /= np.linalg.norm(tangent)
    section = cross_section(cord, index, tangent=tangent)
    cosines = 1 / np.sqrt((1 + slope[0] ** 2) * (1 + slope[1] ** 2))
    area = float(cord.voxels[index].sum()) * float(np.prod(cord.spacing_mm[1:])) * float(cosines)
    return CordSlice(index, position_mm, tangent, replace(section, area_mm2=area))
