"""The recipe of the spinal cord model: soft, contrast-agnostic (arXiv 2310.15402), trained on invented contrasts.

dicom-ai train spinal-cord --data ../shared/data --out train-out      packs the cases, trains, exports
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dicom_ai.nets.unet import CONFIGS, UNet3d
from dicom_ai.training import loop
from dicom_ai.training.data.batches import MakeBatch, batches
from dicom_ai.training.data.cases import read_pack
from dicom_ai.training.data.cord_synthesis import Bank, SynthesisConfig, make_sample
from dicom_ai.training.losses import wing_and_dice


@dataclass(frozen=True, slots=True)
class CordRecipe:
    """Everything that decides the weights. net: of nets.unet.CONFIGS."""

    pack: Path
    net: str = "compact"
    batch: int = 2
    seed: int = 0
    workers: int = 1
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)


def prepare(recipe: CordRecipe) -> MakeBatch:
    """Read the pack and return what makes batch i: images and targets, float32 (batch, 1, *patch)."""
    bank = Bank.of(read_pack(recipe.pack))

    def make(number: int) -> tuple[np.ndarray, ...]:
        samples = [
            make_sample(bank, recipe.synthesis, seed=recipe.seed, number=number * recipe.batch + i)
            for i in range(recipe.batch)
        ]
        return np.stack([s.image.numpy() for s in samples]), np.stack([s.target.numpy() for s in samples])

    return make


def new_net(recipe: CordRecipe) -> UNet3d:
    """Return the untrained network; it starts by calling nothing cord."""
    torch.manual_seed(recipe.seed)
    net = UNet3d(CONFIGS[recipe.net])
    for name, parameter in net.named_parameters():
        if name.startswith("heads") and name.endswith("bias"):
            torch.nn.init.constant_(parameter, -4.0)
    return net


def train(recipe: CordRecipe, config: loop.LoopConfig, folder: Path) -> loop.Training:
    """Train, going on from the folder's checkpoint where there is one."""
    training = loop.start(new_net(recipe), config)
    if (folder / loop.CHECKPOINT).exists():
        training = loop.resume(training, folder)
    return loop.run(
        training,
        lambda numbers: batches(partial(prepare, recipe), numbers, workers=recipe.workers),
        wing_and_dice,
        config,
        folder,
    )
