"""The family "segmentation": any ONNX model from one image to scores or labels, described by its model.toml alone.

    source -> finite, normalised -> grid of the manifest (orientation, spacing) -> network, whole or in windows
           -> probabilities -> native grid -> labels -> named segments

The graph takes one float32 input (1, 1, *space), with three axes of space, or two for slices and radiographs, and gives
scores (1, classes, *space) or labels (1, *space) or (1, 1, *space). docs/howto/add-a-model.md shows one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage, special

from dicom_ai.domain.findings import Segmentation
from dicom_ai.domain.image import Radiograph, SourceImage, Volume
from dicom_ai.domain.model import ModelReference
from dicom_ai.errors import ModelError, UnsuitableImage
from dicom_ai.imaging.components import largest_component
from dicom_ai.imaging.intensity import finite, minmax, percentile_clip, zscore
from dicom_ai.imaging.resample import grid_for, resample_onto
from dicom_ai.inference.manifest import InputSpec, Manifest
from dicom_ai.inference.predictor import Progress, Runners, check_input, reference_of
from dicom_ai.inference.runtime import Runner
from dicom_ai.inference.segments import labelled
from dicom_ai.inference.sliding_window import Window, sliding_window


@dataclass(frozen=True, slots=True)
class Options:
    """The table [family_options] of this family.

    dimensions: 3 for volumes, 2 for a network that sees one slice or radiograph at a time.
    output: "scores" (one channel per class) or "labels" (the model's own argmax).
    activation: what makes probabilities of scores: "softmax" (channel 0 is background, channel v is value v),
        "sigmoid" (channel v - 1 is value v), or "none" (they are probabilities already, channels as sigmoid).
    fit: "spacing" samples at the manifest's spacing_mm, "patch" stretches the image's rows and columns to the patch.
    divisible_by: a whole image is padded to multiples of this. overlap, padding: of the windows.
    largest_component: keep only the largest piece of each segment. soft: also give the probabilities as soft mask.
    """

    dimensions: int
    output: str
    activation: str
    fit: str
    divisible_by: int
    overlap: float
    padding: str
    largest_component: bool
    soft: bool


def load(manifest: Manifest, runners: Runners) -> "SegmentationPredictor":
    """Return the predictor; raises ModelError."""
    options = read_options(manifest)
    return SegmentationPredictor(manifest, options, runners.open("main"))


def read_options(manifest: Manifest) -> Options:
    """Parse and validate [family_options]; raises ModelError naming the key."""
    table = manifest.options_table()
    options = Options(
        dimensions=table.integer("dimensions", 3, least=2, most=3),
        output=table.choice("output", ("scores", "labels"), "scores"),
        activation=table.choice("activation", ("softmax", "sigmoid", "none"), "softmax"),
        fit=table.choice("fit", ("spacing", "patch"), "spacing"),
        divisible_by=table.integer("divisible_by", 1, least=1),
        overlap=table.number("overlap", 0.5, least=0.0, most=0.9),
        padding=table.choice("padding", ("constant", "edge"), "constant"),
        largest_component=table.flag("largest_component", False),
        soft=table.flag("soft", False),
    )
    table.done()
    if options.soft and (options.output == "labels" or len(manifest.outputs) != 1):
        raise table.wrong("soft", "needs a model with scores and exactly one output")
    if options.fit == "patch" and (options.dimensions != 2 or not manifest.input.patch):
        raise table.wrong("fit", "'patch' needs dimensions = 2 and a patch")
    if options.dimensions == 3 and manifest.input.kind == "radiograph":
        raise table.wrong("dimensions", "must be 2 for a radiograph")
    if options.dimensions == 2 and len(manifest.input.patch) == 3 and manifest.input.patch[0] != 1:
        raise table.wrong("dimensions", f"2 needs a patch of one slice, not {manifest.input.patch[0]}")
    return options


class SegmentationPredictor:
    """A loaded model of this family."""

    def __init__(self, manifest: Manifest, options: Options, runner: Runner) -> None:
        self.manifest = manifest
        self.reference: ModelReference = reference_of(manifest, runner)
        self._options = options
        self._runner = runner

    def accepts(self, image: SourceImage, *, modality: str) -> None:
        """Raise UnsuitableImage where the manifest's [input] does not allow the image."""
        check_input(self.manifest.input, image, modality=modality)
        if isinstance(image.image, Radiograph) and image.image.pixel_spacing_mm is None and self._needs_spacing():
            raise UnsuitableImage(
                f"series {image.series_uid}: no calibrated pixel spacing where the model works on a grid in mm"
            )

    def predict(self, image: SourceImage, *, progress: Progress | None = None) -> Segmentation:
        """Return the segmentation on the native grid; raises ModelError where the network's output does not fit."""
        native = as_volume(image.image)
        cleaned = finite(native.voxels)
        notes = [f"{cleaned.replaced} values were not finite and were replaced"] if cleaned.replaced else []
        normalised = native.with_voxels(normalise(cleaned.values, self.manifest.input))
        grid = self._grid(native)
        prepared = resample_onto(normalised, grid)
        channels = self._channels(prepared.voxels, progress)
        if self._options.output == "labels":
            drawn = self._from_labels(replace(grid, voxels=channels[0]), native)
        else:
            drawn = self._from_probabilities((replace(grid, voxels=channel) for channel in channels), native)
        if drawn.score < self.manifest.found_threshold:
            notes.append(
                f"nothing found: highest score {drawn.score:.2f} where {self.manifest.found_threshold:g} is needed"
            )
            drawn = _Drawn(np.zeros(native.shape, np.uint16), drawn.score, None)
        return self._segmentation(drawn, image, tuple(notes))

    def _needs_spacing(self) -> bool:
        return self._options.fit == "spacing" and any(self.manifest.input.spacing_mm)

    def _grid(self, native: Volume) -> Volume:
        spec = self.manifest.input
        spacing = np.zeros(3) if not spec.spacing_mm else np.array((0.0, *spec.spacing_mm)[-3:])
        if self._options.fit == "patch":
            turned = grid_for(native, orientation=spec.orientation)
            rows, columns = spec.patch[-2:]
            # Outer faces fall on outer faces, so exactly the patch's number of pixels fit.
            field_mm = np.array(turned.shape[1:]) * turned.spacing_mm[1:]
            spacing = np.array([0.0, field_mm[0] / rows, field_mm[1] / columns])
        return grid_for(native, spacing_mm=spacing, orientation=spec.orientation)

    def _channels(self, voxels: np.ndarray, progress: Progress | None) -> np.ndarray:
        """Return probabilities (classes, *grid) float32, or labels (1, *grid) integer."""
        if self._options.dimensions == 3:
            return self._run(voxels, progress)
        count = len(voxels)
        planes = []
        for index, plane in enumerate(voxels):
            planes.append(self._run(plane, None))
            if progress is not None:
                progress((index + 1) / count)
        return np.stack(planes, axis=1)

    def _run(self, array: np.ndarray, progress: Progress | None) -> np.ndarray:
        options = self._options
        patch = self.manifest.input.patch[-array.ndim :]
        if not patch:
            step = options.divisible_by
            patch = tuple(-(-size // step) * step for size in array.shape)
        if options.output == "labels":
            return self._labels(array, patch)
        window = Window(patch, options.overlap, options.padding)
        return sliding_window(array[None], window, self._scores, finish=self._activate, progress=progress)

    def _labels(self, array: np.ndarray, patch: tuple[int, ...]) -> np.ndarray:
        """Run a model that gives labels: they cannot be blended, so the image goes in whole, padded to the patch."""
        if any(size > most for size, most in zip(array.shape, patch, strict=True)):
            raise ModelError(
                f"{self.manifest.name}: a model that gives labels takes the image whole: {array.shape} is larger than "
                f"its patch {patch}; leave out patch, or export the scores"
            )
        values = sliding_window(array[None], Window(patch, 0.0, self._options.padding), self._scores)
        return np.rint(values[:1]).astype(np.uint16)

    def _scores(self, tile: np.ndarray) -> np.ndarray:
        scores = self._runner.run(tile)[0]
        if scores.ndim == tile.ndim - 1:
            scores = scores[:, None]
        if not np.isfinite(scores).all():
            raise ModelError(f"{self.manifest.name}: the network gives values that are not finite")
        if scores.shape[2:] != tile.shape[2:] or scores.shape[1] < self._classes():
            raise ModelError(
                f"{self.manifest.name}: the network gives {scores.shape} for an input of {tile.shape} where "
                f"(1, {self._classes()} or more, {', '.join(str(size) for size in tile.shape[2:])}) is needed"
            )
        return scores

    def _classes(self) -> int:
        if self._options.output == "labels":
            return 1
        highest = max(output.value for output in self.manifest.outputs)
        return highest + 1 if self._options.activation == "softmax" else highest

    def _activate(self, scores: np.ndarray) -> np.ndarray:
        """Turn scores (channels, ...) into probabilities."""
        if self._options.activation == "softmax":
            return special.softmax(scores, axis=0)
        return special.expit(scores) if self._options.activation == "sigmoid" else np.clip(scores, 0.0, 1.0)

    def _from_labels(self, labels: Volume, native: Volume) -> "_Drawn":
        values = resample_onto(labels, native, order=0).voxels
        wanted = np.isin(values, [output.value for output in self.manifest.outputs])
        return _Drawn(np.where(wanted, values, 0), 1.0 if wanted.any() else 0.0, None)

    def _from_probabilities(self, channels: Iterable[Volume], native: Volume) -> "_Drawn":
        """Take the likeliest class of each native voxel, one class in memory at a time."""
        wanted = {output.value for output in self.manifest.outputs}
        softmax = self._options.activation == "softmax"
        # Classes of a softmax compete with its background; independent ones need the threshold, which is inside.
        best = np.full(native.shape, -1.0 if softmax else self.manifest.mask_threshold, np.float32)
        values = np.zeros(native.shape, np.uint16)
        score, soft = 0.0, None
        for value, channel in enumerate(channels, 0 if softmax else 1):
            if value not in wanted and not softmax:
                continue
            likely = resample_onto(channel, native, outside=1.0 if value == 0 else 0.0).voxels
            wins = likely > best if softmax else likely >= best
            best[wins], values[wins] = likely[wins], value if value in wanted else 0
            if value in wanted:
                score = max(score, float(likely.max(initial=0.0)))
                soft = np.clip(likely, 0.0, 1.0) if self._options.soft else None
        return _Drawn(values, score, soft)

    def _segmentation(self, drawn: "_Drawn", image: SourceImage, notes: tuple[str, ...]) -> Segmentation:
        values, soft = drawn.values, drawn.soft
        if self._options.largest_component:
            for output in self.manifest.outputs:
                mask = values == output.value
                values = np.where(mask & ~largest_component(mask), 0, values)
        if soft is not None:
            # Partial volume is kept in the voxels beside the mask, nothing far from it.
            near = ndimage.binary_dilation(values > 0, iterations=2)
            soft = np.where(near, soft, 0.0).astype(np.float32)
        result = labelled(values, self.manifest.outputs)
        labels = result.labels
        if isinstance(image.image, Radiograph):
            labels, soft = labels[0], None if soft is None else soft[0]
        return Segmentation(labels, result.segments, drawn.score, soft, notes)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Label values of the model on the native grid, the score, and the soft mask where one is given."""

    values: np.ndarray
    score: float
    soft: np.ndarray | None


def as_volume(image: Volume | Radiograph) -> Volume:
    """Return a radiograph as a volume of one slice (1 mm pixels where it has no calibration); a volume as it is."""
    if isinstance(image, Volume):
        return image
    rows_mm, columns_mm = image.pixel_spacing_mm or (1.0, 1.0)
    # Columns to the patient's left and rows to the feet: a frame of its own, since a projection has none.
    affine = np.array(
        [[0.0, 0.0, columns_mm, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, -rows_mm, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    )
    return Volume(image.pixels[None], affine)


def normalise(array: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Apply the manifest's normalisation to finite values."""
    match spec.normalisation:
        case "zscore":
            return zscore(array)
        case "percentile_zscore":
            return zscore(percentile_clip(array, *spec.percentiles))
        case "minmax":
            return minmax(percentile_clip(array, *spec.percentiles))
        case _:
            return array.astype(np.float32, copy=False)
