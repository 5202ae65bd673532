"""A network over an image larger than its patch: overlapping windows, blended with Gaussian weights.

Steps and weights follow nnU-Net v2 (inference/sliding_window_prediction.py): windows at even distances of at most
(1 - overlap) of the patch, weights with a standard deviation of an eighth of it.

    first axis   |--- window 1 ---|
                          |--- window 2 ---|
                 |= done =|  planes that no later window touches are finished and leave the accumulator

so that only as many planes are accumulated as a patch has, however long the image is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

Forward = Callable[[np.ndarray], np.ndarray]
"""(1, channels, *patch) float32 -> (1, outputs, *patch)."""


@dataclass(frozen=True, slots=True)
class Window:
    """How an image is cut. padding: what surrounds an image smaller than the patch: 0 ("constant") or its "edge"."""

    patch: tuple[int, ...]
    overlap: float = 0.5
    padding: str = "constant"


def sliding_window(
    image: np.ndarray,
    window: Window,
    forward: Forward,
    *,
    finish: Callable[[np.ndarray], np.ndarray] | None = None,
    progress: Callable[[float], None] | None = None,
) -> np.ndarray:
    """Return the blended outputs of a network, shape (outputs, *space), float32.

    image: float32, shape (channels, *space), with as many axes of space as the patch.
    finish: turns finished planes (outputs, planes, ...) into what is kept of them (any channels, planes, ...), for
        instance argmax; it must treat each plane alone.
    """
    space = image.shape[1:]
    if len(space) != len(window.patch):
        raise ValueError(f"an image with {len(space)} axes and a patch with {len(window.patch)}")
    padded, crop = _padded(image, window)
    starts = [
        window_starts(size, patch, window.overlap) for size, patch in zip(padded.shape[1:], window.patch, strict=True)
    ]
    result: np.ndarray | None = None
    for first, planes in _finished_planes(padded, starts, window, forward, progress):
        kept = planes if finish is None else finish(planes)
        if result is None:
            result = np.empty((kept.shape[0], *padded.shape[1:]), kept.dtype)
        result[:, first : first + kept.shape[1]] = kept
    if result is None:
        raise ValueError("an image without voxels")
    return result[(slice(None), *crop)]


def _finished_planes(
    image: np.ndarray,
    starts: list[list[int]],
    window: Window,
    forward: Forward,
    progress: Callable[[float], None] | None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first plane, blended outputs of the planes that no later window touches); they are overwritten after."""
    weights = [_gaussian(size) for size in window.patch]
    blend = _outer(weights)
    totals = [
        _total(begins, weight, size) for begins, weight, size in zip(starts, weights, image.shape[1:], strict=True)
    ]
    rest = _outer(totals[1:])
    count, done = int(np.prod([len(begins) for begins in starts])), 0
    sums: np.ndarray | None = None
    for begin, following in zip(starts[0], [*starts[0][1:], image.shape[1]], strict=True):
        for corner in product(*starts[1:]):
            place = tuple(slice(at, at + size) for at, size in zip(corner, window.patch[1:], strict=True))
            tile = image[(slice(None), slice(begin, begin + window.patch[0]), *place)]
            scores = forward(np.ascontiguousarray(tile[None], np.float32))[0]
            if sums is None:
                sums = np.zeros((scores.shape[0], window.patch[0], *image.shape[2:]), np.float32)
            sums[(slice(None), slice(None), *place)] += scores * blend
            done += 1
            if progress is not None:
                progress(done / count)
        assert sums is not None
        ready = following - begin
        sums[:, :ready] /= np.multiply.outer(totals[0][begin:following], rest)
        yield begin, sums[:, :ready]
        sums[:, : window.patch[0] - ready] = sums[:, ready:].copy()
        sums[:, window.patch[0] - ready :] = 0.0


def _padded(image: np.ndarray, window: Window) -> tuple[np.ndarray, tuple[slice, ...]]:
    """Centre an image smaller than the patch in it; return it and where the image lies."""
    widths, crop = [(0, 0)], []
    for size, patch in zip(image.shape[1:], window.patch, strict=True):
        missing = max(0, patch - size)
        widths.append((missing // 2, missing - missing // 2))
        crop.append(slice(missing // 2, missing // 2 + size))
    if not any(after for _, after in widths):
        return image, tuple(crop)
    return (np.pad(image, widths, mode="edge") if window.padding == "edge" else np.pad(image, widths)), tuple(crop)


def window_starts(size: int, patch: int, overlap: float) -> list[int]:
    """Return where the windows of an axis begin: at even distances, the last one at its end."""
    step = max(1.0, patch * (1.0 - overlap))
    count = int(np.ceil((size - patch) / step)) + 1
    return [int(value) for value in np.rint(np.linspace(0, size - patch, count))] if count > 1 else [0]


def _gaussian(size: int) -> np.ndarray:
    distance = np.arange(size) - (size - 1) / 2
    return np.exp(-0.5 * (distance / max(size / 8.0, 0.5)) ** 2).astype(np.float32).clip(1e-4)


def _total(starts: list[int], weights: np.ndarray, size: int) -> np.ndarray:
    """Sum of the weights along one axis; over the grid of windows the sum is the product of the axes'."""
    total = np.zeros(size, np.float32)
    for start in starts:
        total[start : start + len(weights)] += weights
    return total


def _outer(axes: list[np.ndarray]) -> np.ndarray:
    result = np.ones((), np.float32)
    for axis in axes:
        result = np.multiply.outer(result, axis)
    return result
