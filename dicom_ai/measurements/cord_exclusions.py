"""Slices of the cord whose numbers are withheld for what is seen beside the mask: metal, and the cord's lower end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from dicom_ai.domain.findings import VertebraLabel
from dicom_ai.domain.image import Volume
from dicom_ai.imaging.orient import axial_first
from dicom_ai.measurements.sites import sites_by_level
from dicom_ai.measurements.spinal_cord_csa import CordProfile, CordSlice

METAL = "a signal void beside the cord, as metal makes it"
BELOW_CONUS = "below the conus: the mask tapers off to less than 20 mm2"
BELOW_L2 = "below the conus: no cord is expected at L3 and lower"

VOID_SHARE = 0.1
"""A voxel with less than this share of the cord's own signal is void: air, cortical bone, metal."""
VOID_RADIUS_MM = 4.0
"""A void that holds a disc of this radius is more than bone or a vessel; the necks at hand have none above 3.0 mm."""
VOID_REACH_MM = 18.0
"""The disc's middle is at most this far from the middle of the cord: the airway and the lungs lie farther."""
MASKED_SHARE = 0.6
"""Where more than this is void around the cord, and so all along it, the image was masked: nothing can be told."""
METAL_MARGIN_MM = 5.0
"""Distortion reaches farther along the cord than the void."""

CONUS_MM2 = 20.0
"""Below this the cord has ended: the thinnest healthy thoracic cords read 22 mm2 (PAM50 cohorts, C1-T10)."""
_SMOOTH_MM = 10.0
_ABOVE_MM = 40.0
_USUAL_MM2 = 30.0
_NO_CORD_AT = frozenset({"L3", "L4", "L5", "L6", "S1"})


def without_metal(profile: CordProfile, image: Volume) -> CordProfile:
    """Return the profile with the slices near a large signal void withheld.

    image: of the grid that the measured mask had, in any orientation.
    """
    turned = axial_first(image)
    cord = profile.cord.voxels >= 0.5
    if not cord.any():
        return profile
    limit = VOID_SHARE * float(np.median(turned.voxels[cord]))
    around = {item.index: _around(turned, item) for item in profile.slices if item.section}
    if np.median([float((one.voxels < limit).mean()) for one in around.values()]) > MASKED_SHARE:
        return profile
    void = [index for index, one in around.items() if _has_void(one, limit)]
    reach = METAL_MARGIN_MM / float(turned.spacing_mm[0])
    near = {item.index: METAL for item in profile.slices if any(abs(item.index - at) <= reach for at in void)}
    return _withheld(profile, near)


def without_cauda(profile: CordProfile, levels: Sequence[VertebraLabel] = ()) -> CordProfile:
    """Return the profile with the slices below the conus withheld: by level where one is known, and by the taper."""
    below = {
        item.index: BELOW_L2
        for site in sites_by_level(profile, levels)
        if site.level in _NO_CORD_AT
        for item in site.slices_of(profile)
    }
    return _withheld(profile, dict.fromkeys(_tapered(profile), BELOW_CONUS) | below)


@dataclass(frozen=True, slots=True)
class _Around:
    """The part of a slice around the cord. middle: of the cord, in its pixels. spacing_mm: of its pixels."""

    voxels: np.ndarray = field(repr=False)
    middle: np.ndarray
    spacing_mm: np.ndarray


def _around(image: Volume, item: CordSlice) -> _Around:
    if item.section is None:
        raise ValueError("a slice without cord has nothing around it")
    spacing = image.spacing_mm[1:]
    middle = image.to_indices(item.section.centroid_mm)[1:]
    reach = (VOID_REACH_MM + VOID_RADIUS_MM) / spacing + 1
    low = np.maximum(np.floor(middle - reach), 0).astype(int)
    high = np.ceil(middle + reach).astype(int) + 1
    return _Around(image.voxels[item.index, low[0] : high[0], low[1] : high[1]], middle - low, spacing)


def _has_void(around: _Around, limit: float) -> bool:
    """Tell whether there is a void near the cord that holds a disc of VOID_RADIUS_MM."""
    # What lies outside of the image is not known to be void.
    void = np.pad(around.voxels < limit, 1)
    deep = ndimage.distance_transform_edt(void, sampling=around.spacing_mm)[1:-1, 1:-1]
    away = np.linalg.norm((np.argwhere(deep >= VOID_RADIUS_MM) - around.middle) * around.spacing_mm, axis=1)
    return bool((away <= VOID_REACH_MM).any())


def _tapered(profile: CordProfile) -> list[int]:
    """Return the slices at the lower end where the cord, thick enough above, has become thinner than CONUS_MM2."""
    shown = [item for item in profile.slices if item.section is not None]
    if not shown or shown[0].index == 0:  # the mask reaches the end of the image: the cord goes on
        return []
    step_mm = float(profile.cord.spacing_mm[0])
    areas = np.array([item.section.area_mm2 for item in shown if item.section])
    smooth = ndimage.median_filter(areas, size=max(1, round(_SMOOTH_MM / step_mm)) | 1, mode="nearest")
    thick = np.flatnonzero(smooth >= CONUS_MM2)
    if thick.size == 0 or thick[0] == 0:
        return []
    above = smooth[thick[0] : thick[0] + max(1, round(_ABOVE_MM / step_mm))]
    return [item.index for item in shown[: thick[0]]] if above.max() >= _USUAL_MM2 else []


def _withheld(profile: CordProfile, reasons: Mapping[int, str]) -> CordProfile:
    """Return the profile with a reason set for some slices; one that a slice already has stays."""
    if not reasons:
        return profile
    slices = tuple(
        replace(item, withheld=reasons[item.index]) if item.measured and item.index in reasons else item
        for item in profile.slices
    )
    return replace(profile, slices=slices)
