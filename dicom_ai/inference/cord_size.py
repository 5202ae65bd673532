"""A thin cord shown to the network at the size it knows best.

A network that has learned from cords of a usual size reads thin ones too large: on formula necks the error follows the
area, counted in voxels, and is gone at the usual one. On a finer grid a thin cord again fills that many voxels, and is
read right. So each slice takes its mask from the grid that suits its own area.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from scipy import ndimage

from dicom_ai.domain.image import Volume

SCALES = (1.0, 0.86, 0.74)
"""Spacings of the grids, as shares of the usual one; a cord of 55 % of the usual area fills the finest as usual."""

_WORTH_IT = 0.02
"""A finer grid is looked at when some slice wants a spacing that lies further than this below the grid before."""

_SMOOTH_MM = 15.0
"""The cord's area changes slowly; its estimate is taken as the median over this much of its length."""


def wanted_scales(soft: Volume, usual_mm2: float) -> np.ndarray:
    """Return for each slice of an axial-first soft mask the spacing that suits its area, as a share of the usual one.

    shape (slices,), within SCALES; 1 where there is no cord.
    """
    pixel_mm2 = float(soft.spacing_mm[1] * soft.spacing_mm[2])
    areas = soft.voxels.sum(axis=(1, 2), dtype=np.float64) * pixel_mm2
    steps = max(1, round(_SMOOTH_MM / float(soft.spacing_mm[0])))
    areas = ndimage.median_filter(areas, size=steps | 1, mode="nearest")
    scales = np.where(areas > 0, np.sqrt(areas / usual_mm2), 1.0)
    return np.clip(scales, SCALES[-1], SCALES[0])


def scales_for(wanted: np.ndarray) -> list[float]:
    """Return which finer grids are needed so that every wanted scale lies between two that were looked at."""
    least = float(wanted.min(initial=1.0))
    return [scale for before, scale in pairwise(SCALES) if least < before - _WORTH_IT]


def joined(looks: Mapping[float, Volume], wanted: np.ndarray) -> Volume:
    """Return one soft mask whose slices are mixed from those of the two nearest scales.

    looks: scale -> soft mask, all on one grid; 1.0 is among them. wanted: shape (slices,).
    """
    scales = np.array(sorted(looks))
    mixed = np.zeros_like(looks[1.0].voxels)
    for place, scale in enumerate(scales):
        weights = np.interp(wanted, scales, np.eye(scales.size)[place])
        mixed += weights[:, None, None].astype(np.float32) * looks[float(scale)].voxels
    return looks[1.0].with_voxels(mixed)
