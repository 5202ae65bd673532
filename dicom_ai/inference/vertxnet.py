"""The family "vertxnet": vertebral bodies of a lateral radiograph and their levels (after arXiv 2207.05476).

    film -> U-Net on a coarse grid -> how large a vertebra is here -> U-Net on the grid it was trained for
         -> bodies (ensemble rule; with detections where the model has a Mask R-CNN) -> C2, S1 -> levels -> native grid

A film without a lateral column gives no segment. Without a reference vertebra there are no levels. Which side is
anterior is read from the image and compared with PatientOrientation; the points of the vertebrae are (0, posterior,
head) where that side is known, else (column, 0, head), in mm where the film is calibrated and in pixels where not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from dicom_ai.anatomy.instances import Instance, spacing
from dicom_ai.anatomy.labeling import Anchors, Labelling, label
from dicom_ai.anatomy.levels import SACRUM, STANDARD
from dicom_ai.domain.findings import Segment, Segmentation, Structure, StructureKind, VertebraLabel
from dicom_ai.domain.image import Radiograph, SourceImage
from dicom_ai.domain.model import ModelReference
from dicom_ai.errors import ModelError, UnsuitableImage
from dicom_ai.imaging.intensity import finite
from dicom_ai.inference.manifest import Manifest
from dicom_ai.inference.maskrcnn import ROLES as DETECTOR_ROLES
from dicom_ai.inference.maskrcnn import MaskRCNNRunner
from dicom_ai.inference.predictor import Progress, Runners, check_input, reference_of
from dicom_ai.inference.runtime import Runner
from dicom_ai.inference.segments import new_segment
from dicom_ai.inference.vertebra_ensemble import Body
from dicom_ai.inference.vertxnet_networks import Column, Networks
from dicom_ai.measurements.radiograph_shape import quad_of

if TYPE_CHECKING:
    from torch import nn

COARSE_LONG_SIDES = (640, 384, 240)
"""Grids of the first pass: whole spines and regions; films of a few vertebrae."""
BODY_PX, SIZES = 30.0, (11.0, 55.0)
"""Size of a body on the grid of the second pass; the network was trained for 13 to 48."""
LONGEST_SIDE, SMALLEST_SIDE = 1536, 96
STEPS, ALIKE, SURE_BODY = ((0.85, 1.65), (2.1, 2.9)), 1.3, 0.7
"""Between centres, in bodies: to the next one, over a missing one. Neighbours differ in size by less than ALIKE, and
their mean probability is at least SURE_BODY: only then levels are counted past them."""
C2_STEPS = ((0.85, 2.1),)
"""From C2, whose dens lifts its centre: 1.3 to 1.9 bodies to C3, where C4 would be 2.6 away."""
NEAR = 3
"""Bodies whose median says how large one is at an end of a stretch."""
STEP, MEETING = 1.15, (0.7, 0.15)
"""Between centres of neighbours, in bodies; and how far the counts from both ends may be apart from the room between
them, in steps: so many, and so much of the room."""
OUTLINE, RIM_PX = 0.3, 3
"""Probability at which an outline runs, for the networks are less sure of a rim than of a middle: at 0.5 it held 13 %
less than the corners marked on five films, of which 4 % are waists. How far beyond 0.5 it may run, in model pixels."""
LEAST_BODIES = 2
SURE_SIDE = 0.12
"""Mean difference between front probability on both sides of the bodies from which the image itself is sure."""


@dataclass(frozen=True, slots=True)
class Options:
    """The table [family_options]. net: of nets.unet2d.CONFIGS."""

    net: str


@dataclass(frozen=True, slots=True)
class Side:
    """Where anterior is: 1 at larger columns, -1 at smaller ones, 0 not known; and why."""

    sign: int
    note: str


def load(manifest: Manifest, runners: Runners) -> "VertxNetPredictor":
    """Return the predictor; raises ModelError."""
    read_options(manifest)
    roles = {weights.role for weights in manifest.weights}
    detector = MaskRCNNRunner(runners) if roles.intersection(DETECTOR_ROLES) else None
    networks = Networks(runners.open("unet"), detector, manifest.input.patch)
    return VertxNetPredictor(manifest, networks)


def build_net(manifest: Manifest, role: str) -> "nn.Module":
    """Return the torch network of a role, without weights."""
    from dicom_ai.nets import maskrcnn, unet2d

    name = read_options(manifest).net
    if role == "unet":
        return unet2d.UNet2d(unet2d.CONFIGS[name])
    config = maskrcnn.CONFIGS[name]
    rows, columns = manifest.input.patch
    parts: dict[str, Callable[[], nn.Module]] = {
        "detector": lambda: maskrcnn.DenseHead(config, (rows, columns)),
        "detector_box": lambda: maskrcnn.BoxHead(config),
        "detector_mask": lambda: maskrcnn.MaskHead(config),
    }
    if role not in parts:
        raise ModelError(f"{manifest.name}: the family has no network with the role {role!r}")
    return parts[role]()


def read_options(manifest: Manifest) -> Options:
    """Parse and validate [family_options]; raises ModelError naming the key."""
    table = manifest.options_table()
    options = Options(table.choice("net", ("compact", "paper"), "compact"))
    table.done()
    if manifest.input.kind != "radiograph" or not manifest.input.patch:
        raise ModelError(f'{manifest.folder}: the family vertxnet needs input.kind = "radiograph" and a patch')
    return options


class VertxNetPredictor:
    """A loaded model of this family."""

    def __init__(self, manifest: Manifest, networks: Networks) -> None:
        self.manifest = manifest
        self.networks = networks
        parts = networks.detector.parts if networks.detector else ()
        self.reference: ModelReference = reference_of(manifest, networks.unet, *parts)

    def of(self, system: str) -> "VertxNetPredictor":
        """Return the same model as one of vertxnet_networks.SYSTEMS: to compare them."""
        return VertxNetPredictor(self.manifest, self.networks.of(system))

    def sharing(self, wrap: Callable[[Runner], Runner]) -> "VertxNetPredictor":
        """Return the same model with its U-Net wrapped: what is compared need not look twice."""
        return VertxNetPredictor(self.manifest, replace(self.networks, unet=wrap(self.networks.unet)))

    def accepts(self, image: SourceImage, *, modality: str) -> None:
        """Raise UnsuitableImage where the manifest's [input] does not allow the image, or it is too small."""
        check_input(self.manifest.input, image, modality=modality)
        if isinstance(image.image, Radiograph) and min(image.image.pixels.shape) < SMALLEST_SIDE:
            rows, columns = image.image.pixels.shape
            raise UnsuitableImage(f"{rows} x {columns} pixels where at least {SMALLEST_SIDE} on each side are needed")

    def predict(self, image: SourceImage, *, progress: Progress | None = None) -> Segmentation:
        """Return the bodies on the native grid, and their levels."""
        film = image.image
        assert isinstance(film, Radiograph)  # accepts() has refused everything else
        report = progress or (lambda share: None)
        pixels, upside_down = _upright(film)
        column = self._column(pixels, report)
        report(1.0)
        if column is None:
            note = f"no lateral column of vertebrae found: at least {LEAST_BODIES} bodies are needed"
            return Segmentation(np.zeros(film.pixels.shape, np.uint8), (), 0.0, notes=(note,))
        return segmentation_of(column, film, upside_down)

    def _column(self, pixels: np.ndarray, report: Progress) -> Column | None:
        """Find the column: once coarsely for its size, once on the grid that makes its bodies BODY_PX large."""
        first = [self._found(pixels, side / max(pixels.shape)) for side in COARSE_LONG_SIDES]
        report(0.4)
        best = max(first, key=_evidence)
        if len(best.row) < LEAST_BODIES:
            return None
        sizes = [body.size for body in best.row]
        scale = best.scale * BODY_PX / float(np.sqrt(np.percentile(sizes, 5) * np.percentile(sizes, 95)))
        scale = min(scale, LONGEST_SIDE / max(pixels.shape))
        found = self._found(pixels, scale, fine=True)
        good = len(found.row) >= LEAST_BODIES and _like_a_column(found.row)
        return found if good else None

    def _found(self, pixels: np.ndarray, scale: float, *, fine: bool = False) -> Column:
        return self.networks.look(reduced(pixels, scale), scale, fine=fine)


