"""The cord slice by slice: CSA and shape, and for every slice whether its numbers may be said."""

from dataclasses import dataclass, field

import numpy as np

from dicom_ai.anatomy.centerline import Centerline, centerline
from dicom_ai.domain.image import Volume
from dicom_ai.imaging.orient import axial_first
from dicom_ai.measurements.cord_mask import isolate_cord
from dicom_ai.measurements.cross_section import CrossSection, cross_section

NO_CORD = "no cord in this slice"
AT_THE_END = "at the end of the mask"
FADING = "the mask fades out towards its end"
AT_THE_BORDER = "the cord touches the border of the image"
TOO_SHORT = "the cord is seen in fewer than three slices, so that its direction is not known"

TOUCHES = 0.1
"""A border voxel that is cord for at least this share means that cord lies outside the image."""

SPACING_TOLERANCE_MM = 0.01


@dataclass(frozen=True, slots=True)
class CordSettings:
    """When numbers of the cord may be said.

    max_across_mm: largest voxel edge across the cord that still allows a CSA. end_margin_mm: slices whose middle is
    nearer to an end of the mask are withheld, and at least one at each end: two slices of 1 mm, one of 5 mm, where
    two would leave nothing of a stack. sure_share: from an end inward, slices are withheld until one holds a value of
    this share of the usual largest value: a soft mask that fades out there does not know where the cord ends.
    min_slices: fewer in a site, and its numbers are withheld. max_angle_deg: a slice that the cord crosses at a
    larger angle is flagged.
    """

    max_across_mm: float = 1.5
    end_margin_mm: float = 2.0
    sure_share: float = 0.95
    min_slices: int = 3
    max_angle_deg: float = 30.0


@dataclass(frozen=True, slots=True)
class CordSlice:
    """The cord in one axial slice. section: None where the slice holds no cord.

    index: of the slice in the axial-first volume, from the feet. position_mm: along the cord from the top of the cord
    seen. withheld: why its numbers may not be said, else "". tilted: the cord crosses it at more than max_angle_deg.
    """

    index: int
    position_mm: float
    tangent: np.ndarray = field(repr=False)
    section: CrossSection | None
    withheld: str = ""
    tilted: bool = False

    @property
    def measured(self) -> bool:
        """Whether the numbers of this slice may be said."""
        return self.section is not None and not self.withheld


@dataclass(frozen=True, slots=True)
class CordProfile:
    """The cord from its lowest to its highest slice, feet to head; no slices where there is no cord.

    cord: the cord's soft values, axial first. course: None where there is no cord.
    csa_withheld, ap_withheld: why no CSA, or no AP diameter, may be said of this image at all, else "".
    """

    cord: Volume = field(repr=False)
    course: Centerline | None = field(repr=False)
    slices: tuple[CordSlice, ...] = field(repr=False)
    settings: CordSettings
    csa_withheld: str = ""
    ap_withheld: str = ""

    @property
    def length_mm(self) -> float:
        """Arc length of the cord seen; 0 without cord."""
        return self.course.length_mm if self.course else 0.0

    @property
    def areas_mm2(self) -> np.ndarray:
        """CSA per slice, shape (slices,); NaN where it may not be said."""
        return np.array(
            [s.section.area_mm2 if s.section and s.measured and not self.csa_withheld else np.nan for s in self.slices]
        )


def measure_cord(soft: Volume, *, settings: CordSettings | None = None) -> CordProfile:
    """Return the profile of the cord in a soft mask on the native grid of its image, in any orientation.

    soft: values in [0, 1]; NaN counts as 0. The borders of the grid are taken as the borders of the image.
    """
    settings = settings or CordSettings()
    volume = axial_first(soft)
    cord = isolate_cord(volume)
    csa_withheld, ap_withheld = _too_coarse(volume.spacing_mm, settings)
    if not cord.voxels.any():
        return CordProfile(cord, None, (), settings, csa_withheld, ap_withheld)
    course = centerline(cord)
    fading = _fading(cord, course, settings)
    slices = tuple(_slice(cord, course, place, settings, fading=fading[place]) for place in range(course.slices.size))
    return CordProfile(cord, course, slices, settings, csa_withheld, ap_withheld)


def _too_coarse(spacing_mm: np.ndarray, settings: CordSettings) -> tuple[str, str]:
    """Return why the voxels allow no CSA and no AP diameter; "" where they do."""
    limit = settings.max_across_mm + SPACING_TOLERANCE_MM
    back, left = float(spacing_mm[1]), float(spacing_mm[2])
    way_out = "an axial series, or a 3-D series with voxels of at most 1.5 mm, would allow it"
    wide = [f"{size:.1f} mm {way}" for size, way in ((back, "front to back"), (left, "right to left")) if size > limit]
    if not wide:
        return "", ""
    reason = (
        f"voxels across the cord are {' and '.join(wide)}; at most {settings.max_across_mm} mm allow a CSA; {way_out}"
    )
    return reason, (reason.replace("a CSA", "an AP diameter") if back > limit else "")


def _fading(cord: Volume, course: Centerline, settings: CordSettings) -> np.ndarray:
    """Return which slices lie where the mask fades out towards one of its ends, bool, shape (slices,)."""
    peaks = cord.voxels[course.slices].max(axis=(1, 2))
    sure = np.flatnonzero(peaks >= settings.sure_share * np.median(peaks))
    places = np.arange(peaks.size)
    return (places < sure[0]) | (places > sure[-1])


def _slice(cord: Volume, course: Centerline, place: int, settings: CordSettings, *, fading: bool) -> CordSlice:
    """Return the cord in the slice at a place of its course."""
    index = int(course.slices[place])
    tangent = course.tangents[place]
    section = cross_section(cord, index, tangent=tangent) if cord.voxels[index].any() else None
    return CordSlice(
        index=index,
        position_mm=float(course.position_mm[place]),
        tangent=tangent,
        section=section,
        withheld=_why_withheld(cord, course, place, settings, fading=fading) if section else NO_CORD,
        tilted=section is not None and section.angle_deg > settings.max_angle_deg,
    )


def _why_withheld(cord: Volume, course: Centerline, place: int, settings: CordSettings, *, fading: bool) -> str:
    """Return why the numbers of a slice may not be said, or ""."""
    if course.slices.size < settings.min_slices:
        return TOO_SHORT
    from_end = min(place, course.slices.size - 1 - place)
    if from_end == 0 or (from_end + 0.5) * cord.spacing_mm[0] < settings.end_margin_mm:
        return AT_THE_END
    if fading:
        return FADING
    values = cord.voxels[course.slices[place]]
    border = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    return AT_THE_BORDER if border.max() >= TOUCHES else ""
