"""Soft ground truth of arXiv 2310.15402: the average of one cord's masks in several contrasts, weighted by coverage."""

from collections.abc import Sequence

import numpy as np

from dicom_ai.domain.image import Volume
from dicom_ai.imaging.resample import resample_onto


def soft_truth(masks: Sequence[Volume], grid: Volume) -> Volume:
    """Return the share of the contrasts that call a voxel cord, on a grid, float32 in [0, 1].

    masks: binary, of the same person in the same space, each on its own grid. A voxel outside of a mask's field of view
    does not count against the cord: it is averaged over the masks that cover it, and 0 where none does.
    """
    total = np.zeros(grid.shape, np.float32)
    coverage = np.zeros(grid.shape, np.float32)
    for mask in masks:
        total += resample_onto(mask.with_voxels((mask.voxels > 0).astype(np.float32)), grid).voxels
        coverage += resample_onto(mask.with_voxels(np.ones(mask.shape, np.float32)), grid).voxels
    share = np.divide(total, coverage, out=np.zeros_like(total), where=coverage > 1e-3)
    return grid.with_voxels(np.clip(share, 0.0, 1.0))
