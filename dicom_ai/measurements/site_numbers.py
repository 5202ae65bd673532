"""The numbers of one stretch of the cord, and how good they are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dicom_ai.domain.findings import Quality, Quantity
from dicom_ai.measurements.spinal_cord_csa import CordProfile, CordSlice
from dicom_ai.measurements.table import quantity


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """What makes a reader look twice at a site's CSA.

    usual_mm2: means outside are flagged; healthy adults read 22 (lower thoracic) to 101 mm2 (PAM50 cohorts, C1-T10).
    possible_mm2: means outside are no cord. max_jump: change between neighbouring slices as a share of their mean.
    """

    usual_mm2: tuple[float, float] = (20.0, 110.0)
    possible_mm2: tuple[float, float] = (5.0, 250.0)
    max_jump: float = 0.2


LIMITS = QualityLimits()


@dataclass(frozen=True, slots=True)
class SiteNumbers:
    """What is said of one site."""

    quantities: tuple[Quantity, ...]
    quality: Quality
    notes: tuple[str, ...]


def site_numbers(
    profile: CordProfile, slices: Sequence[CordSlice], *, limits: QualityLimits = LIMITS, elsewhere: str = ""
) -> SiteNumbers:
    """Return the numbers of some slices of a profile; a number that may not be said has no value and a reason.

    elsewhere: which other series measures these slices better; then this one gives no CSA for them.
    """
    measured = [item for item in slices if item.measured]
    if profile.csa_withheld or elsewhere:
        return _without_csa(profile, slices, measured, elsewhere)
    if len(measured) < profile.settings.min_slices:
        reason = _too_few(slices, measured, profile.settings.min_slices)
        nothing = (quantity("csa_mean", None, reason=reason), quantity("csa_slices", len(measured)))
        return SiteNumbers(nothing, Quality.FAIL, (reason,))
    quality, notes = _judged(measured, profile, limits)
    return SiteNumbers(_csa(measured) + _shape(measured), quality, notes)


def _csa(measured: Sequence[CordSlice]) -> tuple[Quantity, ...]:
    areas = _values(measured, "area_mm2")
    return (
        quantity("csa_mean", areas.mean()),
        quantity("csa_sd", areas.std()),
        quantity("csa_min", areas.min()),
        quantity("csa_max", areas.max()),
        quantity("csa_slices", areas.size),
    )


def _shape(measured: Sequence[CordSlice]) -> tuple[Quantity, ...]:
    return (
        quantity("ap_mean", _values(measured, "ap_mm").mean()),
        quantity("rl_mean", _values(measured, "rl_mm").mean()),
        quantity("eccentricity_mean", _values(measured, "eccentricity").mean()),
        quantity("solidity_mean", np.nanmean(_values(measured, "solidity"))),
        quantity("angle_max", _values(measured, "angle_deg").max()),
    )


def _without_csa(
    profile: CordProfile, slices: Sequence[CordSlice], measured: Sequence[CordSlice], elsewhere: str
) -> SiteNumbers:
    """Return the mid-sagittal AP diameter where the voxels allow it, and why there is no CSA."""
    reason = profile.csa_withheld or elsewhere
    numbers = [quantity("csa_mean", None, reason=reason)]
    notes = [f"no CSA: {reason}"]
    if profile.ap_withheld:
        return SiteNumbers(tuple(numbers), Quality.FAIL, tuple(notes))
    if len(measured) < profile.settings.min_slices:
        reason = _too_few(slices, measured, profile.settings.min_slices)
        numbers.append(quantity("ap_midsagittal", None, reason=reason))
        return SiteNumbers(tuple(numbers), Quality.FAIL, (*notes, reason))
    numbers.append(quantity("ap_midsagittal", _values(measured, "ap_mm").mean()))
    return SiteNumbers(tuple(numbers), Quality.WARN if profile.csa_withheld else Quality.PASS, tuple(notes))


def _judged(
    measured: Sequence[CordSlice], profile: CordProfile, limits: QualityLimits
) -> tuple[Quality, tuple[str, ...]]:
    """Return the verdict on a site that has a CSA, and why."""
    areas = _values(measured, "area_mm2")
    mean = float(areas.mean())
    if not limits.possible_mm2[0] <= mean <= limits.possible_mm2[1]:
        return Quality.FAIL, (f"a mean CSA of {mean:.1f} mm2 is not possible for a cord",)
    notes = []
    if not limits.usual_mm2[0] <= mean <= limits.usual_mm2[1]:
        notes.append(f"mean CSA outside the usual {limits.usual_mm2[0]:.0f}-{limits.usual_mm2[1]:.0f} mm2")
    jump = _largest_jump(measured)
    if jump > limits.max_jump:
        notes.append(f"CSA changes by {100 * jump:.0f} % between neighbouring slices")
    tilted = sum(item.tilted for item in measured)
    if tilted:
        notes.append(f"the cord crosses {tilted} slices at more than {profile.settings.max_angle_deg:.0f} degrees")
    return (Quality.WARN if notes else Quality.PASS), tuple(notes)


def _largest_jump(measured: Sequence[CordSlice]) -> float:
    """Return the largest change of area between slices that follow each other, as a share of their mean."""
    areas = _values(measured, "area_mm2")
    neighbours = np.diff([item.index for item in measured]) == 1
    change = np.abs(np.diff(areas)) / (0.5 * (areas[1:] + areas[:-1]))
    return float(change[neighbours].max(initial=0.0))


def _too_few(slices: Sequence[CordSlice], measured: Sequence[CordSlice], needed: int) -> str:
    """Return why so few slices of a site can be measured."""
    why = sorted({item.withheld for item in slices if item.withheld})
    because = f" ({'; '.join(why)})" if why else ""
    count = f"{len(measured)} slice{'' if len(measured) == 1 else 's'}"
    return f"{count} can be measured where {needed} are needed{because}"


def _values(slices: Sequence[CordSlice], name: str) -> np.ndarray:
    """Return one number of every slice with a section, shape (slices,)."""
    return np.array([getattr(item.section, name) for item in slices if item.section is not None], dtype=np.float64)
