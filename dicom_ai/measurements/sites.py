"""Stretches of the cord that get a group of numbers: vertebral levels, positions, the whole."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dicom_ai.anatomy.centerline import Centerline
from dicom_ai.domain.findings import VertebraLabel
from dicom_ai.measurements.spinal_cord_csa import CordProfile, CordSlice

BIN_MM = 20.0
WHOLE = "the cord seen"
POOLED = "C2-C3 (levels pooled)"

SEEN_IN_PART = "cord is seen over"
"""How the note on a level begins whose cord is not seen over its whole length."""

NO_LEVEL = "no vertebral level is known; the position is measured along the cord from the top of the cord seen"
POOLED_NOTE = "slices of the vertebral levels C2 and C3 pooled; not the C2/C3 disc, and not spinal segments"


@dataclass(frozen=True, slots=True)
class Site:
    """A stretch of the cord. start_mm, stop_mm: along the cord from the top of the cord seen, start above stop.

    name: stands in displayed names. level: "C3", or None where the site is no single vertebral level.
    """

    name: str
    start_mm: float
    stop_mm: float
    level: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def middle_mm(self) -> float:
        """Halfway down the stretch."""
        return (self.start_mm + self.stop_mm) / 2

    def slices_of(self, profile: CordProfile) -> tuple[CordSlice, ...]:
        """Return the slices whose middle lies in the stretch, feet to head."""
        return tuple(item for item in profile.slices if self.start_mm <= item.position_mm < self.stop_mm)


def whole_cord(profile: CordProfile) -> Site:
    """Return the site of the whole cord seen."""
    return Site(WHOLE, 0.0, profile.length_mm)


def sites_by_position(profile: CordProfile) -> tuple[Site, ...]:
    """Return stretches of equal length from the top of the cord seen.

    They are 20 mm long, or the next multiple of it in which thick slices leave enough to be measured. A rest shorter
    than half a stretch is no site of its own; the last one may reach beyond the end of the cord.
    """
    bin_mm = BIN_MM * np.ceil(profile.settings.min_slices * float(profile.cord.spacing_mm[0]) / BIN_MM)
    starts = np.arange(0.0, max(profile.length_mm - bin_mm / 2, bin_mm / 2), bin_mm)
    return tuple(
        Site(f"{start:.0f}-{start + bin_mm:.0f} mm below top of cord seen", start, start + bin_mm, notes=(NO_LEVEL,))
        for start in starts
    )


def sites_by_level(profile: CordProfile, levels: Sequence[VertebraLabel]) -> tuple[Site, ...]:
    """Return one stretch per vertebra along which the cord is seen, from above, and C2 and C3 pooled after C3.

    A level reaches from the middle of the disc above to the middle of the disc below, as SCT counts; where the
    neighbour is not labelled, to the endplate. Endplates are projected onto the course of the cord.
    """
    if profile.course is None:
        return ()
    sites: list[Site] = []
    bounds = _bounds(profile.course, levels)
    for label, (start, stop) in zip(levels, bounds, strict=True):
        if stop > 0.0 and start < profile.length_mm:
            sites.append(
                Site(_site_name(label), start, stop, label.level, _notes(label, start, stop, profile.length_mm))
            )
            sites.extend(_pooled(sites))
    return tuple(sites)


def _bounds(course: Centerline, levels: Sequence[VertebraLabel]) -> list[tuple[float, float]]:
    """Return where each vertebra's level starts and stops along the cord."""
    upper = [course.position_of(label.upper_mm) for label in levels]
    lower = [course.position_of(label.lower_mm) for label in levels]
    starts, stops = list(upper), list(lower)
    for above in range(len(levels) - 1):
        gap = upper[above + 1] - lower[above]
        # A gap as large as a vertebra is no disc: one between the two was not found. Cervical discs reach half of it.
        if gap < lower[above] - upper[above]:
            stops[above] = starts[above + 1] = lower[above] + gap / 2
    return list(zip(starts, stops, strict=True))


def _site_name(label: VertebraLabel) -> str:
    return label.level or f"{label.name} (level not known)"


def _notes(label: VertebraLabel, start: float, stop: float, length_mm: float) -> tuple[str, ...]:
    notes = [label.anchor] if label.anchor else []
    if label.level is None:
        notes.append("the vertebra is counted from above; no vertebral level is known")
    elif label.qualified:
        notes.append("the level is in doubt")
    seen = (min(stop, length_mm) - max(start, 0.0)) / max(stop - start, 1e-6)
    if seen < 0.95:
        notes.append(f"{SEEN_IN_PART} {100 * seen:.0f} % of the level")
    return tuple(notes)


def _pooled(sites: Sequence[Site]) -> tuple[Site, ...]:
    """Return C2 and C3 pooled where these are the last two sites."""
    if len(sites) < 2 or (sites[-2].level, sites[-1].level) != ("C2", "C3"):
        return ()
    doubts = tuple(dict.fromkeys(note for site in sites[-2:] for note in site.notes if note == "the level is in doubt"))
    return (Site(POOLED, sites[-2].start_mm, sites[-1].stop_mm, None, (POOLED_NOTE, *doubts)),)
