"""Stage 1 of SSHSNet (arXiv 2203.12151): two 2-D DeepLabv3+ branches that teach each other, or one alone.

They teach each other by cross pseudo supervision with CutMix: each learns the other's hard choice on mixed patches.

Losses are Dice + cross entropy, partial where the truth is partial (spine_losses.py). The schedule runs on wall-clock
minutes or on steps, whichever ends first; a run goes on from its checkpoint. Needs torch, numpy and one packed file.
"""

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dicom_ai.nets.deeplabv3plus import COMPACT_2D, DeepLabConfig, DeepLabV3Plus
from dicom_ai.training.data.cases import Case
from dicom_ai.training.data.spine_batches import BatchSettings, SpineBatches
from dicom_ai.training.data.spine_classes import allowed_table
from dicom_ai.training.spine_losses import box_mask, cross_pseudo_loss, partial_loss

CHECKPOINT = "stage1.pt"
CUTMIX_BOXES = 3
CLIP = 12.0
WARM_SHARE = 0.03

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stage1Settings:
    """scheme: of spine_classes.SCHEMES. minutes, steps: the run ends with the first of them.

    branches: 2 for cross pseudo supervision, 1 without it.

    unlabelled: patches per step that both branches label for each other; any case serves, for each is partly unknown.
    mean_decay: of the running mean of the weights that is kept beside them and shipped. bf16: mixed precision.
    """

    net: DeepLabConfig = COMPACT_2D
    scheme: str = "compact"
    minutes: float = 60.0
    steps: int = 1_000_000
    branches: int = 2
    unlabelled: int = 4
    learning_rate: float = 3e-3
    mean_decay: float = 0.998
    seed: int = 1
    device: str = "cpu"
    bf16: bool = False
    save_every_s: float = 120.0
    batches: BatchSettings = field(default_factory=BatchSettings)


class Stage1Run:
    """A run of stage 1 that can be saved and taken up again: branches, their running means, optimisers, progress."""

    def __init__(self, settings: Stage1Settings, folder: Path) -> None:
        """Open a run in a folder; where stage1.pt lies in it, the run goes on from there."""
        torch.manual_seed(settings.seed)
        self.settings, self.folder = settings, folder
        self.device = torch.device(settings.device)
        self.branches = [self._branch() for _ in range(settings.branches)]
        self.means = [_frozen_copy(settings.net, branch).to(self.device) for branch in self.branches]
        self.optimisers = [
            torch.optim.AdamW(branch.parameters(), settings.learning_rate, weight_decay=1e-4)
            for branch in self.branches
        ]
        self.step, self.seconds = 0, 0.0
        self._resume()

    @property
    def progress(self) -> float:
        """The share of the run that is done, 0..1."""
        settings = self.settings
        return min(1.0, max(self.seconds / (60 * settings.minutes), self.step / settings.steps))

    def begin_with(self, begin: Callable[[DeepLabV3Plus], None]) -> None:
        """Let the first branch and its running mean begin with given weights."""
        begin(self.branches[0])
        self.means[0].load_state_dict(self.branches[0].state_dict())

    def save(self) -> None:
        """Write the state so that a later run goes on, in one rename."""
        state = {
            "config": json.dumps(asdict(self.settings)),
            "branches": [branch.state_dict() for branch in self.branches],
            "means": [mean.state_dict() for mean in self.means],
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "seconds": self.seconds,
        }
        part = self.folder / f"{CHECKPOINT}.part"
        torch.save(state, part)
        part.replace(self.folder / CHECKPOINT)

    def _branch(self) -> DeepLabV3Plus:
        branch = DeepLabV3Plus(self.settings.net).to(self.device)
        for parameter in branch.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return branch

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        for branch, saved in zip([*self.branches, *self.means], [*state["branches"], *state["means"]], strict=True):
            branch.load_state_dict(saved)
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.seconds = int(state["step"]), float(state["seconds"])


