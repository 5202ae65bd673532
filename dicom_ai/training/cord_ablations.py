"""Small variants of the cord recipe, as arXiv 2310.15402 compares them: target, loss, contrasts.

All variants see the same formula necks in the same steps, each from several seeds; they are scored on formula necks
that no training draws, each in every contrast. The network is far smaller than the shipped one, so the numbers compare
variants, nothing else; a difference says something where it is larger than that between two seeds of a variant.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

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
from dicom_ai.training.losses import adaptive_wing, entropy_and_dice, soft_dice, wing_and_dice
from dicom_ai.training.recipes import Report, Say

NET = UNetConfig((8, 16, 32, 48), ((2, 2, 2),) * 3, supervised=0)
PATCH = (32, 32, 32)
"""At 1 mm: cord, canal and what borders on them. A larger patch costs more than it teaches in so few steps."""
LEARNING_RATE = 2e-3
UNSEEN = tuple(range(100, 106))
SEEDS = 2
SCORES = ("dice", "csa_bias_percent", "csa_error_percent", "csa_spread_mm2")
COLUMNS = ("variant", *SCORES, "seeds_differ_dice", "seeds_differ_error_percent", "seeds_differ_spread_mm2")


@dataclass(frozen=True, slots=True)
class Variant:
    """What differs. binary: the target is cut at 0.5. contrast: "" is any."""

    name: str
    loss: Callable[[list[Tensor], Tensor], Tensor] = entropy_and_dice
    binary: bool = False
    contrast: str = ""


Scans = list[tuple[Tensor, Tensor]]
"""Image and soft cord of one neck in every contrast, shape PATCH each."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What all variants share. pack: the cases. out: a folder per variant and seed. seeds: how each is repeated."""

    pack: Path
    out: Path
    steps: int
    threads: int
    seeds: Sequence[int] = tuple(range(SEEDS))


def wing_only(scores: list[Tensor], target: Tensor) -> Tensor:
    """Regression: the adaptive wing loss per cord voxel."""
    return adaptive_wing(torch.sigmoid(scores[0].float()), target).sum() / (target.sum() + 0.002 * target.numel())


def dice_only(scores: list[Tensor], target: Tensor) -> Tensor:
    """Segmentation: the Dice loss."""
    return soft_dice(torch.sigmoid(scores[0].float()), target).mean()


VARIANTS = (
    Variant("as shipped: soft target, cross entropy + Dice, any contrast"),
    Variant("soft target, wing + Dice, any contrast", wing_and_dice),
    Variant("soft target, wing, any contrast", wing_only),
    Variant("soft target, Dice, any contrast", dice_only),
    Variant("binary target, cross entropy + Dice, any contrast", binary=True),
    Variant("binary target, Dice, any contrast", dice_only, binary=True),
    Variant("soft target, cross entropy + Dice, T2 only", contrast="T2"),
)


def ablate(trial: Trial, *, say: Say) -> Report:
    """Train every variant from every seed and return the table: means over the seeds, and how far these lie apart."""
    torch.set_num_threads(trial.threads or torch.get_num_threads())
    necks = unseen_necks()
    rows = []
    for variant in VARIANTS:
        scores = [score_variant(train_variant(variant, trial, seed), necks) for seed in trial.seeds]
        for seed, one in zip(trial.seeds, scores, strict=True):
            say(f"{variant.name}, seed {seed}: " + ", ".join(f"{key} {value:.4g}" for key, value in one.items()))
        rows.append({"variant": variant.name} | over_seeds(scores))
    note = (
        f"{trial.steps} steps of 2 patches {PATCH}, {len(UNSEEN)} unseen formula necks in {', '.join(CONTRASTS)}; "
        f"means of seeds {', '.join(map(str, trial.seeds))}"
    )
    return Report(COLUMNS, tuple(rows), (note,))


def over_seeds(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each score, and the largest less the smallest of those that are compared."""
    apart = {key: max(one[key] for one in scores) - min(one[key] for one in scores) for key in SCORES}
    return {
        "dice": round(fmean(one["dice"] for one in scores), 3),
        **{key: round(fmean(one[key] for one in scores), 2) for key in SCORES[1:]},
        "seeds_differ_dice": round(apart["dice"], 3),
        "seeds_differ_error_percent": round(apart["csa_error_percent"], 2),
        "seeds_differ_spread_mm2": round(apart["csa_spread_mm2"], 2),
    }


def train_variant(variant: Variant, trial: Trial, seed: int) -> UNet3d:
    """Train one variant and return its averaged network."""
    synthesis = SynthesisConfig(patch=PATCH, coarse_share=0.0, contrast=variant.contrast, weights=(("formula", 1.0),))
    config = loop.LoopConfig(
        steps=trial.steps,
        learning_rate=LEARNING_RATE,
        warm_up=max(1, trial.steps // 20),
        average=0.98,
        threads=trial.threads,
        save_every=trial.steps,
    )
    torch.manual_seed(seed)
    start = UNet3d(NET)
    for name, parameter in start.named_parameters():
        if name.startswith("heads") and name.endswith("bias"):
            torch.nn.init.constant_(parameter, -4.0)  # it starts by calling nothing cord, as the shipped one did
    done = loop.run(
        loop.start(start, config),
        lambda numbers: batches(partial(_prepare, trial.pack, synthesis, variant.binary, seed), numbers),
        variant.loss,
        config,
        trial.out / f"{variant.name.replace(' ', '-')}-{seed}",
    )
    net = UNet3d(NET)
    net.load_state_dict(done.averaged)
    return net.eval()


def _prepare(pack: Path, synthesis: SynthesisConfig, binary: bool, seed: int) -> MakeBatch:
    bank = Bank.of([case for case in read_pack(pack) if case.person.startswith("formula")])

    def make(number: int) -> tuple[np.ndarray, ...]:
        samples = [make_sample(bank, synthesis, seed=seed, number=2 * number + i) for i in range(2)]
        target = np.stack([sample.target.numpy() for sample in samples])
        target = (target >= 0.5).astype(np.float32) if binary else target
        return np.stack([sample.image.numpy() for sample in samples]), target

    return make


def unseen_necks() -> list[Scans]:
    """Return the necks that every variant is scored on."""
    return [[_neck(seed, contrast) for contrast in CONTRASTS] for seed in UNSEEN]


def score_variant(net: Callable[[Tensor], Tensor], necks: Sequence[Scans]) -> dict[str, float]:
    """Return Dice, CSA bias and error against the truth, and the CSA's spread over contrasts."""
    dice, relative, spreads = [], [], []
    for scans in necks:
        areas = []
        for image, truth in scans:
            with torch.inference_mode():
                soft = torch.sigmoid(net(normalised(image, torch.ones_like(image))[None, None]))[0, 0]
            dice.append(1 - float(soft_dice(soft[None], truth[None])))
            area, wanted = (mask.sum((1, 2)).double().numpy()[4:-4] for mask in (soft, truth))
            relative.append(100 * (area / wanted - 1))
            areas.append(area)
        spreads.append(np.std(areas, axis=0, ddof=1).mean())
    errors = np.concatenate(relative)
    return {
        "dice": fmean(dice),
        "csa_bias_percent": float(errors.mean()),
        "csa_error_percent": float(np.abs(errors).mean()),
        "csa_spread_mm2": float(np.mean(spreads)),
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
