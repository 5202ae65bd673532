"""What the networks of the family vertxnet see of a film on one grid: bodies, reference vertebrae, the anterior half.

Both networks look through windows as large as the views they were trained on. The U-Net's windows are blended; the
Mask R-CNN's detections are gathered, and what a window cuts off is left to the window beside it. SYSTEMS are the three
that the paper compares.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from scipy import special

from dicom_ai.errors import ModelError
from dicom_ai.imaging.radiograph_contrast import two_channels
from dicom_ai.inference.maskrcnn import LEAST_SCORE, MaskRCNNRunner, merged, pasted
from dicom_ai.inference.runtime import Runner
from dicom_ai.inference.sliding_window import Window, sliding_window, window_starts
from dicom_ai.inference.vertebra_ensemble import (
    Body,
    Detection,
    alone,
    confirmed,
    ensemble,
    reference,
    taken_for,
    without_strays,
)

CHANNELS = ("body", "core", "C2", "S1", "front")
"""What the channels of the U-Net stand for."""

SYSTEMS = ("ensemble", "unet", "detector")
OVERLAP = 0.5
ONCE, SAME = 0.7, 0.5
"""What the score of a detection counts that only one of two looks has; overlap from which both show one thing."""


@dataclass(frozen=True, slots=True)
class Column:
    """What was found on a grid. scale: its pixels per native one. bodies: from above, without C2 and S1.

    front: probability of the anterior half, (rows, columns).
    """

    scale: float
    bodies: tuple[Body, ...] = field(repr=False)
    c2: Body | None = field(repr=False)
    s1: Body | None = field(repr=False)
    front: np.ndarray = field(repr=False)

    @property
    def row(self) -> tuple[Body, ...]:
        """All bodies from above, with the reference vertebrae."""
        ends = ((self.c2,) if self.c2 else ()), ((self.s1,) if self.s1 else ())
        return (*ends[0], *self.bodies, *ends[1])


@dataclass(frozen=True, slots=True)
class Networks:
    """The loaded networks. patch: rows and columns of a window. detector: None where the model has no Mask R-CNN."""

    unet: Runner
    detector: MaskRCNNRunner | None
    patch: tuple[int, ...]
    system: str = "ensemble"

    def of(self, system: str) -> "Networks":
        """Return the same networks as one of SYSTEMS; raises ModelError where the Mask R-CNN is missing."""
        if system == "detector" and self.detector is None:
            raise ModelError("the model has no Mask R-CNN")
        return replace(self, system=system)

    def look(self, pixels: np.ndarray, scale: float, *, fine: bool) -> Column:
        """Return what is seen on a grid. fine: on the grid of the answer; all look at it twice there.

        pixels: (rows, columns) of the grid, whose pixels are `scale` native ones.
        """
        exposed = _Exposed()
        prob = np.zeros((len(CHANNELS), *pixels.shape), np.float32)
        if self.system != "detector":
            prob = self._probabilities(pixels, exposed)
            if fine:
                # Left and right mean the same to the networks: they are asked twice, and the mean is steadier.
                prob = (prob + self._probabilities(pixels[:, ::-1], exposed)[:, :, ::-1]) / 2
        detections: list[Detection] = []
        if self.detector is not None and self.system != "unet":
            detections = detections_in(pixels, self.detector, self.patch, exposed)
            if fine:
                mirrored = detections_in(np.ascontiguousarray(pixels[:, ::-1]), self.detector, self.patch, exposed)
                detections = seen_twice(detections, [replace(one, soft=one.soft[:, ::-1]) for one in mirrored])
        return column_of(prob, detections, scale, self.system if self.detector else "unet")

    def _probabilities(self, pixels: np.ndarray, exposed: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return the U-Net's channels, (len(CHANNELS), rows, columns)."""
        window, scores = Window(self.patch, OVERLAP), partial(self._scores, exposed)
        return sliding_window(np.ascontiguousarray(pixels)[None], window, scores, finish=special.expit)

    def _scores(self, exposed: Callable[[np.ndarray], np.ndarray], tile: np.ndarray) -> np.ndarray:
        """Run one window of the U-Net; each has its own exposure, as in training."""
        logits = self.unet.run(exposed(tile[0, 0])[None])[0]
        if logits.shape != (1, len(CHANNELS), *tile.shape[2:]) or not np.isfinite(logits).all():
            raise ModelError(f"the U-Net gives {logits.shape} for a window of {tile.shape[2:]}")
        return logits


