"""From single vertebrae and discs in sagittal MR to findings: heights, depth, ratios, disc heights, volumes and angles.

Bodies are measured slice by slice within MIDDLE_MM of their centre, on the corners of their outline in the slice; the
median over the slices is reported. C2 (its dens) and bodies that the border cuts are located and not measured.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from dicom_ai.domain.findings import (
    Contour,
    Finding,
    Quality,
    Quantity,
    Segment,
    Segmentation,
    StructureKind,
    VertebraLabel,
)
from dicom_ai.domain.image import SourceImage, Volume
from dicom_ai.imaging.contours import outer_contour
from dicom_ai.measurements.radiograph_angles import Body, lordosis_deg
from dicom_ai.measurements.radiograph_shape import quad_of
from dicom_ai.measurements.table import quantity

MIDDLE_MM = 4.0
"""How far from the centre of a body slices are measured, on both sides."""
NO_BODY = "the body is cut by the border, or its outline has no four sides"
NO_NEIGHBOURS = "the body above or below was not measured"
LOCATED = "located as a reference vertebra; not measured, for its outline is not that of a body"
NO_LEVEL = "its level is not known"


@dataclass(frozen=True, slots=True)
class SagittalView:
    """How the slices of a volume lie in the body. scale: mm per pixel, (column, row). facing: 1 where the front of the
    body is at larger columns, else -1. upside_down: whether rows run from feet to head.
    """

    volume: Volume
    scale: np.ndarray = field(repr=False)
    facing: int
    upside_down: bool

    def upright(self, mask: np.ndarray) -> np.ndarray:
        """Return a slice, (rows, columns), with its rows from head to feet."""
        return mask[::-1] if self.upside_down else mask

    def downwards(self, above_mm: np.ndarray, below_mm: np.ndarray) -> np.ndarray:
        """Return the (column, row) direction from one point to another in an upright slice, pixels."""
        start, end = self.volume.to_indices(np.array([above_mm, below_mm]))
        step = (end - start)[[2, 1]]
        return step * (1.0, -1.0) if self.upside_down else step


@dataclass(frozen=True, slots=True)
class MeasuredBody:
    """A vertebra with its corners per slice. shapes: slice index -> body in mm; empty where it cannot be measured."""

    label: VertebraLabel
    segment: Segment
    slice_index: int
    shapes: dict[int, Body] = field(repr=False)

    def median(self, value: Callable[[Body], float]) -> float | None:
        """Return the median of a number over the measured slices."""
        return float(np.median([value(body) for body in self.shapes.values()])) if self.shapes else None


def vertebra_findings(source: SourceImage, segmentation: Segmentation) -> tuple[Finding, ...]:
    """Return one finding per vertebra and per disc, from above; empty where the slices are not sagittal.

    Every finding has the outline of its structure in the slice nearest to its centre.
    """
    if not isinstance(source.image, Volume) or not segmentation.vertebrae:
        return ()
    view = sagittal_view(source.image)
    if view is None:
        return ()
    row = [measured_body(view, segmentation, place) for place in range(len(segmentation.vertebrae))]
    found = [_vertebra(source, segmentation, row, place) for place in range(len(row))]
    discs = [segment for segment in segmentation.segments if segment.structure.kind is StructureKind.DISC]
    found += [_disc(source, segmentation, view, row, disc) for disc in discs]
    return tuple(finding for finding in found if finding is not None)


def sagittal_view(volume: Volume) -> SagittalView | None:
    """Return how the slices lie, or None where they are not sagittal."""
    normal, down, back = volume.directions.T
    if int(np.argmax(np.abs(normal))) != 0 or int(np.argmax(np.abs(back))) != 1:
        return None
    return SagittalView(volume, volume.spacing_mm[[2, 1]], -int(np.sign(back[1])), bool(down[2] > 0))


def measured_body(view: SagittalView, segmentation: Segmentation, place: int) -> MeasuredBody:
    """Return the vertebra at a place of the row, with its corners in the slices around its centre."""
    labels, vertebrae = segmentation.labels, segmentation.vertebrae
    vertebra = vertebrae[place]
    segment = next(s for s in segmentation.segments if s.number == vertebra.segment_number)
    above, below = vertebrae[max(0, place - 1)], vertebrae[min(len(vertebrae) - 1, place + 1)]
    alone = above is below
    ends = (vertebra.upper_mm, vertebra.lower_mm) if alone else (above.centroid_mm, below.centroid_mm)
    down = view.downwards(*ends)
    middle = _middle_slice(labels, vertebra.segment_number)
    reach = max(0, int(MIDDLE_MM / view.volume.spacing_mm[0]))
    shapes = {}
    if vertebra.level != "C2":
        for index in range(max(0, middle - reach), min(len(labels), middle + reach + 1)):
            mask = view.upright(labels[index] == vertebra.segment_number)
            quad = None if _cut(mask) else quad_of(mask, down)
            if quad is not None:
                shapes[index] = Body.of(quad, facing=view.facing, scale=view.scale)
    return MeasuredBody(vertebra, segment, middle, shapes)


def _middle_slice(labels: np.ndarray, number: int) -> int:
    return int(np.median(np.nonzero(labels == number)[0]))


def _cut(mask: np.ndarray) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any() or not mask.any())


def _depth(body: Body) -> float:
    """Mean length of the two endplates from back to front."""
    upper = np.linalg.norm(body.top_front - body.top_back)
    lower = np.linalg.norm(body.bottom_front - body.bottom_back)
    return float(upper + lower) / 2


def _mean_height(body: Body) -> float:
    return (body.anterior_height + body.middle_height + body.posterior_height) / 3


_NUMBERS: tuple[tuple[str, Callable[[Body], float]], ...] = (
    ("height_anterior", lambda body: body.anterior_height),
    ("height_middle", lambda body: body.middle_height),
    ("height_posterior", lambda body: body.posterior_height),
    ("body_depth", _depth),
    ("wedge_ratio", lambda body: body.wedge_ratio),
    ("biconcave_ratio", lambda body: body.biconcavity_ratio),
)


def _vertebra(
    source: SourceImage, segmentation: Segmentation, row: Sequence[MeasuredBody], place: int
) -> Finding | None:
    one = row[place]
    located = one.label.level == "C2"
    quantities: tuple[Quantity, ...] = ()
    if not located:
        quantities = tuple(quantity(key, one.median(value), reason=NO_BODY) for key, value in _NUMBERS)
        quantities += (_compression(row, place),)
    notes = (LOCATED,) if located else ()
    return _finding(source, segmentation, one.segment, quantities, [one.label], notes)


def _compression(row: Sequence[MeasuredBody], place: int) -> Quantity:
    """Return the height of a body over the mean of its neighbours' heights."""
    heights = [row[at].median(_mean_height) if 0 <= at < len(row) else None for at in (place - 1, place, place + 1)]
    above, own, below = heights
    neighbours = [height for height in (above, below) if height is not None]
    value = own / float(np.mean(neighbours)) if own is not None and neighbours else None
    return quantity("compress_ratio", value, reason=NO_BODY if own is None else NO_NEIGHBOURS)