def train_stage1(
    cases: Sequence[Case],
    settings: Stage1Settings,
    folder: Path,
    *,
    say: Say,
    begin: Callable[[DeepLabV3Plus], None] | None = None,
    unlabelled: Sequence[Case] = (),
) -> list[DeepLabV3Plus]:
    """Train on cases until the time is over; return the running means of the branches, in eval mode.

    folder: holds the checkpoint, before and after. say: takes a line on the progress now and then. begin: gives the
    first branch the weights to begin with, where there is no checkpoint; a second one keeps its own random ones.
    unlabelled: whose images two branches label for each other besides those of the cases; their codes are not read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = Stage1Run(settings, folder)
    if begin is not None and not run.step:
        run.begin_with(begin)
    batches = SpineBatches(cases, settings.batches, seed=settings.seed + 7919 * run.step)
    pool = SpineBatches([*cases, *unlabelled], settings.batches, seed=settings.seed + 104729 + 7919 * run.step)
    allowed = torch.from_numpy(allowed_table(settings.scheme)).to(run.device)
    mixer = torch.Generator().manual_seed(settings.seed + run.step)
    saved = time.monotonic()
    losses: list[float] = []
    while run.progress < 1:
        started = time.monotonic()
        losses.append(_step(run, batches, pool, mixer, allowed))
        run.step += 1
        run.seconds += time.monotonic() - started
        if run.step % 100 == 0:
            say(f"step {run.step}, {run.seconds / 60:.1f} min, loss {np.mean(losses[-100:]):.3f}")
        if time.monotonic() - saved > settings.save_every_s:
            run.save()
            saved = time.monotonic()
    run.save()
    return [mean.eval() for mean in run.means]


def _step(
    run: Stage1Run, batches: SpineBatches, pool: SpineBatches, mixer: torch.Generator, allowed: torch.Tensor
) -> float:
    """Make one step of every branch and return the mean supervised loss."""
    rate = run.settings.learning_rate * rate_factor(run.progress)
    image, codes = batches.draw(run.device)
    mixed = _mixed(run, pool, mixer) if run.settings.branches > 1 else None
    with _precision(run):
        supervised = [partial_loss(_forward(branch, image), codes, allowed) for branch in run.branches]
        cross = _cross(run, mixed) if mixed is not None else [torch.zeros(()) for _ in run.branches]
    for branch, optimiser, loss, pseudo in zip(run.branches, run.optimisers, supervised, cross, strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad(set_to_none=True)
        (loss + pseudo).backward()
        nn.utils.clip_grad_norm_(branch.parameters(), CLIP)
        optimiser.step()
    for branch, mean in zip(run.branches, run.means, strict=True):
        _follow(mean, branch, min(run.settings.mean_decay, (1 + run.step) / (10 + run.step)))
    return float(np.mean([float(loss.detach()) for loss in supervised]))


def _forward(branch: DeepLabV3Plus, image: torch.Tensor) -> torch.Tensor:
    """Return logits in float32, (B, K, H, W)."""
    logits: torch.Tensor = branch(image.contiguous(memory_format=torch.channels_last))
    return logits.float()


def _mixed(
    run: Stage1Run, batches: SpineBatches, mixer: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return two sets of unlabelled patches and the mask that mixes them."""
    count = run.settings.unlabelled
    first, second = (batches.draw(run.device)[0][:count] for _ in range(2))
    mask = box_mask((len(first), *first.shape[2:]), CUTMIX_BOXES, mixer).to(run.device)
    return first, second, mask


def _cross(run: Stage1Run, mixed: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> list[torch.Tensor]:
    """Return the cross pseudo loss of both branches: each learns from what the other sees in the unmixed patches."""
    first, second, mask = mixed
    image = first * (1 - mask) + second * mask
    with torch.no_grad():
        seen = [_forward(branch, first) * (1 - mask) + _forward(branch, second) * mask for branch in run.branches]
    return [cross_pseudo_loss(_forward(branch, image), seen[1 - place]) for place, branch in enumerate(run.branches)]


def rate_factor(progress: float) -> float:
    """Return the factor of the learning rate: a short linear rise, then half a cosine down to a hundredth."""
    if progress < WARM_SHARE:
        return 0.1 + 0.9 * progress / WARM_SHARE
    return 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * (progress - WARM_SHARE) / (1 - WARM_SHARE))))


def _precision(run: Stage1Run) -> Any:
    if run.settings.bf16:
        return torch.autocast(run.device.type, torch.bfloat16)
    return contextlib.nullcontext()


def _frozen_copy(config: DeepLabConfig, branch: DeepLabV3Plus) -> DeepLabV3Plus:
    copy = DeepLabV3Plus(config)
    copy.load_state_dict(branch.state_dict())
    return copy.requires_grad_(False)


@torch.no_grad()
def _follow(mean: nn.Module, branch: nn.Module, decay: float) -> None:
    for kept, new in zip(mean.state_dict().values(), branch.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)
