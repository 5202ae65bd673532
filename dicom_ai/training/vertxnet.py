"""The recipe of the radiograph model (after VertXNet, arXiv 2207.05476): a U-Net and a Mask R-CNN on lateral films.

dicom-ai train spine-xray --data ../shared/data --out train-out      packs the films, trains both, exports
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dicom_ai.nets.unet2d import CONFIGS, UNet2d
from dicom_ai.training import loop
from dicom_ai.training.data.batches import MakeBatch, batches
from dicom_ai.training.data.xray_cases import read_packed, split
from dicom_ai.training.data.xray_synthesis import TARGETS, Bank, ViewConfig, draw_view, targets
from dicom_ai.training.losses import soft_dice

WEIGHT = {"body": 1.0, "core": 0.7, "C2": 0.7, "S1": 0.7, "front": 0.7}
"""What each channel of the U-Net counts in its loss."""
RARE = {"body": 1.0, "core": 2.0, "C2": 10.0, "S1": 10.0, "front": 1.5}
"""How much more a pixel inside counts than one outside: the reference vertebrae are a few pixels in a thousand."""


@dataclass(frozen=True, slots=True)
class UNetRecipe:
    """Everything that decides the weights of the U-Net. net: of nets.unet2d.CONFIGS. everything: also held-out films."""

    pack: Path
    net: str = "compact"
    batch: int = 4
    seed: int = 0
    workers: int = 1
    everything: bool = False
    views: ViewConfig = field(default_factory=ViewConfig)


def prepare(recipe: UNetRecipe) -> MakeBatch:
    """Read the pack and return what makes batch i: images (batch, 2, H, W), targets (batch, len(TARGETS), H, W)."""
    films = read_packed(recipe.pack)
    bank = Bank.of(films if recipe.everything else split(films)[0])

    def make(number: int) -> tuple[np.ndarray, ...]:
        views = [
            draw_view(bank, recipe.views, seed=recipe.seed, number=number * recipe.batch + i)
            for i in range(recipe.batch)
        ]
        return np.stack([view.image for view in views]), np.stack([targets(view) for view in views])

    return make


def new_unet(recipe: UNetRecipe) -> UNet2d:
    """Return the untrained network; it starts by calling nothing bone."""
    torch.manual_seed(recipe.seed)
    net = UNet2d(CONFIGS[recipe.net])
    assert net.head.bias is not None
    torch.nn.init.constant_(net.head.bias, -3.0)
    return net


def unet_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return Dice over the batch plus cross entropy of each channel, weighted by WEIGHT."""
    logits = logits.float()
    weights = torch.tensor([WEIGHT[name] for name in TARGETS])
    rare = torch.tensor([RARE[name] for name in TARGETS], device=logits.device)[:, None, None]
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none", pos_weight=rare).mean(dim=(0, 2, 3))
    together = torch.sigmoid(logits).transpose(0, 1).flatten(1)  # one row a channel: small C2 and S1 need company
    dice = soft_dice(together, target.transpose(0, 1).flatten(1))
    return ((5 * entropy + dice) * weights.to(logits.device)).sum() / weights.sum()


def train_unet(recipe: UNetRecipe, config: loop.LoopConfig, folder: Path) -> loop.Training:
    """Train the U-Net, going on from the folder's checkpoint where there is one."""
    training = loop.start(new_unet(recipe), config)
    if (folder / loop.CHECKPOINT).exists():
        training = loop.resume(training, folder)
    make = partial(prepare, recipe)
    return loop.run(training, lambda n: batches(make, n, workers=recipe.workers), unet_loss, config, folder)
