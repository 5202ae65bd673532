"""Vertebral levels of slices, in the codes of the Spinal Cord Toolbox."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from dicom_ai.domain.findings import VertebraLabel
from dicom_ai.domain.image import Volume
from dicom_ai.errors import UnsuitableGeometry
from dicom_ai.imaging.orient import axial_first
from dicom_ai.measurements.sites import sites_by_level
from dicom_ai.measurements.spinal_cord_csa import CordProfile, CordSlice

REGIONS = (("C", 1, 7), ("T", 8, 19), ("L", 20, 24))
"""Letter, first and last code."""

POOLED = (2, 3)
"""C2 and C3: SCT's -vert 2:3."""


CODES = MappingProxyType(
    {f"{letter}{code - first + 1}": code for letter, first, last in REGIONS for code in range(first, last + 1)}
)
"""Level -> SCT's code; levels that SCT does not know (T13, L6, S1) have none."""


def level_name(code: int) -> str:
    """Return the level of SCT's code; the number itself where it names no level."""
    return next((level for level, known in CODES.items() if known == code), str(code))


def levels_along(profile: CordProfile, labels: Sequence[VertebraLabel]) -> dict[int, int]:
    """Return slice index of the profile -> level code, from vertebrae found in an image."""
    sites = [site for site in sites_by_level(profile, labels) if site.level in CODES]
    return {item.index: CODES[site.level] for site in sites if site.level for item in site.slices_of(profile)}


def levels_of_slices(labels: Volume, profile: CordProfile) -> dict[int, int]:
    """Return slice index of the profile -> level code: the rounded mean of the labels in that slice, as in SCT.

    labels: on the grid of the measured mask, 0 where there is no level. Slices without labels are left out.
    Raise UnsuitableGeometry where the grids differ.
    """
    turned = axial_first(labels)
    cord = profile.cord
    if turned.shape != cord.shape or not np.allclose(turned.affine, cord.affine, rtol=0, atol=1e-2):
        raise UnsuitableGeometry(f"levels of shape {turned.shape} do not lie on the mask's grid of shape {cord.shape}")
    levels = {}
    for item in profile.slices:
        codes = turned.voxels[item.index]
        present = codes[codes > 0]
        if present.size:
            levels[item.index] = int(np.rint(present.mean()))
    return levels


def slices_by_level(profile: CordProfile, levels: Mapping[int, int]) -> dict[tuple[int, ...], Sequence[CordSlice]]:
    """Return the slices of every level from above, keyed by its code, and of C2 and C3 pooled, keyed by both."""
    codes = sorted(set(levels.values()))
    keys: list[tuple[int, ...]] = [(code,) for code in codes]
    if set(POOLED) <= set(codes):
        keys.append(POOLED)
    return {key: [item for item in profile.slices if levels.get(item.index) in key] for key in keys}