def column_of(prob: np.ndarray, detections: Sequence[Detection], scale: float, system: str) -> Column:
    """Return the column that one of SYSTEMS makes of what the networks see: bodies, then the reference vertebrae.

    prob: of the U-Net, (len(CHANNELS), rows, columns). scale: pixels of the grid per native one.
    """
    body, core, c2, s1, front = prob
    of = {kind: [one for one in detections if one.kind == kind] for kind in ("vertebra", "C2", "S1")}
    bodies = alone(of["vertebra"]) if system == "detector" else ensemble(body, core, of["vertebra"])
    joined = system == "ensemble"
    ends = []
    for soft, kind, above in ((c2, "C2", True), (s1, "S1", False)):
        if joined:
            bodies = without_strays(bodies, soft, of[kind], above=above)
        found = reference(soft, bodies, () if joined else of[kind], above=above)
        found = confirmed(found, of[kind]) if joined else found
        ends.append(None if taken_for(soft, bodies, above=above) else found)
    return Column(scale, bodies, ends[0], ends[1], front)


@dataclass(frozen=True, slots=True)
class _Exposed:
    """two_channels() of windows, each worked out once: both networks look through the same ones."""

    known: dict[bytes, np.ndarray] = field(default_factory=dict)

    def __call__(self, window: np.ndarray) -> np.ndarray:
        key = window.tobytes()
        if key not in self.known:
            self.known[key] = two_channels(window)
        return self.known[key]


def detections_in(
    pixels: np.ndarray,
    detector: MaskRCNNRunner,
    patch: Sequence[int],
    exposed: Callable[[np.ndarray], np.ndarray] = two_channels,
) -> list[Detection]:
    """Return what a Mask R-CNN finds on a grid, each thing once. exposed: gives the two channels of a window."""
    rows, columns = pixels.shape
    padded = np.pad(pixels, [(0, max(0, size - has)) for has, size in zip(pixels.shape, patch, strict=True)])
    windows = []
    for top in window_starts(padded.shape[0], patch[0], OVERLAP):
        for left in window_starts(padded.shape[1], patch[1], OVERLAP):
            tile = padded[top : top + patch[0], left : left + patch[1]]
            windows.append(((top, left), tile.shape, detector.find(exposed(tile))))
    found = merged(windows, padded.shape)
    return [replace(one, soft=one.soft[:rows, :columns]) for one in (pasted(f, padded.shape) for f in found)]


def seen_twice(first: Sequence[Detection], second: Sequence[Detection]) -> list[Detection]:
    """Return the detections of two looks at one film, the mean of those that both have; one look alone counts less."""
    left = list(second)
    found = []
    for one in first:
        same = [_overlap(one, other) if other.kind == one.kind else 0.0 for other in left]
        best = int(np.argmax(same)) if same else -1
        if best >= 0 and same[best] >= SAME:
            other = left.pop(best)
            found.append(Detection(one.kind, (one.score + other.score) / 2, (one.soft + other.soft) / 2))
        else:
            found.append(replace(one, score=ONCE * one.score))
    found += [replace(one, score=ONCE * one.score) for one in left]
    return [one for one in found if one.score >= LEAST_SCORE]


def _overlap(one: Detection, other: Detection) -> float:
    both = one.share_in(other.mask) * one.area
    return both / max(one.area + other.area - both, 1)
