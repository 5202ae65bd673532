"""What teaches the Mask R-CNN: targets of a view, and the five losses of He et al. 2017.

A target is a table (MOST, COLUMNS) of numbers: class in nets.maskrcnn.CLASSES (0: an empty row) and the outline of the
vertebra, (column, row). Masks are not drawn: the outline tells how much of each cell of a box a vertebra covers.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dicom_ai.inference.maskrcnn import BOX_WEIGHTS, proposals
from dicom_ai.nets.maskrcnn import BOX_BINS, CLASSES, MASK_BINS, MASK_SIZE, MaskRCNN, anchors_of
from dicom_ai.nets.maskrcnn_ops import deltas_to, moved, overlaps, roi_align
from dicom_ai.training.data.xray_outlines import POINTS
from dicom_ai.training.data.xray_synthesis import View

MOST, COLUMNS = 26, 1 + 2 * POINTS
"""Of a target: more rows than a spine has vertebrae from C2 to S1."""
SEEN, LEAST_SIDE_PX = 0.5, 5.0
"""A vertebra is a target where at least this share of its box lies in the view, and as large."""

ANCHORS, BOXES, POSITIVE = 128, 48, 0.33
"""Drawn for each image: anchors (half of them positive), boxes, and the share of positive boxes."""
ANCHOR_MATCH, BOX_MATCH = (0.3, 0.6), 0.5
"""Overlap below which an anchor is background and from which it is a vertebra; and from which a box is one."""
_BETA = 1 / 9


def target_of(view: View) -> np.ndarray:
    """Return the target of a view, float32 (MOST, COLUMNS)."""
    rows, columns = view.image.shape[1:]
    table = np.zeros((MOST, COLUMNS), np.float32)
    number = 0
    for level, outline in zip(view.levels, view.outlines, strict=True):
        low, high = outline.min(axis=0), outline.max(axis=0)
        shown = np.clip(high, 0, (columns, rows)) - np.clip(low, 0, (columns, rows))
        if shown.min() < LEAST_SIDE_PX or np.prod(shown) < SEEN * np.prod(high - low):
            continue
        kind = CLASSES.index(level) if level in CLASSES else 1
        table[number] = [kind, *outline.reshape(-1)]
        number += 1
    return table


def detector_loss(net: MaskRCNN, answers: tuple[Tensor, ...], targets: Tensor, *, mixed: bool = False) -> Tensor:
    """Return the sum of the five losses. answers: of net(images). targets: (B, MOST, COLUMNS).

    mixed: heads in bfloat16.
    """
    objectness, deltas, *levels = answers
    rows, columns = levels[0].shape[2] * 4, levels[0].shape[3] * 4
    places = anchors_of(net.config, (rows, columns)).to(objectness.device)
    total = objectness.new_zeros((), dtype=torch.float32)
    with torch.autocast(objectness.device.type, enabled=False):
        for image, table in enumerate(targets):
            table = table[table[:, 0] > 0]
            truth = boxes_of(table, (rows, columns))
            total = total + _proposal_loss(objectness[image].float(), deltas[image].float(), places, truth)
            found = proposals(
                objectness[image].detach().float().cpu().numpy(),
                moved(places, deltas[image].detach().float()[:, None], (1.0, 1.0, 1.0, 1.0))[:, 0].cpu().numpy(),
                (rows, columns),
            )
            boxes = torch.cat([torch.as_tensor(found, dtype=torch.float32, device=places.device), truth])
            maps = [level[image].float() for level in levels[:-1]]
            total = total + _box_losses(net, maps, boxes, table, mixed=mixed)
    return total / len(targets)


def boxes_of(table: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return the boxes (n, 4) around the outlines of a target's rows, cut off at the edges of the view."""
    outlines = table[:, 1:].reshape(-1, POINTS, 2)
    limit = outlines.new_tensor([shape[1], shape[0]])
    if not len(table):
        return table.new_zeros(0, 4)
    low, high = outlines.amin(dim=1), outlines.amax(dim=1)
    return torch.cat([torch.minimum(low.clamp(min=0), limit), torch.minimum(high.clamp(min=0), limit)], dim=1)


