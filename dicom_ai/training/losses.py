"""Losses. Predictions and targets are soft masks in [0, 1] unless said otherwise."""

import torch
import torch.nn.functional as F
from torch import Tensor

THETA, OMEGA, ALPHA, EPSILON = 0.5, 8.0, 2.1, 1.0
"""Parameters of the adaptive wing loss as arXiv 2310.15402 has them."""


def adaptive_wing(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the adaptive wing loss of each voxel (Wang et al., ICCV 2019), without its weighting mask.

    The mask is left out because it is inert in the code of arXiv 2310.15402 (models.md 2.2).
    """
    distance = (target - prediction).abs()
    power = ALPHA - target
    ratio = THETA / EPSILON
    slope = OMEGA / (1 + ratio**power) * power * ratio ** (power - 1) / EPSILON
    offset = THETA * slope - OMEGA * torch.log1p(ratio**power)
    near = OMEGA * torch.log1p((distance / EPSILON).clamp(min=1e-8) ** power)
    return torch.where(distance < THETA, near, slope * distance - offset)


def soft_dice(prediction: Tensor, target: Tensor, *, smooth: float = 1.0) -> Tensor:
    """Return 1 - Dice of each sample, shape (B,); squares in the denominator, so that a perfect soft mask gives 0."""
    axes = tuple(range(1, prediction.ndim))
    both = (prediction * target).sum(axes)
    each = (prediction**2).sum(axes) + (target**2).sum(axes)
    return 1 - (2 * both + smooth) / (each + smooth)


def wing_and_dice(scores: list[Tensor], target: Tensor) -> Tensor:
    """Return the loss of a deeply supervised soft segmentation: adaptive wing per cord voxel, plus Dice.

    scores: logits of each head, the full grid first; head i counts 0.5**i, its target is averaged down to its grid.
    """
    total = torch.zeros(())
    for level, logits in enumerate(scores):
        soft = torch.sigmoid(logits.float())
        wanted = target if level == 0 else F.interpolate(target, size=logits.shape[2:], mode="area")
        wing = adaptive_wing(soft, wanted).sum() / (wanted.sum() + 0.002 * wanted.numel())
        total = total + 0.5**level * (wing + soft_dice(soft, wanted).mean())
    return total


def entropy_and_dice(scores: list[Tensor], target: Tensor) -> Tensor:
    """Return cross entropy with the soft target per cord voxel, plus half of Dice; heads as in wing_and_dice.

    Cross entropy is least where the prediction is the expected share. The adaptive wing is least at 0.17 where the
    expected share is 0.3, and at 1.0 where it is 0.6: it sharpens what is uncertain, and the sum of its soft values is
    no expected area.
    """
    total = torch.zeros(())
    for level, logits in enumerate(scores):
        wanted = target if level == 0 else F.interpolate(target, size=logits.shape[2:], mode="area")
        entropy = F.binary_cross_entropy_with_logits(logits.float(), wanted.clamp(0, 1), reduction="sum")
        entropy = entropy / (wanted.sum() + 0.002 * wanted.numel())
        total = total + 0.5**level * (entropy + 0.5 * soft_dice(torch.sigmoid(logits.float()), wanted).mean())
    return total


def paper_wing(scores: list[Tensor], target: Tensor) -> Tensor:
    """Return the loss of arXiv 2310.15402: adaptive wing on the raw outputs, summed; (1/K) sum over heads of 0.5**i."""
    total = torch.zeros(())
    for level, output in enumerate(scores):
        wanted = F.interpolate(target, size=output.shape[2:], mode="trilinear") if level else target
        total = total + 0.5**level * adaptive_wing(output.float(), wanted).sum()
    return total / len(scores)
