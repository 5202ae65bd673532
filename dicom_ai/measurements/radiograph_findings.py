"""From labelled bodies in a lateral film to findings: one per vertebra with its outline, and the angles of the spine.

Everything that needs the anterior side is withheld where it is not known. Millimetres are given only where the film
is calibrated at the patient; ratios and angles need no calibration.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import NAMESPACE_OID, uuid5

import numpy as np

from dicom_ai.anatomy.levels import SACRUM
from dicom_ai.domain.findings import (
    Contour,
    Finding,
    Quality,
    Quantity,
    Segment,
    Segmentation,
    Structure,
    StructureKind,
    VertebraLabel,
)
from dicom_ai.domain.image import Radiograph, SourceImage
from dicom_ai.domain.study import Header
from dicom_ai.imaging.contours import outer_contour
from dicom_ai.measurements.radiograph_angles import Body, lordosis_deg, slip_share
from dicom_ai.measurements.radiograph_shape import Quad, quad_of
from dicom_ai.measurements.table import quantity

NO_SIDE = "the anterior side is not certain"
NO_SCALE = "the film has no pixel spacing that is calibrated at the patient"
NO_BODY = "the body is cut off by the border, or its outline has no four sides"
LOCATED = "located as a reference vertebra; its outline is not that of its body"

ANGLES = (("angle_c2_c7", "C2", "bottom", "C7", "bottom"), ("angle_l1_s1", "L1", "top", "S1", "top"))
"""Key, then level and endplate above and below: the Cobb angles of the neck and of the lumbar spine."""

_AXIS = "C2"
_REFERENCES = (_AXIS, SACRUM)
_DESCRIPTIONS = ("SeriesDescription", "StudyDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
_POSTURES = {
    "standing": ("stand", "upright", "erect"),
    "sitting": ("sitting", "seated"),
    "supine": ("supine", "lying", "x-table", "crosstable", "cross-table"),
    "flexion": ("flexion", " flex"),
    "extension": ("extension", " ext "),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """A vertebra with its corners. body: None where the anterior side is not known. whole: not cut by the border."""

    label: VertebraLabel
    segment: Segment
    mask: np.ndarray = field(repr=False)
    quad: Quad | None
    body: Body | None
    whole: bool

    @property
    def measurable(self) -> Body | None:
        """The body where all of it is seen and is one: not a reference vertebra, of which one endplate is real."""
        return self.body if self.whole and self.label.level not in _REFERENCES else None


def radiograph_findings(
    source: SourceImage, segmentation: Segmentation, *, endplates: bool = False, notes: tuple[str, ...] = ()
) -> tuple[Finding, ...]:
    """Return the findings of a lateral film. notes: for the findings that depend on posture.

    endplates: whether the outlines follow the endplates closely, also that of C2; straight ones make the biconcavity
        ratio 1 whatever is there.
    """
    if not isinstance(source.image, Radiograph) or not segmentation.vertebrae:
        return ()
    facing = facing_of(segmentation.vertebrae)
    row = measured_row(source.image, segmentation, facing)
    scale = source.image.pixel_spacing_mm is not None
    found = [
        _vertebra(source, one, row[place + 1] if place + 1 < len(row) else None, scale, endplates)
        for place, one in enumerate(row)
    ]
    return (*found, *angle_findings(source, row, facing, notes, endplates=endplates))


def posture(header: Header) -> tuple[str, ...]:
    """Return how the patient stood or lay as far as descriptions say it: angles mean nothing without."""
    text = " ".join(header[keyword].text for keyword in _DESCRIPTIONS if keyword in header).lower() + " "
    found = [name for name, words in _POSTURES.items() if any(word in f" {text}" for word in words)]
    return (f"posture according to the descriptions: {', '.join(found)}" if found else "posture not known",)


def facing_of(vertebrae: Sequence[VertebraLabel]) -> int:
    """Return where anterior is from the vertebrae's points: 1 at larger columns, -1 at smaller ones, 0 not known.

    Points are (0, posterior, head) in a film whose anterior side is known, else (column, 0, head).
    """
    along = float(np.sum([vertebra.centroid_mm[1] for vertebra in vertebrae]))
    return -int(np.sign(along))


def measured_row(film: Radiograph, segmentation: Segmentation, facing: int) -> list[Measured]:
    """Return the vertebrae from above with their corners."""
    upside_down = len(film.patient_orientation) == 2 and film.patient_orientation[1].startswith("H")
    labels = segmentation.labels[::-1] if upside_down else segmentation.labels
    rows_mm, columns_mm = film.pixel_spacing_mm or (1.0, 1.0)
    scale = np.array([columns_mm, rows_mm])
    segments = {segment.number: segment for segment in segmentation.segments}
    row = []
    for vertebra in segmentation.vertebrae:
        mask = labels == vertebra.segment_number
        down = vertebra.lower_mm - vertebra.upper_mm
        across = -facing * down[1] if facing else down[0]
        quad = quad_of(mask, np.array([across, -down[2]]) / scale)
        body = Body.of(quad, facing=facing, scale=scale) if quad and facing else None
        native = mask[::-1] if upside_down else mask
        row.append(Measured(vertebra, segments[vertebra.segment_number], native, quad, body, not _cut(mask)))
    return row


def angle_findings(
    source: SourceImage, row: Sequence[Measured], facing: int, notes: tuple[str, ...] = (), *, endplates: bool = False
) -> tuple[Finding, ...]:
    """Return the angles whose two vertebrae are both there. endplates: as in radiograph_findings."""
    known = {one.label.level: one for one in row if one.label.level}
    found = []
    for key, upper, upper_end, lower, lower_end in ANGLES:
        if upper not in known or lower not in known:
            continue
        above, below = known[upper], known[lower]
        value, reason = None, NO_SIDE if not facing else NO_BODY
        if facing and upper == _AXIS and not endplates:
            reason = LOCATED
        elif above.body and below.body and above.whole and below.whole:
            ends = _endplate(above.body, upper_end), _endplate(below.body, lower_end)
            value = lordosis_deg(*ends, facing=facing)
        site = f"{upper}-{lower}"
        doubt = ("levels are in doubt",) if above.label.qualified or below.label.qualified else ()
        found.append(
            Finding(
                structure=Structure(StructureKind.VERTEBRA, site),
                site=site,
                site_level=None,
                series_uid=source.series_uid,
                tracking_id=f"{site} angle",
                tracking_uid=_uid(above.segment, key),
                quantities=(quantity(key, value, reason=reason),),
                quality=Quality.FAIL if value is None else Quality.WARN if doubt else Quality.PASS,
                notes=(*doubt, *notes),
                contour=_contour(source, above.mask, locates_only=True),
            )
        )
    return tuple(found)


def _vertebra(
    source: SourceImage, one: Measured, below: Measured | None, calibrated: bool, biconcavity: bool
) -> Finding:
    located = one.label.level in _REFERENCES
    quantities = () if located else _numbers(one, below, calibrated, biconcavity)
    notes = (LOCATED,) if located else ()
    if one.label.anchor and one.label.level not in (None, SACRUM):
        notes = (*notes, f"level {one.label.anchor}")
    good = located or one.measurable is not None
    quality = Quality.WARN if one.label.qualified or not one.label.level or not good else Quality.PASS
    return Finding(
        structure=one.segment.structure,
        site=one.label.level or one.label.name,
        site_level=one.label.level,
        series_uid=source.series_uid,
        tracking_id=one.segment.tracking_id,
        tracking_uid=one.segment.tracking_uid,
        quantities=quantities,
        quality=quality,
        notes=notes,
        contour=_contour(source, one.mask, locates_only=located),
        segment_number=one.segment.number,
    )


def _numbers(one: Measured, below: Measured | None, calibrated: bool, biconcavity: bool) -> tuple[Quantity, ...]:
    body = one.measurable
    reason = NO_BODY if one.body or not one.whole or one.quad is None else NO_SIDE
    heights = [("height_anterior", "anterior_height"), ("height_posterior", "posterior_height")]
    heights += [("height_middle", "middle_height")] if biconcavity else []
    found = [
        quantity(key, getattr(body, name) if body and calibrated else None, reason=NO_SCALE if body else reason)
        for key, name in heights
    ]
    found.append(quantity("wedge_ratio", body.wedge_ratio if body else None, reason=reason))
    if biconcavity:
        found.append(quantity("biconcave_ratio", body.biconcavity_ratio if body else None, reason=reason))
    lower = below.body if below and below.whole and _next_to(one, below) else None
    if body and lower:
        found.append(quantity("slip", 100 * slip_share(body, lower)))
    return tuple(found)


def _next_to(above: Measured, below: Measured) -> bool:
    """Whether no vertebra is missing between two: their discs are lower than half a body."""
    gap = float(np.linalg.norm(below.label.upper_mm - above.label.lower_mm))
    height = float(np.linalg.norm(above.label.upper_mm - above.label.lower_mm))
    return gap < 0.6 * height


def _endplate(body: Body, which: str) -> tuple[np.ndarray, np.ndarray]:
    return (body.top_back, body.top_front) if which == "top" else (body.bottom_back, body.bottom_front)


def _cut(mask: np.ndarray) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def _contour(source: SourceImage, mask: np.ndarray, *, locates_only: bool) -> Contour | None:
    return Contour(source.series_uid, 0, outer_contour(mask), locates_only) if mask.any() else None


def _uid(segment: Segment, key: str) -> str:
    return f"2.25.{uuid5(NAMESPACE_OID, f'{segment.tracking_uid} {key}').int}"