def covered(outlines: Tensor, boxes: Tensor, size: int = MASK_SIZE) -> Tensor:
    """Return how much of each cell of boxes (n, 4) outlines (n, POINTS, 2) cover, (n, size, size).

    As data.xray_outlines.paint_outline: seen from its middle, the edge of an outline that lies behind a cell decides.
    """
    steps = (torch.arange(size, device=boxes.device) + 0.5) / size
    x = boxes[:, :1] + steps * (boxes[:, 2:3] - boxes[:, :1])  # (n, size)
    y = boxes[:, 1:2] + steps * (boxes[:, 3:] - boxes[:, 1:2])
    middle = outlines.mean(dim=1)
    around = outlines - middle[:, None]
    angles, order = torch.atan2(around[..., 1], around[..., 0]).sort(dim=1)
    around = around.gather(1, order[..., None].expand_as(around))
    edges = around.roll(-1, dims=1) - around  # (n, POINTS, 2)
    normals = torch.stack([edges[..., 1], -edges[..., 0]], dim=-1)
    normals = normals / normals.norm(dim=2, keepdim=True).clamp(min=1e-6)
    reach = (normals * around).sum(dim=2)
    down = (y - middle[:, 1:])[:, :, None].expand(-1, -1, size).flatten(1)  # (n, size * size)
    across = (x - middle[:, :1])[:, None, :].expand(-1, size, -1).flatten(1)
    edge = (torch.searchsorted(angles, torch.atan2(down, across)) - 1) % outlines.shape[1]
    facing = normals.gather(1, edge[..., None].expand(-1, -1, 2))
    distance = reach.gather(1, edge) - facing[..., 0] * across - facing[..., 1] * down
    cell = ((boxes[:, 2:] - boxes[:, :2]) / size).mean(dim=1).clamp(min=1e-6)
    return (distance / cell[:, None] + 0.5).clamp(0, 1).unflatten(1, (size, size))


def _proposal_loss(logits: Tensor, deltas: Tensor, places: Tensor, truth: Tensor) -> Tensor:
    """Return the losses of objectness and boxes of one image's anchors."""
    number, share = _matched(places, truth)
    positive = share >= ANCHOR_MATCH[1]
    if len(truth):
        best = overlaps(truth, places).argmax(dim=1)  # every vertebra has at least one anchor
        positive[best] = True
        number[best] = torch.arange(len(truth), device=best.device)
    yes = _some(positive, ANCHORS // 2)
    no = _some((share < ANCHOR_MATCH[0]) & ~positive, ANCHORS - len(yes))
    both = torch.cat([yes, no])
    loss = F.binary_cross_entropy_with_logits(logits[both], positive[both].float())
    if len(yes):
        wanted = deltas_to(truth[number[yes]], places[yes], (1.0, 1.0, 1.0, 1.0))
        loss = loss + F.smooth_l1_loss(deltas[yes], wanted, beta=_BETA, reduction="sum") / len(both)
    return loss


def _box_losses(net: MaskRCNN, maps: list[Tensor], boxes: Tensor, table: Tensor, *, mixed: bool) -> Tensor:
    """Return the losses of class, box and mask of some of one image's proposals; the last len(table) are the truth."""
    truth = boxes[len(boxes) - len(table) :]
    number, share = _matched(boxes, truth)
    yes = _some(share >= BOX_MATCH, int(POSITIVE * BOXES))
    both = torch.cat([yes, _some(share < BOX_MATCH, BOXES - len(yes))])
    kinds = torch.zeros(len(both), dtype=torch.long, device=boxes.device)
    kinds[: len(yes)] = table[number[yes], 0].long()
    held = pooled(maps, boxes[both], BOX_BINS)
    with torch.autocast(boxes.device.type, torch.bfloat16, enabled=mixed):
        logits, deltas = net.roi_heads.boxes(held)
    loss = F.cross_entropy(logits.float(), kinds)
    if not len(yes):
        return loss
    rows = torch.arange(len(yes), device=boxes.device)
    mine = deltas.float().reshape(len(both), -1, 4)[rows, kinds[: len(yes)]]
    wanted = deltas_to(truth[number[yes]], boxes[yes], BOX_WEIGHTS)
    held = pooled(maps, boxes[yes], MASK_BINS)
    with torch.autocast(boxes.device.type, torch.bfloat16, enabled=mixed):
        masks = net.roi_heads.masks(held)[rows, kinds[: len(yes)]]
    outlines = table[number[yes], 1:].reshape(-1, POINTS, 2)
    return (
        loss
        + F.smooth_l1_loss(mine, wanted, beta=_BETA, reduction="sum") / len(both)
        + F.binary_cross_entropy_with_logits(masks.float(), covered(outlines, boxes[yes]))
    )


def pooled(maps: list[Tensor], boxes: Tensor, bins: int) -> Tensor:
    """Return what boxes hold, (n, C, bins, bins), as inference.maskrcnn.pooled does."""
    side = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).clamp(min=1e-6).sqrt()
    level = (torch.floor(4 + torch.log2(side / 224) + 1e-6).clamp(2, 1 + len(maps)) - 2).long()
    found = maps[0].new_zeros(len(boxes), maps[0].shape[0], bins, bins)
    for number, features in enumerate(maps):
        mine = torch.nonzero(level == number).flatten()
        if len(mine):
            found = found.index_put((mine,), roi_align(features, boxes[mine], bins=bins, scale=0.25 / 2**number))
    return found


def _matched(boxes: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return the vertebra that each box overlaps most, and by how much."""
    if not len(truth):
        return boxes.new_zeros(len(boxes), dtype=torch.long), boxes.new_zeros(len(boxes))
    share, number = overlaps(boxes, truth).max(dim=1)
    return number, share


def _some(mask: Tensor, most: int) -> Tensor:
    """Return at most so many of the indices that are true, drawn at random."""
    found = torch.nonzero(mask).flatten()
    return found[torch.randperm(len(found), device=found.device)[: max(most, 0)]]
