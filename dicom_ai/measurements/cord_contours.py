"""Where a site of the cord is, drawn on the source slices a viewer shows."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dicom_ai.domain.findings import Contour
from dicom_ai.domain.image import SourceImage, Volume
from dicom_ai.imaging.contours import soft_contour
from dicom_ai.imaging.orient import reorient_like
from dicom_ai.measurements.sites import Site
from dicom_ai.measurements.spinal_cord_csa import CordProfile, CordSlice

HALF = 0.5
MARK_RADIUS_MM = 5.0
"""Of the circle that says where the cord was looked for and not found."""


@dataclass(frozen=True, slots=True)
class CordOnSource:
    """The cord's soft values on the grid of its source image.

    across: whether the source slices cut the cord across, so that an outline is the measured area.
    """

    series_uid: str
    grid: Volume = field(repr=False)
    profile: CordProfile = field(repr=False)
    across: bool


@dataclass(frozen=True, slots=True)
class SiteContour:
    """The outline of a site, and the slice whose section it is; None where it only locates the site."""

    contour: Contour
    outlined: CordSlice | None


def cord_on_source(source: SourceImage, profile: CordProfile) -> CordOnSource:
    """Return the cord of a profile on its source image, whose grid the measured mask had."""
    if not isinstance(source.image, Volume):
        raise ValueError("a cord is outlined on a volume, not on a radiograph")
    values = reorient_like(profile.cord.voxels, of=profile.cord, like=source.image)
    across = abs(float(source.image.directions[:, 0] @ profile.cord.directions[:, 0])) > 0.99
    return CordOnSource(source.series_uid, source.image.with_voxels(values), profile, across)


def site_contour(cord: CordOnSource, site: Site) -> SiteContour:
    """Return the outline of a site on one source slice; the cord must have been seen somewhere.

    Source slices that cut the cord across: its outline in the slice nearest to the site's middle, a measured one if
    there is any. Others: the outline of the site's stretch in the source slice nearest to the middle of the cord.
    A site without cord: a circle on the course of the cord.
    """
    shown = [item for item in site.slices_of(cord.profile) if item.section is not None]
    if not shown:
        return SiteContour(_circle(cord, site), None)
    if cord.across:
        return _section_outline(cord, shown, site)
    return SiteContour(_lengthwise_outline(cord, shown), None)


def _section_outline(cord: CordOnSource, shown: Sequence[CordSlice], site: Site) -> SiteContour:
    """Return the outline of the cord in the site's middle slice."""
    candidates = [item for item in shown if item.measured] or shown
    middle = min(candidates, key=lambda item: abs(item.position_mm - site.middle_mm))
    place = int(np.rint(cord.grid.to_indices(cord.profile.cord.to_mm(np.array([middle.index, 0, 0])))[0]))
    contour = Contour(cord.series_uid, place, _outline(cord.grid.voxels[place]))
    return SiteContour(contour, middle)


def _lengthwise_outline(cord: CordOnSource, shown: Sequence[CordSlice]) -> Contour:
    """Return the outline of a stretch in the source slice through the middle of the cord."""
    profile = cord.profile
    stretch = np.zeros_like(profile.cord.voxels)
    held = [item.index for item in shown]
    stretch[held] = profile.cord.voxels[held]
    values = reorient_like(stretch, of=profile.cord, like=cord.grid)
    amounts = values.sum(axis=(1, 2))
    centre = np.sum([item.section.centroid_mm for item in shown if item.section], axis=0) / len(shown)
    place = int(np.clip(np.rint(cord.grid.to_indices(centre)[0]), 0, len(amounts) - 1))
    if values[place].max() < HALF:
        place = int(amounts.argmax())
    return Contour(cord.series_uid, place, _outline(values[place]), locates_only=True)


def _outline(values: np.ndarray) -> np.ndarray:
    """Return the outline at half value; of a faint slice, at half of its largest value."""
    return soft_contour(values, level=min(HALF, 0.5 * float(values.max())))


def _circle(cord: CordOnSource, site: Site) -> Contour:
    """Return a circle around the course of the cord at the middle of a site, inside the image."""
    course = cord.profile.course
    if course is None:
        raise ValueError("there is no cord whose course could be marked")
    nearest = int(np.abs(course.position_mm - site.middle_mm).argmin())
    place, row, column = cord.grid.to_indices(course.points_mm[nearest])
    slices, rows, columns = cord.grid.shape
    turn = np.linspace(0.0, 2 * np.pi, 33)
    radius = MARK_RADIUS_MM / cord.grid.spacing_mm
    points = np.stack([column + 0.5 + radius[2] * np.cos(turn), row + 0.5 + radius[1] * np.sin(turn)], axis=1)
    points[-1] = points[0]
    where = int(np.clip(np.rint(place), 0, slices - 1))
    return Contour(cord.series_uid, where, np.clip(points, 0.0, [columns, rows]), locates_only=True)
