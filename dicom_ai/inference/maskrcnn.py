"""Mask R-CNN at work: three graphs without control flow, and here the choice among boxes between them.

    detector       window (1, 2, H, W) -> objectness and box of every anchor, maps P2 ... P5
    detector_box   what the proposals hold (n, C, 7, 7) -> class probabilities, box of each class
    detector_mask  what the chosen boxes hold (n, C, 14, 14) -> masks (n, classes, 28, 28)

numpy only; nets/maskrcnn.py has the networks and gives the same in torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from dicom_ai.imaging.boxes import inside, moved, strongest, strongest_of_each
from dicom_ai.inference.predictor import Runners
from dicom_ai.inference.runtime import Runner
from dicom_ai.inference.vertebra_ensemble import Detection

KINDS = ("background", "vertebra", "C2", "S1")
ROLES = ("detector", "detector_box", "detector_mask")
BOX_BINS, MASK_BINS, SAMPLES = 7, 14, 2
BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""How box deltas of the second stage are scaled, as in torchvision."""

CANDIDATES, PROPOSALS = 400, 120
"""Anchors looked at, and boxes kept of them."""
PROPOSAL_OVERLAP, DETECTION_OVERLAP = 0.7, 0.4
LEAST_SCORE = 0.5
MOST_FOUND = 64
"""Things kept of a film, more than twice as many as it can show: noise must not cost gigabytes and minutes."""
LEAST_SIDE_PX = 4.0


@dataclass(frozen=True, slots=True)
class Found:
    """One thing in a window. box: x0, y0, x1, y1 in pixels. mask: (28, 28) probabilities over the box."""

    kind: str
    score: float
    box: np.ndarray = field(repr=False)
    mask: np.ndarray = field(repr=False)


class MaskRCNNRunner:
    """The three graphs of a loaded Mask R-CNN."""

    def __init__(self, runners: Runners) -> None:
        """Open the weights of the three roles; raises ModelError."""
        self.parts: tuple[Runner, ...] = tuple(runners.open(role) for role in ROLES)

    def find(self, window: np.ndarray) -> list[Found]:
        """Return what a window (2, rows, columns) of the graph's own shape shows, the surest first."""
        dense, box_head, mask_head = self.parts
        shape = (window.shape[1], window.shape[2])
        objectness, boxes, *levels = dense.run(window[None])
        maps = [level[0] for level in levels]
        candidates = proposals(objectness[0], boxes[0], shape)
        if not len(candidates):
            return []
        scores, deltas = box_head.run(pooled(maps, candidates, BOX_BINS))
        boxes, scores, kinds = chosen(candidates, scores, deltas, shape)
        if not len(boxes):
            return []
        (masks,) = mask_head.run(pooled(maps, boxes, MASK_BINS))
        return [
            Found(KINDS[kind], float(score), box, mask[kind])
            for box, score, kind, mask in zip(boxes, scores, kinds, masks, strict=True)
        ]


def proposals(
    objectness: np.ndarray, boxes: np.ndarray, shape: tuple[int, int], *, limit: int = PROPOSALS
) -> np.ndarray:
    """Return the boxes that most probably hold something, (n, 4). objectness: (anchors,); boxes: (anchors, 4)."""
    order = np.argsort(-objectness, kind="stable")[:CANDIDATES]
    kept = inside(boxes[order], shape)
    large = (kept[:, 2:] - kept[:, :2]).min(axis=1, initial=np.inf) >= LEAST_SIDE_PX
    kept, sure = kept[large], objectness[order][large]
    return np.asarray(kept[strongest(kept, sure, overlap=PROPOSAL_OVERLAP)[:limit]])


