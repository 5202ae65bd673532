"""Losses for partly known truth: a place has a set of classes that are possible, most often one.

Cross entropy of a set is -log of the summed probability of its classes; Dice of a class is counted only where the
truth says whether a place has it. With one class per place both are the plain ones (SSHSNet: Dice + CE, 1:1).
"""

import torch
import torch.nn.functional as F


def partial_loss(logits: torch.Tensor, codes: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """Return Dice + cross entropy.

    logits: (B, K, ...). codes: (B, ...) int64, rows of `allowed`: (codes, K) bool, the classes of a code.
    """
    return set_cross_entropy(logits, codes, allowed) + set_dice_loss(logits, codes, allowed)


def set_cross_entropy(logits: torch.Tensor, codes: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """Return the mean of -log P(class is among the allowed ones)."""
    possible = allowed[codes].movedim(-1, 1)  # (B, K, ...)
    logs = F.log_softmax(logits, dim=1)
    return -torch.logsumexp(logs.masked_fill(~possible, -1e4), dim=1).mean()


def set_dice_loss(logits: torch.Tensor, codes: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """Return one minus the mean soft Dice, where known, over the classes but background that the batch holds."""
    possible = allowed[codes].movedim(-1, 1)  # (B, K, ...)
    certain = possible & (possible.sum(dim=1, keepdim=True) == 1)  # the place has the class
    known = (certain | ~possible).float()
    probability = torch.softmax(logits, dim=1) * known
    dims = (0, *range(2, logits.dim()))
    truth = certain.float()
    overlap = (probability * truth).sum(dim=dims)  # (K,)
    total = probability.sum(dim=dims) + truth.sum(dim=dims)
    present = truth.sum(dim=dims) > 0
    present[0] = False
    dice = (2 * overlap + 1) / (total + 1)
    return 1 - dice[present].mean() if present.any() else logits.sum() * 0


def cross_pseudo_loss(own: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return the cross entropy of one branch against the other's hard choice, without a gradient to the other.

    own, other: logits (B, K, ...).
    """
    return F.cross_entropy(own, other.detach().argmax(dim=1))


def box_mask(shape: tuple[int, int, int], boxes: int, generator: torch.Generator) -> torch.Tensor:
    """Return CutMix masks (B, 1, H, W) in {0, 1}: boxes of together a quarter to a half of the area, any aspect."""
    batch, height, width = shape
    mask = torch.zeros(batch, 1, height, width)
    for image in range(batch):
        share = float(torch.empty(1).uniform_(0.25, 0.5, generator=generator)) / boxes
        for _ in range(boxes):
            aspect = float(torch.empty(1).uniform_(-0.7, 0.7, generator=generator).exp())
            high = min(height, max(1, round((share * height * width * aspect) ** 0.5)))
            wide = min(width, max(1, round((share * height * width / aspect) ** 0.5)))
            top = int(torch.randint(0, height - high + 1, (1,), generator=generator))
            left = int(torch.randint(0, width - wide + 1, (1,), generator=generator))
            box = mask[image, 0, top : top + high, left : left + wide]
            box.copy_(1 - box)
    return mask
