"""Boxes around things in an image: arrays (n, 4) of x0, y0, x1, y1 in pixels, pixel edges at whole numbers."""

import numpy as np

LARGEST_GROWTH = float(np.log(1000.0 / 16))
"""Most that the logarithm of a size changes when a box is moved: as torchvision limits it."""


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the intersection over union of each box with each other, (n, m)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=-1)
    either = areas(boxes)[:, None] + areas(others)[None] - both
    return np.asarray(both / np.maximum(either, 1e-9))


def areas(boxes: np.ndarray) -> np.ndarray:
    """Return the area of each box, (n,)."""
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def strongest(boxes: np.ndarray, scores: np.ndarray, *, overlap: float) -> np.ndarray:
    """Return the indices of the boxes that no stronger one covers by more than `overlap`, the strongest first."""
    order = np.argsort(-scores, kind="stable")
    covers = overlaps(boxes[order], boxes[order]) > overlap
    alive = np.ones(len(order), bool)
    for place in range(len(order)):
        if alive[place]:
            alive[place + 1 :] &= ~covers[place, place + 1 :]
    return order[alive]


def strongest_of_each(boxes: np.ndarray, scores: np.ndarray, kinds: np.ndarray, *, overlap: float) -> np.ndarray:
    """Return what strongest() keeps among the boxes of each kind, the strongest first."""
    kept = np.zeros(len(boxes), bool)
    for kind in np.unique(kinds):
        mine = np.flatnonzero(kinds == kind)
        kept[mine[strongest(boxes[mine], scores[mine], overlap=overlap)]] = True
    found = np.flatnonzero(kept)
    return np.asarray(found[np.argsort(-scores[found], kind="stable")])


def moved(boxes: np.ndarray, deltas: np.ndarray, weights: tuple[float, float, float, float]) -> np.ndarray:
    """Return boxes (n, 4) moved as a network says, (n, k, 4). deltas: (n, k, 4), of centres and logarithms of sizes."""
    size = boxes[:, 2:] - boxes[:, :2]
    centre = boxes[:, :2] + size / 2
    shift, growth = deltas[..., :2] / np.array(weights[:2]), deltas[..., 2:] / np.array(weights[2:])
    middle = centre[:, None] + shift * size[:, None]
    half = np.exp(np.minimum(growth, LARGEST_GROWTH)) * size[:, None] / 2
    return np.concatenate([middle - half, middle + half], axis=-1)


def inside(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return boxes cut off at the edges of an image of this shape (rows, columns)."""
    rows, columns = shape
    return np.clip(boxes, 0, np.array([columns, rows, columns, rows]))
