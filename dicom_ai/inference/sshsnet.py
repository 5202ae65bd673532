"""The family "sshsnet": vertebrae and discs one by one, with levels, in sagittal MR (arXiv 2203.12151, stage 1).

    source -> sagittal grid of the model -> every few slices: where the spine is -> its box in every slice, in windows
           -> probabilities smoothed across slices -> classes -> single vertebrae and discs -> native grid -> levels

A slice goes in with its neighbours on both sides as channels. Each window is normalised by itself, as in training.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage, special

from dicom_ai.anatomy.levels import SACRUM, disc_between
from dicom_ai.anatomy.separation import ClassValues, Parts, joints, separate
from dicom_ai.anatomy.vertebrae import label_segmentation
from dicom_ai.domain.findings import Segment, Segmentation, Structure, StructureKind
from dicom_ai.domain.image import SourceImage, Volume
from dicom_ai.domain.model import ModelReference
from dicom_ai.errors import UnsuitableImage
from dicom_ai.imaging.intensity import finite
from dicom_ai.imaging.resample import grid_for, resample_onto
from dicom_ai.inference.manifest import Manifest
from dicom_ai.inference.predictor import Progress, Runners, check_input, reference_of
from dicom_ai.inference.runtime import Runner
from dicom_ai.inference.segments import new_segment
from dicom_ai.inference.sliding_window import Window, sliding_window

if TYPE_CHECKING:
    from torch import nn

ORIENTATION = "LIP"
"""Slices from right to left, rows from head to foot, columns from front to back."""
LEAST_JOINTS = 2
"""Fewer discs between two bones are no spine."""
LEAST_JOINED, SURE_SPINE = 0.6, 0.8
"""Where discs lie in less than this share of the gaps between bones, they are not told apart: nothing is counted, and
below this score it is no spine. In the images of 23 people the share was 0.83 and more; in white noise, in which 8 to
18 bones are found, 0.57 and less with scores up to 0.73. Bones that weak weights took apart had scores of 0.9."""
SURE_SACRUM = 0.45
"""Levels are counted from a sacrum only where its class has at least this mean probability in it. Of 29 people of the
training in whom one is found, 27 have more, 20 at least 0.9; an L5 that the border cut was taken for it with 0.37."""


@dataclass(frozen=True, slots=True)
class Options:
    """The table [family_options] of this family.

    net: of nets.deeplabv3plus.CONFIGS, for the torch runtime. neighbours_mm: distance of the slices that go in as
    channels beside the one in question. look_mm: distance of the slices of the first look. margin_mm: kept around the
    spine. overlap: of the windows. smooth_mm: standard deviation of the smoothing across slices.
    """

    net: str
    neighbours_mm: float
    look_mm: float
    margin_mm: float
    overlap: float
    smooth_mm: float


def load(manifest: Manifest, runners: Runners) -> "SSHSNetPredictor":
    """Return the predictor; raises ModelError."""
    return SSHSNetPredictor(manifest, read_options(manifest), runners.open("main"))


def read_options(manifest: Manifest) -> Options:
    """Parse and validate [family_options]; raises ModelError naming the key."""
    table = manifest.options_table()
    options = Options(
        net=table.text("net", "compact"),
        neighbours_mm=table.number("neighbours_mm", 3.0, least=0.1),
        look_mm=table.number("look_mm", 6.0, least=0.1),
        margin_mm=table.number("margin_mm", 16.0, least=0.0),
        overlap=table.number("overlap", 0.35, least=0.0, most=0.9),
        smooth_mm=table.number("smooth_mm", 1.0, least=0.0),
    )
    table.done()
    kinds = [output.structure.kind for output in manifest.outputs]
    if len(manifest.input.patch) != 3 or len(manifest.input.spacing_mm) != 3:
        raise table.wrong("net", "this family needs patch and spacing_mm of three axes in [input]")
    if StructureKind.VERTEBRA not in kinds or StructureKind.DISC not in kinds:
        raise table.wrong("net", "this family needs outputs of the kinds vertebra and disc")
    return options


def build_net(manifest: Manifest, role: str) -> "nn.Module":
    """Return the untrained network for the torch runtime."""
    from dicom_ai.nets.deeplabv3plus import CONFIGS, DeepLabV3Plus
    from dicom_ai.nets.fold import folded

    options = read_options(manifest)
    if options.net not in CONFIGS:
        raise manifest.options_table().wrong("net", f"{options.net!r} is not one of {', '.join(CONFIGS)}")
    return folded(DeepLabV3Plus(CONFIGS[options.net]))


class SSHSNetPredictor:
    """A predictor of this family."""

    def __init__(self, manifest: Manifest, options: Options, runner: Runner) -> None:
        self.manifest = manifest
        self._options = options
        self._runner = runner
        self._values = _class_values(manifest)

    @property
    def reference(self) -> ModelReference:
        """What identifies the model in results."""
        return reference_of(self.manifest, self._runner)

    def accepts(self, image: SourceImage, *, modality: str) -> None:
        """Raise UnsuitableImage where the manifest's [input] does not allow the image."""
        check_input(self.manifest.input, image, modality=modality)

    def predict(self, image: SourceImage, *, progress: Progress | None = None) -> Segmentation:
        """Return vertebrae and discs on the native grid, with levels where an anchor allows them."""
        if not isinstance(image.image, Volume):
            raise UnsuitableImage(f"series {image.series_uid}: a projection image where the model takes a volume")
        native = image.image
        cleaned = finite(native.voxels)
        notes = [f"{cleaned.replaced} values were not finite and were replaced"] if cleaned.replaced else []
        grid = grid_for(native, spacing_mm=self.manifest.input.spacing_mm, orientation=ORIENTATION)
        sagittal = resample_onto(native.with_voxels(cleaned.values), grid)
        sure = self._probabilities(sagittal, progress)
        classes = sure.argmax(axis=0).astype(np.uint8)
        parts = separate(classes, self._values, sagittal.spacing_mm.tolist())
        score = _score(sure, parts)
        notes += [parts.doubt] * bool(parts.doubt)
        joined = joints(parts, sagittal.spacing_mm.tolist())
        bones = len(parts.vertebrae) + (parts.sacrum is not None)
        apart = joined >= LEAST_JOINED * (bones - 1)
        least = self.manifest.found_threshold if apart else SURE_SPINE
        if joined < LEAST_JOINTS or score < least:
            needed = f"{least:g} and {LEAST_JOINTS} are needed"
            notes.append(f"no spine found: score {score:.2f}, {joined} discs between {bones} bones, where {needed}")
            return Segmentation(np.zeros(native.shape, np.uint8), (), score, notes=tuple(notes))
        inside = np.where(parts.labels > 0, 1.0 - sure[0], 0.0).astype(np.float32)
        labels = on_native(parts.labels, inside, sagittal, native)
        certainty = _certainty(sure, parts, self._values)
        if parts.sacrum is not None and certainty < SURE_SACRUM:
            notes.append(
                f"the sacrum is not sure ({certainty:.2f} where {SURE_SACRUM:g} is needed) and was not counted from"
            )
        if not apart:
            notes.append(f"{joined} discs between {bones} bones: they are not told apart well enough to be counted")
            parts = replace(parts, c2=None)
        return named(labels, parts, native, score=score, notes=notes, counted=apart and certainty >= SURE_SACRUM)

    def _probabilities(self, sagittal: Volume, progress: Progress | None) -> np.ndarray:
        """Return the probability of each class, float32, shape (classes, slices, rows, columns)."""
        slices = sagittal.shape[0]
        every = max(1, round(self._options.look_mm / sagittal.spacing_mm[0]))
        whole = (slice(0, sagittal.shape[1]), slice(0, sagittal.shape[2]))
        looks = range((slices - 1) % every // 2, slices, every)
        first = np.stack(list(self._slices(sagittal, looks, whole, 0.0, _share(progress, 0.0, 0.4))), axis=1)
        bones = np.isin(first.argmax(axis=0), [v for v in _bone_values(self._values) if v] + [self._values.disc])
        found = _box(bones, np.ceil(self._options.margin_mm / sagittal.spacing_mm[1:]), sagittal.shape[1:])
        result = np.zeros((first.shape[0], *sagittal.shape), np.float32)
        result[0] = 1.0
        if found is not None:
            seconds = self._slices(sagittal, range(slices), found, self._options.overlap, _share(progress, 0.4, 1.0))
            inside = np.stack(list(seconds), axis=1)
            if self._options.smooth_mm:
                sigma = self._options.smooth_mm / sagittal.spacing_mm[0]
                inside = ndimage.gaussian_filter1d(inside, sigma, axis=1, mode="nearest")
            result[:, :, found[0], found[1]] = inside
        if progress is not None:
            progress(1.0)
        return result

    def _slices(
        self,
        sagittal: Volume,
        places: Sequence[int],
        box: tuple[slice, slice],
        overlap: float,
        progress: Progress | None,
    ) -> "Sequence[np.ndarray]":
        """Return the probabilities of some slices in a box of the plane, each (classes, rows, columns)."""
        apart = max(1, round(self._options.neighbours_mm / sagittal.spacing_mm[0]))
        window = Window(self.manifest.input.patch[1:], overlap, padding="edge")
        last = sagittal.shape[0] - 1
        found = []
        for count, place in enumerate(places, start=1):
            channels = sagittal.voxels[[max(0, place - apart), place, min(last, place + apart)]][:, box[0], box[1]]
            found.append(special.softmax(sliding_window(channels, window, self._logits), axis=0).astype(np.float32))
            if progress is not None:
                progress(count / len(places))
        return found

    def _logits(self, tile: np.ndarray) -> np.ndarray:
        spread = float(tile.std())
        return self._runner.run(((tile - tile.mean()) / (spread + 1e-6)).astype(np.float32))[0]


def _class_values(manifest: Manifest) -> ClassValues:
    def value(kind: StructureKind, level: str | None = None) -> int:
        fitting = [o.value for o in manifest.outputs if o.structure.kind is kind and o.structure.level == level]
        return fitting[0] if fitting else 0

    return ClassValues(
        vertebra=value(StructureKind.VERTEBRA),
        disc=value(StructureKind.DISC),
        c2=value(StructureKind.VERTEBRA, "C2"),
        sacrum=value(StructureKind.SACRUM),
        canal=value(StructureKind.SPINAL_CANAL),
    )


def _bone_values(values: ClassValues) -> tuple[int, int, int]:
    return values.vertebra, values.c2, values.sacrum


def _box(mask: np.ndarray, margin: np.ndarray, shape: Sequence[int]) -> tuple[slice, slice] | None:
    """Return the rows and columns that hold the largest pieces of a mask of single slices, with a margin."""
    kept = np.zeros(mask.shape[1:], bool)
    for one in mask:
        pieces, count = ndimage.label(ndimage.binary_dilation(one, iterations=3))
        if count:
            sizes = np.bincount(pieces[one], minlength=count + 1)
            sizes[0] = 0
            kept |= one & (sizes >= 0.3 * sizes.max())[pieces]
    if not kept.any():
        return None
    places = np.argwhere(kept)
    low = np.maximum(places.min(axis=0) - margin, 0).astype(int)
    high = np.minimum(places.max(axis=0) + margin + 1, shape).astype(int)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def _score(sure: np.ndarray, parts: Parts) -> float:
    """Return the mean probability of the chosen class over the vertebrae, 0 where there are none."""
    bones = np.isin(parts.labels, parts.vertebrae)
    return float(sure[1:].max(axis=0)[bones].mean()) if bones.any() else 0.0


def _certainty(sure: np.ndarray, parts: Parts, values: ClassValues) -> float:
    """Return the mean probability of the sacrum's class in the sacrum, 0 where there is none."""
    if parts.sacrum is None:
        return 0.0
    return float(sure[values.sacrum][parts.labels == parts.sacrum].mean())


def on_native(labels: np.ndarray, inside: np.ndarray, of: Volume, native: Volume) -> np.ndarray:
    """Return labels on the native grid: the outline from the soft foreground, the label from the nearest voxel.

    inside: probability that a voxel is any structure, 0 where it has no label; labels, inside: on the grid `of`.
    """
    nearest = ndimage.distance_transform_edt(
        labels == 0, sampling=of.spacing_mm, return_distances=False, return_indices=True
    )
    filled = resample_onto(of.with_voxels(labels[tuple(nearest)]), native, order=0).voxels
    soft = resample_onto(of.with_voxels(np.where(labels > 0, np.maximum(inside, 0.5), 0.0)), native, smooth=False)
    share = soft.voxels >= 0.25
    kept = resample_onto(of.with_voxels(labels), native, order=0).voxels
    return np.where(share & ((kept > 0) | (soft.voxels >= 0.4)), filled, 0).astype(np.uint16)


def named(
    labels: np.ndarray,
    parts: Parts,
    native: Volume,
    *,
    score: float,
    notes: Sequence[str] = (),
    counted: bool = True,
) -> Segmentation:
    """Return the segmentation with its segments numbered from above, named by the levels that its anchors carry.

    counted: whether the sacrum may be one of them.
    """
    order = [number for number in _ordered(parts) if (labels == number).any()]
    table = np.zeros(int(labels.max(initial=0)) + 1, np.uint8 if len(order) < 256 else np.uint16)
    for number, old in enumerate(order, start=1):
        table[old] = number
    new = {old: number for number, old in enumerate(order, start=1)}
    numbered = table[labels]
    drafts = (_draft(parts, old, number) for old, number in new.items() if counted or old != parts.sacrum)
    draft = Segmentation(numbered, tuple(drafts), score)
    labelling = label_segmentation(draft, native)
    names = {vertebra.segment_number: vertebra for vertebra in labelling.labels}
    structures: dict[int, Structure] = {}
    for old, number in new.items():
        if number in names:
            structures[old] = Structure(StructureKind.VERTEBRA, names[number].name, names[number].level)
    if parts.sacrum in new:
        structures[parts.sacrum] = Structure(StructureKind.SACRUM, "First sacral vertebra")
    structures |= _disc_structures(parts, structures, new)
    if parts.canal in new:
        structures[parts.canal] = Structure(StructureKind.SPINAL_CANAL, "Spinal canal")
    segments = tuple(new_segment(number, structures[old]) for old, number in new.items())
    return Segmentation(numbered, segments, score, notes=(*notes, *labelling.notes), vertebrae=labelling.labels)


def _ordered(parts: Parts) -> list[int]:
    """Return the labels of vertebrae, sacrum, discs and canal in the order of the segments."""
    others = [number for number in (parts.sacrum, *(disc.label for disc in parts.discs), parts.canal) if number]
    return [*parts.vertebrae, *others]


def _draft(parts: Parts, old: int, number: int) -> Segment:
    """Return a segment before its level is known; only the candidate for C2 carries one."""
    kind = StructureKind.OTHER
    if old in parts.vertebrae:
        kind = StructureKind.VERTEBRA
    elif old == parts.sacrum:
        kind = StructureKind.SACRUM
    elif old != parts.canal:
        kind = StructureKind.DISC
    return Segment(number, Structure(kind, "", "C2" if old == parts.c2 else None), "", "")


def _disc_structures(parts: Parts, structures: dict[int, Structure], new: dict[int, int]) -> dict[int, Structure]:
    column = [*parts.vertebrae, *([parts.sacrum] if parts.sacrum else [])]
    found = {}
    for place, disc in enumerate((disc for disc in parts.discs if disc.label in new), start=1):
        level = None
        if disc.above is not None and disc.below is not None:
            level = _disc_level(structures.get(column[disc.above]), structures.get(column[disc.below]))
        found[disc.label] = Structure(StructureKind.DISC, f"{level} disc" if level else f"Disc {place}", level)
    return found


def _disc_level(above: Structure | None, below: Structure | None) -> str | None:
    if above is None or below is None or above.level is None:
        return None
    lower = SACRUM if below.kind is StructureKind.SACRUM else below.level
    try:
        return disc_between(above.level, lower or "")
    except ValueError:
        return None


def _share(progress: Progress | None, low: float, high: float) -> Progress | None:
    """Return a progress for one of several passes."""
    return None if progress is None else lambda share: progress(low + (high - low) * share * 0.999)