def reduced(pixels: np.ndarray, scale: float) -> np.ndarray:
    """Return a film on a grid `scale` times as fine, without aliasing."""
    if scale < 1:
        pixels = ndimage.gaussian_filter(pixels, 0.35 / scale)
    shape = [max(1, round(size * scale)) for size in pixels.shape]
    rows, columns = [(np.arange(size) + 0.5) / scale - 0.5 for size in shape]
    grid = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(ndimage.map_coordinates(pixels, grid, order=1, mode="nearest"), np.float32)


def anterior_side(column: Column, patient_orientation: Sequence[str]) -> Side:
    """Return where anterior is, as image and header say; not known where they disagree or neither is sure."""
    votes = np.array([_front_vote(body, column.front) for body in column.row])
    seen = 0
    if abs(votes.mean()) >= SURE_SIDE and (np.sign(votes) == np.sign(votes.mean())).mean() >= 0.75:
        seen = int(np.sign(votes.mean()))
    told = 0
    if patient_orientation:
        told = {"A": 1, "P": -1}.get(patient_orientation[0][:1], 0)
    if seen and told and seen != told:
        return Side(0, "image and PatientOrientation disagree about the anterior side: what depends on it is withheld")
    if not seen and not told:
        return Side(0, "the anterior side is not certain: what depends on it is withheld")
    source = "image and PatientOrientation" if seen and told else "the image" if seen else "PatientOrientation"
    return Side(seen or told, f"anterior is on the {'right' if (seen or told) > 0 else 'left'}, according to {source}")


