"""The family "softseg": a soft mask of the spinal cord, found anywhere in the field of view.

    source -> finite, axial first -> coarse grid -> network in windows -> where the cord is
           -> fine grid around it -> network in windows along the cord -> soft mask -> native grid -> largest piece
           -> the same on finer grids where the cord is thin -> joined slice by slice (inference/cord_size.py)

One network serves both passes: it was trained at both voxel sizes. Each window is normalised by itself, over the field
of view only; outside of it is 0, as in training. Where slices are thicker than MOST_SAMPLES fine voxels, the fine grid
is made coarser along them: nothing is gained by inventing more samples, and time stays linear in the slices.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage, special

from dicom_ai.domain.findings import Segmentation
from dicom_ai.domain.image import SourceImage, Volume
from dicom_ai.domain.model import ModelReference
from dicom_ai.errors import UnsuitableImage
from dicom_ai.imaging.components import components, largest_component
from dicom_ai.imaging.intensity import finite
from dicom_ai.imaging.orient import axial_first, reorient_like
from dicom_ai.imaging.resample import grid_for, resample_onto
from dicom_ai.inference import cord_size
from dicom_ai.inference.cord_windows import blended
from dicom_ai.inference.manifest import Manifest
from dicom_ai.inference.predictor import Progress, Runners, check_input, reference_of
from dicom_ai.inference.runtime import Runner
from dicom_ai.inference.segments import labelled
from dicom_ai.inference.sliding_window import Window, sliding_window

if TYPE_CHECKING:
    from dicom_ai.nets.unet import UNet3d

MOST_SAMPLES = 5
"""Fine voxels per slice, at most."""
_NOTHING = -12.0
"""Logit of a window without any image."""
_SAMPLED = 20_000
"""Voxels of a window by which its percentiles are taken."""


@dataclass(frozen=True, slots=True)
class Options:
    """The table [family_options] of this family.

    net: of nets.unet.CONFIGS, for the torch runtime. coarse_mm: voxels of the first pass.
    overlap: of its windows. hint: its values from here on are looked at again.
    margin_mm: what is kept around the cord for the second pass; along_mm: the same along the cord, where the second
    pass may go on when the first lost it. least_mm3: a smaller piece is no cord. least_soft: lower values become 0.
    usual_mm2: area that the network reads without bias; 0 looks at every cord on one grid only.
    """

    net: str
    coarse_mm: float
    margin_mm: float
    along_mm: float
    hint: float
    overlap: float
    least_mm3: float
    least_soft: float
    usual_mm2: float


def load(manifest: Manifest, runners: Runners) -> "SoftsegPredictor":
    """Return the predictor; raises ModelError."""
    return SoftsegPredictor(manifest, read_options(manifest), runners.open("main"))


def read_options(manifest: Manifest) -> Options:
    """Parse and validate [family_options]; raises ModelError naming the key."""
    table = manifest.options_table()
    options = Options(
        net=table.text("net", "compact"),
        coarse_mm=table.number("coarse_mm", 2.0, least=0.5),
        margin_mm=table.number("margin_mm", 14.0, least=0.0),
        along_mm=table.number("along_mm", 30.0, least=0.0),
        hint=table.number("hint", 0.25, least=0.01, most=0.9),
        overlap=table.number("overlap", 0.3, least=0.0, most=0.9),
        least_mm3=table.number("least_mm3", 300.0, least=0.0),
        least_soft=table.number("least_soft", 0.02, least=0.0, most=0.5),
        usual_mm2=table.number("usual_mm2", 0.0, least=0.0),
    )
    table.done()
    if len(manifest.input.patch) != 3 or len(manifest.input.spacing_mm) != 3 or len(manifest.outputs) != 1:
        raise table.wrong("net", "this family needs patch and spacing_mm of three axes, and one output")
    return options


def build_net(manifest: Manifest, role: str) -> "UNet3d":
    """Return the untrained network for the torch runtime."""
    from dicom_ai.nets.unet import CONFIGS, UNet3d

    options = read_options(manifest)
    if options.net not in CONFIGS:
        raise manifest.options_table().wrong("net", f"{options.net!r} is not one of {', '.join(CONFIGS)}")
    return UNet3d(CONFIGS[options.net].deployed)


@dataclass(frozen=True, slots=True)
class Found:
    """A soft mask on a grid, and how sure the network is that there is a cord at all, 0..1."""

    soft: Volume
    score: float


class SoftsegPredictor:
    """A predictor of this family."""

    def __init__(self, manifest: Manifest, options: Options, runner: Runner) -> None:
        self.manifest = manifest
        self._options = options
        self._runner = runner

    @property
    def reference(self) -> ModelReference:
        """What identifies the model in results."""
        return reference_of(self.manifest, self._runner)

    def accepts(self, image: SourceImage, *, modality: str) -> None:
        """Raise UnsuitableImage where the manifest's [input] does not allow the image."""
        check_input(self.manifest.input, image, modality=modality)

    def predict(self, image: SourceImage, *, progress: Progress | None = None) -> Segmentation:
        """Return the cord's segmentation on the native grid; without segments where no cord is found."""
        if not isinstance(image.image, Volume):
            raise UnsuitableImage(f"series {image.series_uid}: a projection image where the model takes a volume")
        native = image.image
        cleaned = finite(native.voxels)
        notes = [f"{cleaned.replaced} values were not finite and were replaced"] if cleaned.replaced else []
        turned = axial_first(native.with_voxels(cleaned.values))
        found = self._locate_and_segment(turned, progress)
        if progress is not None:
            progress(1.0)
        if found.score < self.manifest.found_threshold:
            needed = self.manifest.found_threshold
            notes.append(f"no cord found: score {found.score:.2f} where {needed:g} is needed")
            empty = np.zeros(native.shape, np.uint8)
            return Segmentation(empty, (), found.score, empty.astype(np.float32), tuple(notes))
        soft = reorient_like(found.soft.voxels, turned, native)
        mask = (soft >= self.manifest.mask_threshold).astype(np.uint8) * self.manifest.outputs[0].value
        result = labelled(mask, self.manifest.outputs)
        return Segmentation(result.labels, result.segments, found.score, soft, tuple(notes))

    def _locate_and_segment(self, turned: Volume, progress: Progress | None) -> Found:
        """Run both passes; the soft mask comes back on the grid of `turned`."""
        coarse_grid = grid_for(turned, spacing_mm=self._coarse_spacing(turned))
        coarse = self._everywhere(turned, coarse_grid, _share_of(progress, 0.0, 0.35))
        place = _likeliest(coarse, self._options.hint)
        nothing = replace(turned, voxels=np.zeros(turned.shape, np.float32))
        if not place.any():
            return Found(nothing, float(coarse.voxels.max(initial=0.0)))
        found = self._looked_at(turned, coarse.with_voxels(place), 1.0, _share_of(progress, 0.35, 0.7))
        if found.score < self.manifest.found_threshold:
            return Found(nothing, found.score)
        return replace(found, soft=self._at_usual_size(turned, coarse.with_voxels(place), found.soft, progress))

    def _looked_at(self, turned: Volume, place: Volume, scale: float, progress: Progress | None) -> Found:
        """Run the second pass on a grid of scale times the usual spacing; the soft mask is on the grid of `turned`."""
        grid = self._fine_grid(turned, place, scale)
        kept, score = self._judged(self._along(turned, grid, self._near(place, grid), progress))
        return Found(_sampled(kept, turned, self._options.least_soft), score)

    def _at_usual_size(self, turned: Volume, place: Volume, soft: Volume, progress: Progress | None) -> Volume:
        """Look again, on finer grids, where the cord is thinner than the network reads without bias."""
        if not self._options.usual_mm2:
            return soft
        wanted = cord_size.wanted_scales(soft, self._options.usual_mm2)
        looks = {1.0: soft}
        scales = cord_size.scales_for(wanted)
        for done, scale in enumerate(scales):
            share = _share_of(progress, 0.7 + 0.3 * done / len(scales), 0.7 + 0.3 * (done + 1) / len(scales))
            found = self._looked_at(turned, place, scale, share)
            if found.score >= self.manifest.found_threshold:
                looks[scale] = found.soft
        return cord_size.joined(looks, wanted)

    def _coarse_spacing(self, turned: Volume) -> np.ndarray:
        return np.maximum(self._options.coarse_mm, turned.spacing_mm / MOST_SAMPLES * 2)

    def _fine_grid(self, turned: Volume, place: Volume, scale: float) -> Volume:
        """Return the grid of the second pass: the cord's box and a margin, never beyond the image."""
        spacing = scale * np.maximum(self.manifest.input.spacing_mm, turned.spacing_mm / MOST_SAMPLES)
        whole = grid_for(turned, spacing_mm=spacing)
        corners = whole.to_indices(place.to_mm(np.argwhere(place.voxels)))
        margin = np.array([self._options.along_mm, *2 * (self._options.margin_mm,)]) / whole.spacing_mm
        low = np.maximum(np.floor(corners.min(axis=0) - margin), 0).astype(int)
        high = np.minimum(np.ceil(corners.max(axis=0) + margin) + 1, whole.shape).astype(int)
        affine = whole.affine.copy()
        affine[:3, 3] = whole.to_mm(low)
        return Volume(np.broadcast_to(np.uint8(0), tuple(high - low)), affine, turned.frame_of_reference_uid)

    def _near(self, place: Volume, grid: Volume) -> np.ndarray:
        """Return where the second pass looks: at the cord of the first, and on along the slices from its ends."""
        steps = round(self._options.along_mm / float(place.spacing_mm[0]))
        reached = ndimage.maximum_filter1d(place.voxels.astype(np.float32), 2 * steps + 1, axis=0)
        return resample_onto(place.with_voxels(reached), grid).voxels > 0.1

    def _everywhere(self, turned: Volume, grid: Volume, progress: Progress | None) -> Volume:
        """Return the network's soft mask on a grid, in windows over all of it."""
        sampled = resample_onto(turned, grid).voxels
        channels = np.stack([sampled, np.ones_like(sampled)])
        window = Window(self.manifest.input.patch, self._options.overlap)
        soft = sliding_window(channels, window, self._tile, finish=special.expit, progress=progress)
        return replace(grid, voxels=soft[0])

    def _along(self, turned: Volume, grid: Volume, near: np.ndarray, progress: Progress | None) -> Volume:
        """Return the network's soft mask on a grid, in windows along the cord."""
        sampled = resample_onto(turned, grid).voxels
        logits = blended(sampled, near, self.manifest.input.patch, self._logits, progress=progress)
        return replace(grid, voxels=special.expit(logits))

    def _tile(self, tile: np.ndarray) -> np.ndarray:
        """Run the network on a window (1, 2, *patch) of image and field of view."""
        return self._logits(tile[0, 0], tile[0, 1] > 0.5)[None, None]

    def _logits(self, image: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """Run the network on the image of one window, shape (*patch)."""
        if not inside.any():
            return np.full(image.shape, _NOTHING, np.float32)
        scores: np.ndarray = self._runner.run(normalised(image, inside)[None, None])[0][0, 0]
        return scores

    def _judged(self, fine: Volume) -> tuple[Volume, float]:
        """Keep the largest piece and what touches it; return it with its score.

        The score is the mean over its inside (at least half cord), or the highest value where the piece is too small.
        """
        mask = fine.voxels >= self.manifest.mask_threshold
        volume_mm3 = float(mask.sum() * np.prod(fine.spacing_mm))
        if volume_mm3 < self._options.least_mm3:
            return fine, min(float(fine.voxels.max(initial=0.0)), 0.99 * self.manifest.found_threshold)
        piece = largest_component(mask)
        near = ndimage.binary_dilation(piece, iterations=2)
        kept = fine.with_voxels(np.where(near, fine.voxels, 0.0).astype(np.float32))
        if float(piece.sum() * np.prod(fine.spacing_mm)) < self._options.least_mm3:
            return kept, min(float(kept.voxels.max(initial=0.0)), 0.99 * self.manifest.found_threshold)
        return kept, float(kept.voxels[piece].mean())


def normalised(image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Clip to the 0.5 and 99.5 percentiles and z-score, both over the field of view; outside is 0; float32."""
    values = image[inside]
    sample = values[:: max(1, values.size // _SAMPLED)]
    low, high = np.percentile(sample, (0.5, 99.5))
    values = np.clip(values, low, high)
    result = np.zeros(image.shape, np.float32)
    result[inside] = (values - values.mean()) / (values.std() + 1e-6)
    return result


def _likeliest(coarse: Volume, threshold: float) -> np.ndarray:
    """Return where the first pass sees the cord: the piece with the most cord in it, bool."""
    mask = coarse.voxels >= threshold
    pieces = components(ndimage.binary_dilation(mask))
    if not mask.any():
        return mask
    best = max(pieces, key=lambda piece: float(coarse.voxels[piece.box].sum()))
    inside = np.zeros(mask.shape, bool)
    inside[best.box] = True
    return mask & inside


def _sampled(fine: Volume, grid: Volume, least: float) -> Volume:
    """Return the soft mask on the native grid by linear interpolation, as training made it; low values become 0.

    The fine mask already holds the share of each (thick) voxel, so nothing is smoothed on the way.
    """
    to_fine = np.linalg.inv(fine.affine) @ grid.affine  # the grids share their directions: only scale and shift
    scale, shift = np.diag(to_fine)[:3], to_fine[:3, 3]
    values = ndimage.affine_transform(fine.voxels, scale, shift, output_shape=grid.shape, order=1, mode="nearest")
    for axis, size in enumerate(fine.shape):
        position = shift[axis] + scale[axis] * np.arange(grid.shape[axis])
        outside = (position < -0.5 - 1e-6) | (position > size - 0.5 + 1e-6)
        np.moveaxis(values, axis, 0)[outside] = 0.0
    values[values < least] = 0.0
    return grid.with_voxels(np.clip(values, 0.0, 1.0).astype(np.float32))


def _share_of(progress: Progress | None, low: float, high: float) -> Progress | None:
    """Return a progress for one of several passes."""
    return None if progress is None else lambda share: progress(low + share * (high - low))
