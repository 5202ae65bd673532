"""RoIAlign, boxes and anchors in plain torch: what Mask R-CNN needs and torch itself has not.

Boxes are (n, 4) of x0, y0, x1, y1 in pixels of the image. The conventions are torchvision's (aligned = False), so that
its weights give its results.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from dicom_ai.imaging.boxes import LARGEST_GROWTH

Weights = tuple[float, float, float, float]


def roi_align(features: Tensor, boxes: Tensor, *, bins: int, scale: float, samples: int = 2) -> Tensor:
    """Return what each box holds, (n, C, bins, bins): the mean of samples x samples points interpolated in each bin.

    features: of one image, (C, H, W). scale: pixels of the features per pixel of the image. A box is a product of two
    intervals, so its bins are two matrix products: rows, then columns.
    """
    corners = boxes.to(features.dtype) * scale
    sizes = (corners[:, 2:] - corners[:, :2]).clamp(min=1.0) / bins
    across = _axis(corners[:, 0], sizes[:, 0], bins, features.shape[2], samples)  # (n, bins, W)
    down = _axis(corners[:, 1], sizes[:, 1], bins, features.shape[1], samples)  # (n, bins, H)
    rows = torch.einsum("nph,chw->ncpw", down, features)
    return torch.einsum("ncpw,nqw->ncpq", rows, across)


def _axis(start: Tensor, step: Tensor, bins: int, size: int, samples: int) -> Tensor:
    """Return the weights of the pixels of an axis in each bin, (n, bins, size)."""
    places = torch.arange(bins * samples, device=start.device, dtype=start.dtype) / samples + 0.5 / samples
    places = start[:, None] + places * step[:, None]  # (n, bins * samples)
    known = (places >= -1.0) & (places <= size)
    places = places.clamp(0, size - 1)
    lower = places.floor()
    share = places - lower
    lower_index = lower.long()
    upper_index = (lower_index + 1).clamp(max=size - 1)
    scale = known.to(start.dtype) / samples
    weights = start.new_zeros(len(start), bins * samples, size)
    weights.scatter_add_(2, lower_index[..., None], ((1 - share) * scale)[..., None])
    weights.scatter_add_(2, upper_index[..., None], (share * scale)[..., None])
    return weights.reshape(len(start), bins, samples, size).sum(dim=2)


def anchors(
    shapes: Sequence[tuple[int, int]], image: tuple[int, int], sizes: Sequence[int], ratios: Sequence[float]
) -> Tensor:
    """Return the anchors of all levels, (n, 4): by level, row, column, ratio (height per width)."""
    found = []
    for (rows, columns), size in zip(shapes, sizes, strict=True):
        root = torch.tensor(ratios).sqrt()
        base = (torch.stack([-size / root, -size * root, size / root, size * root], dim=1) / 2).round()
        y, x = torch.meshgrid(
            torch.arange(rows) * (image[0] // rows), torch.arange(columns) * (image[1] // columns), indexing="ij"
        )
        found.append((torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4) + base).reshape(-1, 4))
    return torch.cat(found)


def moved(boxes: Tensor, deltas: Tensor, weights: Weights) -> Tensor:
    """Return boxes (n, 4) moved by deltas (n, k, 4), (n, k, 4); the inverse of deltas_to."""
    size = boxes[:, 2:] - boxes[:, :2]
    centre = boxes[:, :2] + size / 2
    scaled = deltas / deltas.new_tensor(weights)
    middle = centre[:, None] + scaled[..., :2] * size[:, None]
    half = scaled[..., 2:].clamp(max=LARGEST_GROWTH).exp() * size[:, None] / 2
    return torch.cat([middle - half, middle + half], dim=-1)


def deltas_to(wanted: Tensor, boxes: Tensor, weights: Weights) -> Tensor:
    """Return what moves boxes (n, 4) to the wanted ones (n, 4), (n, 4)."""
    size, wanted_size = boxes[:, 2:] - boxes[:, :2], wanted[:, 2:] - wanted[:, :2]
    shift = (wanted[:, :2] + wanted_size / 2 - boxes[:, :2] - size / 2) / size
    return torch.cat([shift, (wanted_size / size).log()], dim=1) * boxes.new_tensor(weights)


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the intersection over union of each box with each other, (n, m)."""
    low = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    both = (high - low).clamp(min=0).prod(dim=-1)
    area = [(b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (boxes, others)]
    return both / (area[0][:, None] + area[1][None] - both)