def _upright(film: Radiograph) -> tuple[np.ndarray, bool]:
    """Return pixels from 0 to 1 with the head above; turned round where PatientOrientation says that rows run to it."""
    pixels = finite(film.pixels).values
    low, high = np.percentile(pixels, (0.5, 99.8))
    pixels = np.clip((pixels - low) / max(float(high - low), 1e-6), 0.0, 1.0).astype(np.float32)
    upside_down = len(film.patient_orientation) == 2 and film.patient_orientation[1].startswith("H")
    return (pixels[::-1] if upside_down else pixels), upside_down


def _front_vote(body: Body, front: np.ndarray) -> float:
    """Return the front probability right of the middle less that left of it."""
    rows, columns = np.nonzero(body.mask)
    right = columns > body.centre[0]
    values = front[rows, columns]
    return float(values[right].mean() - values[~right].mean()) if right.any() and not right.all() else 0.0


def _evidence(column: Column) -> float:
    """Return how much a pass has seen: regular steps between bodies of a size the network was trained for.

    They count by their scores and by their share of all steps: at a wrong scale many things look like a body.
    """
    row = column.row
    regular = [
        min(upper.score, lower.score)
        for above, (upper, lower) in enumerate(pairwise(row))
        if _regular(column, above) and SIZES[0] <= upper.size <= SIZES[1] and SIZES[0] <= lower.size <= SIZES[1]
    ]
    return sum(regular) ** 2 / max(len(row) - 1, 1)


def _like_a_column(row: Sequence[Body]) -> bool:
    """Whether neighbours lie one below the other, mostly a body or two apart."""
    centres = np.array([body.centre for body in row])
    sizes = np.array([body.size for body in row])
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1) / ((sizes[1:] + sizes[:-1]) / 2)
    return bool(np.median(steps) < 2.2)