def chosen(
    candidates: np.ndarray, scores: np.ndarray, deltas: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes, scores and numbers in KINDS of what is shown, the surest first.

    scores: (n, classes) probabilities. deltas: (n, 4 classes). A box shows one kind: its most probable one.
    """
    kinds = scores[:, 1:].argmax(axis=1) + 1
    rows = np.arange(len(kinds))
    sure = scores[rows, kinds]
    mine = deltas.reshape(len(deltas), -1, 4)[rows, kinds]
    boxes = inside(moved(candidates, mine[:, None], BOX_WEIGHTS)[:, 0], shape)
    fits = (sure >= LEAST_SCORE) & ((boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= LEAST_SIDE_PX)
    boxes, sure, kinds = boxes[fits], sure[fits], kinds[fits]
    kept = strongest_of_each(boxes, sure, kinds, overlap=DETECTION_OVERLAP)
    return boxes[kept], sure[kept], kinds[kept]


def pooled(maps: Sequence[np.ndarray], boxes: np.ndarray, bins: int) -> np.ndarray:
    """Return what boxes hold, (n, C, bins, bins), each from the level that suits its size (RoIAlign)."""
    level = levels_of(boxes, len(maps))
    found = np.zeros((len(boxes), maps[0].shape[0], bins, bins), np.float32)
    for number, features in enumerate(maps):
        mine = np.flatnonzero(level == number)
        if len(mine):
            found[mine] = roi_align(features, boxes[mine], bins=bins, scale=0.25 / 2**number)
    return found


def levels_of(boxes: np.ndarray, count: int) -> np.ndarray:
    """Return the level of the pyramid that each box is taken from, 0 for P2: equation 1 of Lin et al. 2017."""
    side = np.sqrt(np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1e-6))
    return np.asarray(np.clip(np.floor(4 + np.log2(side / 224) + 1e-6), 2, 1 + count).astype(int) - 2)


def roi_align(features: np.ndarray, boxes: np.ndarray, *, bins: int, scale: float) -> np.ndarray:
    """Return what each box holds, (n, C, bins, bins): nets.maskrcnn_ops.roi_align in numpy."""
    channels, rows, columns = features.shape
    corners = boxes.astype(np.float32) * np.float32(scale)
    sizes = np.maximum(corners[:, 2:] - corners[:, :2], 1.0) / bins
    across = _axis(corners[:, 0], sizes[:, 0], bins, columns)
    down = _axis(corners[:, 1], sizes[:, 1], bins, rows)
    pixels = np.ascontiguousarray(features.reshape(channels, -1).T)  # (H W, C): one pixel's channels lie together
    samples = bins * SAMPLES
    found = np.zeros((len(boxes), samples, samples, channels), np.float32)
    for row, high in down:
        for column, wide in across:
            held = pixels[row[:, :, None] * columns + column[:, None, :]]
            held *= (high[:, :, None] * wide[:, None, :])[..., None]
            found += held
    shape = (len(boxes), bins, SAMPLES, bins, SAMPLES, channels)
    return np.asarray(found.reshape(shape).mean(axis=(2, 4)).transpose(0, 3, 1, 2))


def _axis(start: np.ndarray, step: np.ndarray, bins: int, size: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Return the two pixels of an axis next to each sample, (n, bins * SAMPLES), each with its weight."""
    places = (np.arange(bins * SAMPLES, dtype=np.float32) + 0.5) / SAMPLES
    places = start[:, None] + places * step[:, None]
    known = ((places >= -1.0) & (places <= size)).astype(np.float32)
    places = np.clip(places, 0, size - 1)
    lower = np.floor(places).astype(int)
    share = places - lower
    return (lower, (1 - share) * known), (np.minimum(lower + 1, size - 1), share * known)


def merged(
    windows: Sequence[tuple[tuple[int, int], tuple[int, int], list[Found]]], shape: tuple[int, int]
) -> list[Found]:
    """Return what several windows show, each thing once, in pixels of the whole image of this shape.

    windows: (first row, first column), shape, and what was found. What touches an edge of its window that is no edge of
    the image is cut off there; a window that overlaps it shows it whole.
    """
    found = [
        Found(one.kind, one.score, one.box + np.array([first[1], first[0]] * 2), one.mask)
        for first, size, things in windows
        for one in things
        if not _cut(one.box, first, size, shape)
    ]
    if not found:
        return []
    boxes, scores = np.array([one.box for one in found]), np.array([one.score for one in found])
    kept = strongest(boxes, scores, overlap=DETECTION_OVERLAP)
    return [found[number] for number in kept[:MOST_FOUND]]


def _cut(box: np.ndarray, first: tuple[int, int], size: tuple[int, int], shape: tuple[int, int]) -> bool:
    top, left = box[1] < 1 and first[0] > 0, box[0] < 1 and first[1] > 0
    bottom = box[3] > size[0] - 1 and first[0] + size[0] < shape[0]
    right = box[2] > size[1] - 1 and first[1] + size[1] < shape[1]
    return bool(top or left or bottom or right)


def pasted(found: Found, shape: tuple[int, int]) -> Detection:
    """Return a found thing as a mask on the grid of the whole image."""
    low = np.maximum(np.floor(found.box[:2]).astype(int), 0)
    high = np.minimum(np.ceil(found.box[2:]).astype(int), (shape[1], shape[0]))
    size = len(found.mask)
    axes = [
        (np.arange(low[k], high[k]) + 0.5 - found.box[k]) / (found.box[2 + k] - found.box[k]) * size - 0.5
        for k in (1, 0)
    ]
    soft = np.zeros(shape, np.float32)
    inner = ndimage.map_coordinates(found.mask, np.meshgrid(*axes, indexing="ij"), order=1, mode="nearest")
    soft[low[1] : high[1], low[0] : high[0]] = inner
    return Detection(found.kind, found.score, soft)
