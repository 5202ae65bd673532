"""Small variants of the cord recipe, as arXiv 2310.15402 compares them: target, loss, contrasts.

All variants see the same formula necks, steps, and seeds; they are scored on formula necks that no training draws, each
in four contrasts. The network is far smaller than the shipped one, so the numbers compare variants, nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dicom_ai.domain.image import Volume
from dicom_ai.imaging.neck_phantom import neck_phantom, random_shape
from dicom_ai.imaging.neck_tissues import CONTRASTS
from dicom_ai.nets.unet import UNet3d, UNetConfig
from dicom_ai.training import loop
from dicom_ai.training.data.batches import MakeBatch, batches
from dicom_ai.training.data.cases import read_pack
from dicom_ai.training.data.cord_synthesis import Bank, SynthesisConfig, make_sample
from dicom_ai.training.data.scan import normalised
from dicom_ai.training.losses import adaptive_wing, soft_dice, wing_and_dice
from dicom_ai.training.recipes import Report, Say

NET = UNetConfig((8, 16, 32, 48), ((2, 2, 2),) * 3, supervised=0)
PATCH = (48, 48, 48)
UNSEEN = (100, 101, 102)
COLUMNS = ("variant", "dice", "csa_bias_percent", "csa_error_percent", "csa_spread_mm2")


@dataclass(frozen=True, slots=True)
class Variant:
    """What differs. binary: the target is cut at 0.5. contrast: "" is any."""

    name: str
    loss: Callable[[list[Tensor], Tensor], Tensor] = wing_and_dice
    binary: bool = False
    contrast: str = ""


def wing_only(scores: list[Tensor], target: Tensor) -> Tensor:
    """Regression: the adaptive wing loss per cord voxel."""
    return adaptive_wing(torch.sigmoid(scores[0].float()), target).sum() / (target.sum() + 0.002 * target.numel())


def dice_only(scores: list[Tensor], target: Tensor) -> Tensor:
    """Segmentation: the Dice loss."""
    return soft_dice(torch.sigmoid(scores[0].float()), target).mean()


VARIANTS = (
    Variant("soft target, wing + Dice, any contrast"),
    Variant("soft target, wing, any contrast", wing_only),
    Variant("soft target, Dice, any contrast", dice_only),
    Variant("binary target, wing + Dice, any contrast", binary=True),
    Variant("binary target, Dice, any contrast", dice_only, binary=True),
    Variant("soft target, wing + Dice, T2 only", contrast="T2"),
)


def ablate(pack: Path, out: Path, *, steps: int, threads: int, say: Say) -> Report:
    """Train every variant and return the table."""
    torch.set_num_threads(threads or torch.get_num_threads())
    rows = []
    for variant in VARIANTS:
        net = train_variant(variant, pack, out / variant.name.replace(" ", "-"), steps=steps, threads=threads)
        rows.append({"variant": variant.name} | score_variant(net))
        say(" ".join(f"{key}={value}" for key, value in rows[-1].items()))
    note = f"{steps} steps of 2 patches {PATCH}, {len(UNSEEN)} unseen formula necks in {', '.join(CONTRASTS)}; seed 0"
    return Report(COLUMNS, tuple(rows), (note,))


def train_variant(variant: Variant, pack: Path, folder: Path, *, steps: int, threads: int) -> UNet3d:
    """Train one variant and return its averaged network."""
    synthesis = SynthesisConfig(patch=PATCH, coarse_share=0.0, contrast=variant.contrast, weights=(("formula", 1.0),))
    config = loop.LoopConfig(
        steps=steps,
        learning_rate=2e-3,
        warm_up=max(1, steps // 10),
        average=0.98,
        threads=threads,
        save_every=steps,
    )
    torch.manual_seed(0)
    start = UNet3d(NET)
    for name, parameter in start.named_parameters():
        if name.startswith("heads") and name.endswith("bias"):
            torch.nn.init.constant_(parameter, -4.0)  # it starts by calling nothing cord, as the shipped one did
    training = loop.start(start, config)
    done = loop.run(
        training,
        lambda numbers: batches(partial(_prepare, pack, synthesis, variant.binary), numbers),
        variant.loss,
        config,
        folder,
    )
    net = UNet3d(NET)
    net.load_state_dict(done.averaged)
    return net.eval()


def _prepare(pack: Path, synthesis: SynthesisConfig, binary: bool) -> MakeBatch:
    bank = Bank.of([case for case in read_pack(pack) if case.person.startswith("formula")])

    def make(number: int) -> tuple[np.ndarray, ...]:
        samples = [make_sample(bank, synthesis, seed=0, number=2 * number + i) for i in range(2)]
        target = np.stack([sample.target.numpy() for sample in samples])
        target = (target >= 0.5).astype(np.float32) if binary else target
        return np.stack([sample.image.numpy() for sample in samples]), target

    return make


def score_variant(net: UNet3d) -> dict[str, Any]:
    """Return Dice, CSA bias and error against the formula, and the CSA's spread over contrasts."""
    dice, relative, spreads = [], [], []
    for seed in UNSEEN:
        areas = []
        for contrast in CONTRASTS:
            image, truth = _neck(seed, contrast)
            with torch.inference_mode():
                soft = torch.sigmoid(net(normalised(image, torch.ones_like(image))[None, None]))[0, 0]
            dice.append(1 - float(soft_dice(soft[None], truth[None])))
            area, wanted = soft.sum((1, 2)).numpy()[4:-4], truth.sum((1, 2)).numpy()[4:-4]
            relative.append(100 * (area / wanted - 1))
            areas.append(area)
        spreads.append(np.std(areas, axis=0, ddof=1).mean())
    errors = np.concatenate(relative)
    return {
        "dice": round(fmean(dice), 4),
        "csa_bias_percent": round(float(errors.mean()), 2),
        "csa_error_percent": round(float(np.abs(errors).mean()), 2),
        "csa_spread_mm2": round(float(np.mean(spreads)), 2),
    }


def _neck(seed: int, contrast: str) -> tuple[Tensor, Tensor]:
    """Return the image and the soft cord of a formula neck around its cord, one patch at 1 mm, axial first."""
    shape = replace(random_shape(seed), squeeze=0.0)
    middle = np.array([*shape.centre(np.array(-75.0)), -75.0])
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    affine[:3, 3] = middle - affine[:3, :3] @ (np.array(PATCH) - 1) / 2
    phantom = neck_phantom(shape, Volume(np.zeros(PATCH, np.float32), affine), contrast=contrast, seed=seed)
    return torch.from_numpy(phantom.image.voxels), torch.from_numpy(phantom.cord.voxels)
