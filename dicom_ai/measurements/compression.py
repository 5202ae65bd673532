"""Where the cord is flatter than above and below: candidates for a compression, measured as MSCC.

MSCC = 1 - AP diameter / mean of the AP diameters above and below (maximum spinal cord compression). The reference is
the mean over 20 mm of cord that begin 10 mm above the uppermost and 10 mm below the lowermost candidate
(SCT sct_compute_compression, Valosek 2024). A candidate is a number to look at, no diagnosis.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from dicom_ai.measurements.spinal_cord_csa import CordProfile, CordSlice

AWAY_MM, REFERENCE_MM = 10.0, 20.0
CANDIDATE_PERCENT = 15.0
"""Healthy cords, whose AP diameter changes by level, stay below: at most 8 % from C1 to T6 in the formula necks."""
ONE_SIDED_PERCENT = 25.0
"""With one side only, the usual change of the diameter from level to level is not taken out."""
APART_MM = 8.0
"""Two places nearer to each other are one candidate."""
_SMOOTH_MM = 3.0


@dataclass(frozen=True, slots=True)
class Compression:
    """One candidate. item: its flattest slice. above_mm, below_mm: AP diameters compared with, None where not seen."""

    item: CordSlice
    ap_mm: float
    mscc_percent: float
    above_mm: float | None
    below_mm: float | None


def compressions(profile: CordProfile) -> tuple[Compression, ...]:
    """Return the candidates of a profile from above; none where the voxels allow no AP diameter."""
    if profile.ap_withheld:
        return ()
    measured = [item for item in reversed(profile.slices) if item.measured and item.section]
    if len(measured) < 2 * profile.settings.min_slices:
        return ()
    at = np.array([item.position_mm for item in measured])
    ap = _smoothed(measured, float(profile.cord.spacing_mm[0]))
    first = [_against(at, ap, place, upper=at[place], lower=at[place]) for place in range(at.size)]
    found = [place for place in _peaks(at, np.array([one[0] for one in first])) if _counts(first[place])]
    if not found:
        return ()
    again = {place: _against(at, ap, place, upper=at[found[0]], lower=at[found[-1]]) for place in found}
    return tuple(
        Compression(measured[place], float(ap[place]), *again[place]) for place in found if _counts(again[place])
    )


def _smoothed(measured: Sequence[CordSlice], step_mm: float) -> np.ndarray:
    """Return the AP diameters averaged over 3 mm of cord, so that one noisy slice is no compression."""
    ap = np.array([item.section.ap_mm for item in measured if item.section])
    return ndimage.uniform_filter1d(ap, max(1, round(_SMOOTH_MM / step_mm)) | 1, mode="nearest")


def _against(
    at: np.ndarray, ap: np.ndarray, place: int, *, upper: float, lower: float
) -> tuple[float, float | None, float | None]:
    """Return (MSCC in percent, mean AP above, mean AP below); -inf where there is nothing to compare with."""
    above = _mean(ap[(at <= upper - AWAY_MM) & (at >= upper - AWAY_MM - REFERENCE_MM)], at)
    below = _mean(ap[(at >= lower + AWAY_MM) & (at <= lower + AWAY_MM + REFERENCE_MM)], at)
    sides = [side for side in (above, below) if side is not None]
    if not sides:
        return -np.inf, None, None
    return 100.0 * (1.0 - float(ap[place]) / float(np.mean(sides))), above, below


def _mean(values: np.ndarray, at: np.ndarray) -> float | None:
    """Return the mean where the slices cover at least half of the reference, else None."""
    step_mm = float(np.median(np.diff(at)))
    return float(values.mean()) if values.size * step_mm >= 0.5 * REFERENCE_MM else None


def _counts(one: tuple[float, float | None, float | None]) -> bool:
    mscc, above, below = one
    return mscc >= (CANDIDATE_PERCENT if above is not None and below is not None else ONE_SIDED_PERCENT)


def _peaks(at: np.ndarray, mscc: np.ndarray) -> list[int]:
    """Return the places where MSCC is largest within APART_MM, from above."""
    chosen: list[int] = []
    for place in (int(number) for number in np.argsort(-mscc, kind="stable")):
        highest = mscc[place] >= mscc[np.abs(at - at[place]) <= APART_MM].max()
        if highest and all(abs(at[place] - at[other]) > APART_MM for other in chosen):
            chosen.append(place)
    return sorted(chosen)
