"""Where another series of the study measures the same cord better: slices across it win over slices along it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dicom_ai.measurements.sites import Site
from dicom_ai.measurements.spinal_cord_csa import CordProfile

COVERS = 0.7
"""A stretch counts as measured elsewhere when the other series' slices fill this share of it."""

SAME_PLACE_MM = 5.0
"""Farther apart, the two series do not show the cord in one place: the patient has moved."""


@dataclass(frozen=True, slots=True)
class PreferredCord:
    """The cord in a series whose slices cut it across, in the same frame of reference. name: for people."""

    name: str
    profile: CordProfile = field(repr=False)


def measured_better(site: Site, profile: CordProfile, preferred: Sequence[PreferredCord]) -> str:
    """Return why a site of a profile is left to another series; "" where none measures enough of it."""
    for other in preferred:
        if _covers(site, profile, other.profile):
            return f"measured on {other.name} of this study, whose slices cut the cord across"
    return ""


def _covers(site: Site, profile: CordProfile, other: CordProfile) -> bool:
    course = profile.course
    if course is None or other.csa_withheld:
        return False
    centres = [item.section.centroid_mm for item in other.slices if item.measured and item.section]
    inside = [point for point in centres if site.start_mm <= course.position_of(point) < site.stop_mm]
    if len(inside) < other.settings.min_slices:
        return False
    away = [float(np.linalg.norm(course.points_mm - point, axis=1).min()) for point in inside]
    seen_mm = min(site.stop_mm, profile.length_mm) - max(site.start_mm, 0.0)
    filled_mm = len(inside) * float(other.cord.spacing_mm[0])
    # The nearest point of the course lies up to half a slice away along the cord.
    return filled_mm >= COVERS * seen_mm and float(np.median(away)) <= SAME_PLACE_MM + profile.cord.spacing_mm[0] / 2
