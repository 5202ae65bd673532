"""How much of the spinal canal the cord fills: aSCOR, cord area over canal area, slice by slice."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from dicom_ai.domain.image import Volume
from dicom_ai.imaging.orient import axial_first
from dicom_ai.imaging.resample import resample_onto
from dicom_ai.measurements.spinal_cord_csa import TOUCHES, CordProfile, CordSlice

_HOLDS = 0.9
"""A canal that holds less than this share of the cord is not the canal around it."""


def ascor_by_slice(profile: CordProfile, canal: Volume) -> dict[int, float]:
    """Return slice index of the profile -> aSCOR in percent, where cord and canal are both whole.

    canal: mask or share of the canal with or without the cord in it, in the profile's frame of reference, on any grid.
    The same direction of the cord serves both areas, so that their ratio does not depend on it.
    """
    turned = axial_first(canal)
    values = np.clip(resample_onto(turned.with_voxels(turned.voxels.astype(np.float32)), profile.cord).voxels, 0.0, 1.0)
    found = {}
    for item in profile.slices:
        if not item.measured or profile.csa_withheld:
            continue
        cord, around = profile.cord.voxels[item.index], _filled(values[item.index])
        border = np.concatenate([around[0], around[-1], around[:, 0], around[:, -1]])
        both = float(np.minimum(cord, around).sum())
        if border.max() < TOUCHES and both >= _HOLDS * float(cord.sum()):
            found[item.index] = 100.0 * float(cord.sum() / np.maximum(cord, around).sum())
    return found


def _filled(canal: np.ndarray) -> np.ndarray:
    """Return the canal with the hole that the cord leaves in it, where a model calls the cord something else."""
    core = canal >= 0.5
    filled: np.ndarray = np.where(ndimage.binary_fill_holes(core) & ~core, 1.0, canal)
    return filled


def mean_ascor(ascor: Mapping[int, float], slices: Sequence[CordSlice], *, least: int) -> float | None:
    """Return the mean over some slices in percent; None where fewer than `least` have one."""
    values = [ascor[item.index] for item in slices if item.index in ascor]
    return float(np.mean(values)) if len(values) >= least else None