def segmentation_of(column: Column, film: Radiograph, upside_down: bool = False) -> Segmentation:
    """Return a column on the native grid, labelled. upside_down: it was found in the film turned round."""
    shape = film.pixels.shape
    labels = np.zeros(shape, np.uint8)
    for number, body in enumerate(column.row, 1):
        window, mask = _native(body, column.scale, shape)
        labels[window][mask & (labels[window] == 0)] = number
    side = anterior_side(column, film.patient_orientation)
    to_mm = _frame(film, side)
    instances = [_instance(labels == n, n, column, to_mm) for n in range(1, len(column.row) + 1)]
    labelling, sacrum = _labelled(column, instances)
    if upside_down:
        labels = np.ascontiguousarray(labels[::-1])
    segments = tuple(_segment(instance.segment_number, labelling.labels, sacrum, column) for instance in instances)
    vertebrae = labelling.labels + ((_sacrum_label(sacrum),) if sacrum else ())
    score = float(np.mean([body.score for body in column.row]))
    return Segmentation(labels, segments, score, None, (*labelling.notes, side.note), vertebrae)


def _labelled(column: Column, instances: Sequence[Instance]) -> tuple[Labelling, Instance | None]:
    """Return the levels, and the sacrum where it was used.

    Where every step is regular, both ends count all bodies and must agree. Else each end counts as far as its steps
    are regular, and what lies between has no level: bodies that run together, fall apart, or are missed in numbers
    nobody can tell would shift every level behind them.
    """
    sacrum = instances[-1] if column.s1 else None
    row = instances[:-1] if column.s1 else instances
    c2 = instances[0].segment_number if column.c2 else None
    breaks = _breaks(column, instances)
    if not breaks:
        return label(row, Anchors(c2=c2, sacrum=sacrum)), sacrum
    upper = row[: breaks[0] + 1] if column.c2 and breaks[0] else []  # C2 with nothing regular below it may be anything
    lower = row[breaks[-1] + 1 :] if column.s1 else []
    counts = [label(upper, Anchors(c2=c2)), label(lower, Anchors(sacrum=sacrum))]
    if upper and lower and not _meet(column, breaks, counts):
        counts = [label(upper), label(lower)]
    named = {one.segment_number: one for count in counts for one in count.labels if one.level}
    plain = label(row)
    labels = tuple(named.get(one.segment_number, one) for one in plain.labels)
    lost = f"{len(row) - len(named)} levels are withheld: the column is not regular on the way to them"
    said = [note for count, part in zip(counts, (upper, lower), strict=True) if part for note in count.notes]
    return Labelling(labels, (*(said or plain.notes), lost) if c2 or sacrum else plain.notes), sacrum


def _breaks(column: Column, instances: Sequence[Instance]) -> list[int]:
    """Return the places above the steps that are not regular.

    So is none to or from a body as tall as two. In MR that may be a block vertebra; in a film it is more often two
    bodies that ran together, or one with an outline too tall.
    """
    odd = frozenset(place for place, body in enumerate(column.row) if body is column.c2 or body is column.s1)
    blocks = spacing(instances, odd=odd).blocks
    return [above for above in range(len(column.row) - 1) if not _regular(column, above) or {above, above + 1} & blocks]


def _meet(column: Column, breaks: Sequence[int], counts: Sequence[Labelling]) -> bool:
    """Whether the levels counted from both ends leave as much room between them as the film shows.

    The room is measured in steps as long as those next to it; near both ends of a long stretch they differ.
    """
    first, last = breaks[0], breaks[-1] + 1
    upper = [one.level for one in counts[0].labels if one.level in STANDARD]
    lower = [one.level for one in counts[1].labels if one.level in STANDARD] or [SACRUM]
    if not upper:
        return True
    room = STANDARD.index(lower[0]) - STANDARD.index(upper[-1])
    ends = column.row[max(0, first + 1 - NEAR) : first + 1], column.row[last : last + NEAR]
    sizes = [float(np.median([body.size for body in end])) for end in ends]
    steps = float(np.linalg.norm(column.row[last].centre - column.row[first].centre)) / (STEP * float(np.mean(sizes)))
    return room >= 1 and abs(steps - room) <= MEETING[0] + MEETING[1] * room


