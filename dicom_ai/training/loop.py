"""The training loop: one network, one loss, batches by number, checkpoints that can be resumed and exported.

A checkpoint holds the weights, their moving average (what is exported), the optimiser, the step and the settings. The
learning rate follows the larger of the shares of steps and of minutes that are used up, so that a training with a time
limit ends annealed.
"""

import csv
import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Loss = Callable[[Any, Tensor], Tensor]
Batches = Callable[[range], Iterable[tuple[Tensor, ...]]]
"""Range of step numbers -> (image, target) of each."""

LOGGER = logging.getLogger(__name__)
CHECKPOINT, CURVE = "checkpoint.pt", "curve.csv"


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """How long and how to train.

    minutes: of wall-clock time in this run; 0 is no limit. average: decay of the moving average of the weights.
    mixed: bfloat16 arithmetic (on CUDA and on CPUs that have it). save_every, log_every: in steps.
    """

    steps: int
    minutes: float = 0.0
    learning_rate: float = 2e-3
    warm_up: int = 100
    weight_decay: float = 1e-4
    average: float = 0.995
    clip_norm: float = 5.0
    mixed: bool = True
    threads: int = 0
    device: str = "cpu"
    save_every: int = 100
    log_every: int = 10


@dataclass
class Training:
    """A training under way. step: steps done. hours: over all runs."""

    net: nn.Module
    averaged: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    step: int = 0
    hours: float = 0.0
    recent: list[float] = field(default_factory=list)


def start(net: nn.Module, config: LoopConfig) -> Training:
    """Return a training of a network at step 0."""
    net = net.to(config.device)
    if config.device == "cpu":
        net = net.to(memory_format=_channels_last(net))  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    averaged = {name: value.detach().clone() for name, value in net.state_dict().items()}
    return Training(net, averaged, optimiser)


def resume(training: Training, folder: Path) -> Training:
    """Load the checkpoint of a folder into a training."""
    stored = torch.load(folder / CHECKPOINT, weights_only=True, map_location="cpu")
    training.net.load_state_dict(stored["net"])
    training.optimiser.load_state_dict(stored["optimiser"])
    training.averaged = {name: value.clone() for name, value in stored["averaged"].items()}
    training.step, training.hours = int(stored["step"]), float(stored["hours"])
    return training


def run(training: Training, batches: Batches, loss: Loss, config: LoopConfig, folder: Path) -> Training:
    """Train until the steps or the minutes are used up; writes checkpoint.pt and curve.csv into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if config.threads:
        torch.set_num_threads(config.threads)
    began, hours_before = time.monotonic(), training.hours
    first = training.step
    training.net.train()
    for image, target in batches(range(first, config.steps)):
        minutes = (time.monotonic() - began) / 60
        share = max(training.step / config.steps, minutes / config.minutes if config.minutes else 0.0)
        if share >= 1:
            break
        _set_rate(training, config, share)
        training.recent.append(_step(training, image, target, loss, config))
        training.step += 1
        training.hours = hours_before + minutes / 60
        if training.step % config.log_every == 0:
            _log(training, folder)
        if training.step % config.save_every == 0:
            save(training, config, folder)
    if training.recent:
        _log(training, folder)
    save(training, config, folder)
    return training


def save(training: Training, config: LoopConfig, folder: Path) -> None:
    """Write checkpoint.pt; a crash while writing leaves the one before."""
    content = {
        "net": training.net.state_dict(),
        "averaged": training.averaged,
        "optimiser": training.optimiser.state_dict(),
        "step": training.step,
        "hours": training.hours,
        "loop": asdict(config),
    }
    part = folder / f"{CHECKPOINT}.part"
    torch.save(content, part)
    part.replace(folder / CHECKPOINT)


def averaged_weights(folder: Path) -> dict[str, Tensor]:
    """Return the moving average of the weights in a folder's checkpoint, float32, on the CPU."""
    stored = torch.load(folder / CHECKPOINT, weights_only=True, map_location="cpu")
    return {name: value.float().contiguous() for name, value in stored["averaged"].items()}


def _step(training: Training, image: Tensor, target: Tensor, loss: Loss, config: LoopConfig) -> float:
    device = torch.device(config.device)
    image, target = image.to(device, non_blocking=True), target.to(device, non_blocking=True)
    if device.type == "cpu":
        image = image.to(memory_format=torch.channels_last_3d if image.ndim == 5 else torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.mixed):
        scores = training.net(image)
    value = loss(scores, target)
    training.optimiser.zero_grad(set_to_none=True)
    value.backward()
    nn.utils.clip_grad_norm_(training.net.parameters(), config.clip_norm)
    training.optimiser.step()
    _average(training, config.average)
    return float(value.detach())


def _channels_last(net: nn.Module) -> torch.memory_format:
    """Return the layout that convolutions on a CPU are fastest in; slices and films have one axis less."""
    volumes = any(parameter.ndim == 5 for parameter in net.parameters())
    return torch.channels_last_3d if volumes else torch.channels_last


def _average(training: Training, decay: float) -> None:
    decay = min(decay, (1 + training.step) / (10 + training.step))
    with torch.no_grad():
        for name, value in training.net.state_dict().items():
            mean = training.averaged[name] = training.averaged[name].to(value.device)
            if value.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)


def _set_rate(training: Training, config: LoopConfig, share: float) -> None:
    rate = config.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
    rate *= min(1.0, (training.step + 1) / max(1, config.warm_up))
    for group in training.optimiser.param_groups:
        group["lr"] = max(rate, 1e-6)


def _log(training: Training, folder: Path) -> None:
    mean = sum(training.recent) / len(training.recent)
    training.recent.clear()
    path = folder / CURVE
    is_new = not path.exists()
    with path.open("a", newline="", encoding="ascii") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(["step", "hours", "loss"])
        writer.writerow([training.step, f"{training.hours:.4f}", f"{mean:.5f}"])
    LOGGER.info("step %d, %.2f h, loss %.4f", training.step, training.hours, mean)
