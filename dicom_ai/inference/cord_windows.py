"""Windows that follow the cord: one after another along the slices, each centred on what is known of the cord there.

    slices   |-- window 1 --|             the next begins half a patch further; where the cord leans so much that one
                   |-- window 2 --|       window cannot hold it, two or more stand side by side

so the work grows with the length of the cord and not with the field of view.
"""

from collections.abc import Callable, Sequence

import numpy as np

Corner = tuple[int, int, int]
Forward = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Image and field of view of one window, shape (*patch) each -> logits, same shape."""

KEPT_AWAY = 8
"""The cord is at least so many voxels from the sides of a window, where the image goes on."""


def windows_along(near: np.ndarray, patch: Sequence[int]) -> list[Corner]:
    """Return the first corners of windows that together cover where `near` is True, from the first slice on.

    near: bool (slices, rows, columns), at least as large as the patch on every axis.
    """
    corners = []
    for begin in _spread(0, near.shape[0], patch[0]):
        slab = np.asarray(np.any(near[begin : begin + patch[0]], axis=0))
        if not slab.any():
            continue
        sides = []
        for axis in range(2):
            line = np.flatnonzero(slab.any(axis=1 - axis))
            sides.append(_covering(int(line[0]), int(line[-1]) + 1, near.shape[axis + 1], patch[axis + 1]))
        corners += [(begin, row, column) for row in sides[0] for column in sides[1]]
    return corners


def blended(
    image: np.ndarray,
    near: np.ndarray,
    patch: Sequence[int],
    forward: Forward,
    *,
    progress: Callable[[float], None] | None = None,
) -> np.ndarray:
    """Return the logits of a network along the cord, float32, shape of the image; -inf where no window was.

    Windows are blended with Gaussian weights, as inference.sliding_window does. An image smaller than the patch is
    surrounded by what is no field of view.
    """
    widths = [(0, max(0, size - have)) for size, have in zip(patch, image.shape, strict=True)]
    padded, view, wanted = np.pad(image, widths), np.pad(np.ones(image.shape, bool), widths), np.pad(near, widths)
    weights = _gaussian(patch)
    sums, total = np.zeros(padded.shape, np.float32), np.zeros(padded.shape, np.float32)
    corners = windows_along(wanted, patch)
    for done, corner in enumerate(corners, 1):
        place = tuple(slice(at, at + size) for at, size in zip(corner, patch, strict=True))
        sums[place] += forward(padded[place], view[place]) * weights
        total[place] += weights
        if progress is not None:
            progress(done / len(corners))
    logits = np.full(padded.shape, -np.inf, np.float32)
    np.divide(sums, total, out=logits, where=total > 0)
    return logits[tuple(slice(0, have) for have in image.shape)]


def _covering(low: int, high: int, size: int, patch: int) -> list[int]:
    """Return where windows begin that cover [low, high) with room on both sides, inside [0, size)."""
    if high - low + 2 * KEPT_AWAY <= patch:
        return [int(np.clip((low + high - patch) // 2, 0, size - patch))]
    first = min(max(0, low - KEPT_AWAY), size - patch)
    return _spread(first, min(size, high + KEPT_AWAY), patch)


def _spread(low: int, high: int, patch: int) -> list[int]:
    """Return evenly spread beginnings at most half a patch apart, the first at low, the last ending at high."""
    last = max(low, high - patch)
    count = int(np.ceil((last - low) / (patch / 2))) + 1
    return [int(value) for value in np.rint(np.linspace(low, last, count))]


def _gaussian(patch: Sequence[int]) -> np.ndarray:
    result = np.ones((), np.float32)
    for size in patch:
        distance = (np.arange(size) - (size - 1) / 2) / (size / 8)
        result = np.multiply.outer(result, np.exp(-0.5 * distance**2).clip(1e-4).astype(np.float32))
    return result