def _regular(column: Column, above: int) -> bool:
    """Whether the step from one body of the row to the next is one body, or clearly one missing body, long.

    A body that fell apart makes two short steps; one that ran together with the next is larger than its neighbours.
    """
    upper, lower = column.row[above], column.row[above + 1]
    references = (upper is column.c2) + (lower is column.s1)
    height = lower.size if upper is column.c2 else upper.size if references else (upper.size + lower.size) / 2
    step = float(np.linalg.norm(lower.centre - upper.centre)) / height
    alike = bool(references) or 1 / ALIKE <= upper.size / lower.size <= ALIKE
    usual = C2_STEPS if upper is column.c2 else STEPS
    return alike and min(upper.score, lower.score) >= SURE_BODY and any(low <= step <= high for low, high in usual)


def _segment(number: int, labels: Sequence[VertebraLabel], sacrum: Instance | None, column: Column) -> Segment:
    if sacrum is not None and number == sacrum.segment_number:
        return new_segment(number, Structure(StructureKind.SACRUM, "S1", SACRUM))
    vertebra = next(one for one in labels if one.segment_number == number)
    return new_segment(number, Structure(StructureKind.VERTEBRA, vertebra.name, vertebra.level))


def _sacrum_label(sacrum: Instance) -> VertebraLabel:
    return VertebraLabel(
        SACRUM, "S1", sacrum.segment_number, "seen", False, sacrum.centroid_mm, sacrum.upper_mm, sacrum.lower_mm
    )


def _native(body: Body, scale: float, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], np.ndarray]:
    """Return the window of a body in the native image, and its mask there."""
    rows, columns = np.nonzero(body.mask)
    low = np.floor((np.array([rows.min(), columns.min()]) - RIM_PX) / scale).astype(int)
    high = np.ceil((np.array([rows.max(), columns.max()]) + RIM_PX + 1) / scale).astype(int)
    low, high = np.maximum(low, 0), np.minimum(high, shape)
    axes = [(np.arange(a, b) + 0.5) * scale - 0.5 for a, b in zip(low, high, strict=True)]
    soft = ndimage.map_coordinates(body.soft, np.meshgrid(*axes, indexing="ij"), order=1, mode="nearest")
    return (slice(low[0], high[0]), slice(low[1], high[1])), ndimage.binary_fill_holes(soft >= OUTLINE)


def _frame(film: Radiograph, side: Side) -> "Frame":
    rows_mm, columns_mm = film.pixel_spacing_mm or (1.0, 1.0)
    return Frame(rows_mm, columns_mm, side.sign)


@dataclass(frozen=True, slots=True)
class Frame:
    """From (column, row) of an upright film to points (x, y, z): z to the head, y to the back where it is known."""

    rows_mm: float
    columns_mm: float
    sign: int

    def point(self, place: np.ndarray) -> np.ndarray:
        """Return one point, shape (3,)."""
        across, head = float(place[0]) * self.columns_mm, -float(place[1]) * self.rows_mm
        return np.array([0.0, -self.sign * across, head]) if self.sign else np.array([across, 0.0, head])


def _instance(mask: np.ndarray, number: int, column: Column, frame: Frame) -> Instance:
    """Return a body as labelling sees it."""
    window = next(iter(ndimage.find_objects(mask.astype(np.uint8))), (slice(0, 0), slice(0, 0)))
    rows, columns = (places + axis.start for places, axis in zip(np.nonzero(mask[window]), window, strict=True))
    centre = np.array([columns.mean(), rows.mean()]) if len(rows) else column.row[number - 1].centre / column.scale
    downwards = _downwards(column.row, number - 1)
    quad = quad_of(mask, downwards)
    if quad is None:
        half = downwards / np.linalg.norm(downwards) * column.row[number - 1].size / column.scale / 2
        upper, lower = centre - half, centre + half
    else:
        upper, lower = quad.upper, quad.lower
    border = not len(rows) or rows.min() == 0 or rows.max() == mask.shape[0] - 1
    cut = border or columns.min() == 0 or columns.max() == mask.shape[1] - 1
    return Instance(number, frame.point(centre), frame.point(upper), frame.point(lower), whole=not cut)


def _downwards(row: Sequence[Body], place: int) -> np.ndarray:
    """Return the direction of the column at a body, (column, row)."""
    first, last = row[max(0, place - 1)], row[min(len(row) - 1, place + 1)]
    return np.asarray(last.centre - first.centre)
