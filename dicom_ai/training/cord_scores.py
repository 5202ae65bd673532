"""Scores of one cord segmentation against its truth."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from dicom_ai.domain.image import Volume
from dicom_ai.measurements.spinal_cord_csa import CordProfile, measure_cord


@dataclass(frozen=True, slots=True)
class CordScores:
    """How near a soft mask is to its truth; None where it does not apply.

    dice: of the masks at 0.5. soft_dice: of the soft values. csa_bias_percent, csa_bias_mm2: mean over the slices that
    both measure, prediction minus truth. csa_worst_percent: largest deviation of a slice. hd95_mm: 95th percentile of
    the distances between the two outlines, both ways. false_voxels: predicted, and farther than 2 voxels from it.
    slices_missed: slices with truth and without prediction.
    """

    dice: float
    soft_dice: float
    csa_bias_percent: float | None
    csa_bias_mm2: float | None
    csa_worst_percent: float | None
    slices: int
    hd95_mm: float | None
    false_voxels: int
    slices_missed: int


def cord_scores(predicted: Volume, truth: Volume) -> CordScores:
    """Score a soft mask against a soft or binary truth on the same grid."""
    mask, wanted = predicted.voxels >= 0.5, truth.voxels >= 0.5
    difference = _csa_difference(measure_cord(predicted), measure_cord(truth))
    far = mask & ~ndimage.binary_dilation(wanted, iterations=2)
    axis = int(np.argmax(np.abs(truth.directions[2])))
    over = tuple(other for other in range(3) if other != axis)
    missed = wanted.any(axis=over) & ~mask.any(axis=over)
    return CordScores(
        dice=_dice(mask, wanted),
        soft_dice=_dice(predicted.voxels, truth.voxels),
        csa_bias_percent=float(difference[:, 1].mean()) if len(difference) else None,
        csa_bias_mm2=float(difference[:, 0].mean()) if len(difference) else None,
        csa_worst_percent=float(np.abs(difference[:, 1]).max()) if len(difference) else None,
        slices=len(difference),
        hd95_mm=_hd95(mask, wanted, truth.spacing_mm) if mask.any() and wanted.any() else None,
        false_voxels=int(far.sum()),
        slices_missed=int(missed.sum()),
    )


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(float), b.astype(float)
    both = float((a**2).sum() + (b**2).sum())
    return 2 * float((a * b).sum()) / both if both else 1.0


def _csa_difference(predicted: CordProfile, truth: CordProfile) -> np.ndarray:
    """Return (mm2, percent) of prediction minus truth for each slice that both measure, shape (n, 2)."""
    found = {s.index: s.section.area_mm2 for s in predicted.slices if s.section and s.measured}
    rows = [
        (found[s.index] - s.section.area_mm2, 100 * (found[s.index] / s.section.area_mm2 - 1))
        for s in truth.slices
        if s.section and s.measured and s.index in found
    ]
    usable = rows if not (predicted.csa_withheld or truth.csa_withheld) else []
    return np.array(usable).reshape(-1, 2)


def _hd95(a: np.ndarray, b: np.ndarray, spacing_mm: np.ndarray) -> float:
    outlines = [mask & ~ndimage.binary_erosion(mask) for mask in (a, b)]
    distances = [
        ndimage.distance_transform_edt(~other, sampling=spacing_mm)[own] for own, other in (outlines, outlines[::-1])
    ]
    return float(np.percentile(np.concatenate(distances), 95))
