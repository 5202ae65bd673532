"""The recipe of the radiograph model (after VertXNet, arXiv 2207.05476): a U-Net and a Mask R-CNN on lateral films.

dicom-ai train spine-xray --data ../shared/data --out train-out      packs the films, trains the U-Net
dicom-ai train spine-xray ... --deliver models                      writes models/spine-xray
dicom-ai evaluate spine-xray --data ../shared/data --card            scores it on the films held out
"""

import json
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dicom_ai.errors import ConfigError
from dicom_ai.inference.registry import ModelStore
from dicom_ai.nets.unet2d import CONFIGS as NETS
from dicom_ai.nets.unet2d import UNet2d
from dicom_ai.training import curve, loop, vertxnet_card, vertxnet_evaluation
from dicom_ai.training.data.batches import MakeBatch, batches
from dicom_ai.training.data.xray_cases import read_films, read_packed, split, write_films
from dicom_ai.training.data.xray_synthesis import TARGETS, Bank, ViewConfig, draw_view, targets
from dicom_ai.training.export import write_onnx
from dicom_ai.training.losses import soft_dice
from dicom_ai.training.recipes import EvaluateRequest, Report, Say, TrainRequest

MODEL = "spine-xray"
CONFIGS = tuple(NETS)
PACK, SETTINGS = "films.npz", "settings.json"
STEPS, LEARNING_RATE = 8000, 2e-3
WEIGHT = {"body": 1.0, "core": 0.7, "C2": 0.7, "S1": 0.7, "front": 0.7}
"""What each channel of the U-Net counts in its loss."""
RARE = {"body": 1.0, "core": 2.0, "C2": 10.0, "S1": 10.0, "front": 1.5}
"""How much more a pixel inside counts than one outside: the reference vertebrae are a few pixels in a thousand."""


@dataclass(frozen=True, slots=True)
class UNetRecipe:
    """Everything that decides the weights of the U-Net. net: of CONFIGS. everything: also on held-out films."""

    pack: Path
    net: str = "compact"
    batch: int = 4
    seed: int = 0
    workers: int = 1
    everything: bool = False
    views: ViewConfig = field(default_factory=ViewConfig)


def train(request: TrainRequest, *, say: Say) -> None:
    """Pack the films where there is no pack yet, train the U-Net, and draw the curve."""
    if request.weights is not None:
        raise ConfigError("spine-xray goes on from a checkpoint in --out only")
    recipe = UNetRecipe(
        _packed(request, say), net=request.config or CONFIGS[0], seed=request.seed, workers=request.workers
    )
    config = loop.LoopConfig(
        steps=request.steps or STEPS,
        minutes=request.minutes,
        learning_rate=LEARNING_RATE,
        threads=request.threads,
        device=request.device,
    )
    settings = {"net": recipe.net, "batch": recipe.batch, "seed": recipe.seed}
    (request.out / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    training = train_unet(recipe, config, request.out)
    say(f"step {training.step}, {training.hours:.2f} h")
    curve.draw(request.out / loop.CURVE, request.out / "curve.svg", title="Training of the U-Net of the radiographs")


def deliver(out: Path, models: Path) -> Path:
    """Write the model folder: unet.onnx, model.toml, training.json, and a card without scores."""
    settings = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
    folder = models / MODEL
    folder.mkdir(parents=True, exist_ok=True)
    net = UNet2d(NETS[settings["net"]])
    patch = ViewConfig().shape
    digest = write_onnx(net, loop.averaged_weights(out), (1, net.config.in_channels, *patch), folder / "unet.onnx")
    stored = torch.load(out / loop.CHECKPOINT, weights_only=True, map_location="cpu")
    facts = settings | {
        "parameters": sum(parameter.numel() for parameter in net.parameters()) / 1e6,
        "steps": stored["step"],
        "hours": round(stored["hours"], 2),
        "threads": stored["loop"]["threads"],
        "trained": sum(bool(film.levels) for film in split(read_packed(out / PACK))[0]),
    }
    (folder / vertxnet_card.TRAINING_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    vertxnet_card.write_manifest(folder, digest, net=settings["net"], patch=patch)
    vertxnet_card.write_card(folder)
    return folder


def evaluate(request: EvaluateRequest, *, say: Say) -> Report:
    """Score the delivered model on the films held out, or with `seen` on those it was trained on, marked as such."""
    store = ModelStore(request.models, device=request.device, runtime=request.runtime, threads=request.threads)
    trained, held = split(read_films(request.data / "radiographs"))
    chosen = trained if request.seen else held
    scores = vertxnet_evaluation.evaluate_films(store.load(MODEL), chosen, say=say)
    return vertxnet_evaluation.report_of(scores, seen=request.seen)


def describe(folder: Path, report: Report) -> None:
    """Write metrics.json and the card of the model folder."""
    vertxnet_card.write_metrics(folder, report, when=date.today().isoformat())
    vertxnet_card.write_card(folder)


def _packed(request: TrainRequest, say: Say) -> Path:
    """Return the packed films, made where they are not there yet."""
    request.out.mkdir(parents=True, exist_ok=True)
    pack = request.out / PACK
    if not pack.exists():
        say(f"packing the films of {request.data}")
        write_films(pack, read_films(request.data / "radiographs"))
    return pack


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
    net = UNet2d(NETS[recipe.net])
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