def _disc(
    source: SourceImage,
    segmentation: Segmentation,
    view: SagittalView,
    row: Sequence[MeasuredBody],
    disc: Segment,
) -> Finding | None:
    mask = segmentation.labels == disc.number
    volume_mm3 = float(mask.sum()) * float(np.prod(view.volume.spacing_mm))
    centre = view.volume.to_mm(np.argwhere(mask).mean(axis=0))
    above = [one for one in row if float(one.label.centroid_mm[2]) > float(centre[2])]
    below = [one for one in row if float(one.label.centroid_mm[2]) < float(centre[2])]
    heights, angles = _across(above[-1:], below[:1], view.facing)
    quantities = (
        quantity("disc_height", float(np.median(heights)) if heights else None, reason=NO_NEIGHBOURS),
        quantity("disc_angle", float(np.median(angles)) if angles else None, reason=NO_NEIGHBOURS),
        quantity("disc_volume", volume_mm3),
    )
    labels = [one.label for one in (*above[-1:], *below[:1])]
    return _finding(source, segmentation, disc, quantities, labels)


def _across(
    above: Sequence[MeasuredBody], below: Sequence[MeasuredBody], facing: int
) -> tuple[list[float], list[float]]:
    """Return height and angle between two bodies in each slice in which both were measured."""
    heights, angles = [], []
    for upper in above:
        for lower in below:
            for index in sorted(upper.shapes.keys() & lower.shapes.keys()):
                top, bottom = upper.shapes[index], lower.shapes[index]
                gaps = (top.bottom_back - bottom.top_back, top.bottom_front - bottom.top_front)
                heights.append(float(np.mean([np.linalg.norm(gap) for gap in gaps])))
                ends = (top.bottom_back, top.bottom_front), (bottom.top_back, bottom.top_front)
                angles.append(lordosis_deg(*ends, facing=facing))
    return heights, angles


def _level_notes(labels: Sequence[VertebraLabel]) -> tuple[str, ...]:
    anchors = sorted({label.anchor for label in labels if label.anchor})
    unknown = any(label.level is None for label in labels)
    return (*(f"level {anchor}" for anchor in anchors), *((NO_LEVEL,) if unknown else ()))


def _finding(
    source: SourceImage,
    segmentation: Segmentation,
    segment: Segment,
    quantities: tuple[Quantity, ...],
    vertebrae: Sequence[VertebraLabel],
    notes: tuple[str, ...] = (),
) -> Finding | None:
    index = _middle_slice(segmentation.labels, segment.number)
    mask = segmentation.labels[index] == segment.number
    if not mask.any():
        return None
    doubtful = any(one.qualified or one.level is None for one in vertebrae)
    doubtful = doubtful or any(one.value is None for one in quantities)
    return Finding(
        structure=segment.structure,
        site=segment.structure.level or segment.structure.name,
        site_level=segment.structure.level,
        series_uid=source.series_uid,
        tracking_id=segment.tracking_id,
        tracking_uid=segment.tracking_uid,
        quantities=quantities,
        quality=Quality.WARN if doubtful else Quality.PASS,
        notes=(*notes, *_level_notes(vertebrae)),
        contour=Contour(source.series_uid, index, outer_contour(mask)),
        segment_number=segment.number,
    )
