"""The recipe of the radiograph model (after VertXNet, arXiv 2207.05476): a U-Net and a Mask R-CNN on lateral films.

dicom-ai train spine-xray --data ../shared/data --out train-out --deliver models   both networks, models/spine-xray
dicom-ai train spine-xray ... --config compact-detector                  the Mask R-CNN alone, `compact-unet` the U-Net
dicom-ai evaluate spine-xray --data ../shared/data --card                scores it on the films held out
dicom-ai evaluate spine-xray --data ../shared/data --folds 4 --minutes 240   trains and scores folds by film

The Mask R-CNN starts from the encoder of the U-Net that lies in --out; its own checkpoint lies in --out/detector.
`paper`, `paper-unet` and `paper-detector` are the sizes of the paper.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dicom_ai.errors import ConfigError
from dicom_ai.inference.maskrcnn import ROLES as DETECTOR_ROLES
from dicom_ai.inference.registry import ModelStore
from dicom_ai.inference.runtime import give_weights
from dicom_ai.inference.vertxnet import VertxNetPredictor
from dicom_ai.inference.vertxnet_networks import SYSTEMS
from dicom_ai.nets.maskrcnn import BOX_BINS, MASK_BINS, BoxHead, DenseHead, MaskHead, MaskRCNN
from dicom_ai.nets.maskrcnn import CONFIGS as DETECTOR_NETS
from dicom_ai.nets.unet2d import CONFIGS as NETS
from dicom_ai.nets.unet2d import UNet2d
from dicom_ai.training import curve, loop, vertxnet_card, vertxnet_evaluation
from dicom_ai.training.data.batches import MakeBatch, batches
from dicom_ai.training.data.xray_cases import (
    film_names,
    held_out_names,
    read_films,
    read_packed,
    with_refined_outlines,
    write_films,
)
from dicom_ai.training.data.xray_phantom import phantom_film
from dicom_ai.training.data.xray_synthesis import TARGETS, Bank, View, ViewConfig, draw_view, targets
from dicom_ai.training.export import write_onnx
from dicom_ai.training.losses import soft_dice
from dicom_ai.training.recipes import EvaluateRequest, Fold, Report, Say, TrainRequest
from dicom_ai.training.vertxnet_detector import detector_loss, target_of

MODEL = "spine-xray"
BOTH = ("unet", "detector")
CONFIG_PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "compact": ("compact", BOTH),
    "compact-unet": ("compact", BOTH[:1]),
    "compact-detector": ("compact", BOTH[1:]),
    "paper": ("paper", BOTH),
    "paper-unet": ("paper", BOTH[:1]),
    "paper-detector": ("paper", BOTH[1:]),
}
"""Configuration -> the size of its networks (nets.unet2d.CONFIGS, nets.maskrcnn.CONFIGS), and which are trained."""
CONFIGS = tuple(CONFIG_PARTS)
SHARES = {"unet": 0.55, "detector": 0.45}
"""Of the minutes, where both are trained."""
PACK, SETTINGS, DETECTOR = "training-films.npz", "settings.json", "detector"
PHANTOMS = 48
"""Films made from formulas, where no real lateral film may be trained on."""
TITLES = {"unet": "U-Net", "detector": "Mask R-CNN"}
STEPS, LEARNING_RATE = 25_000, 2e-3
DETECTOR_STEPS, DETECTOR_RATE = 8000, 1e-3
WEIGHT = {"body": 1.0, "core": 0.7, "C2": 0.7, "S1": 0.7, "front": 0.7}
"""What each channel of the U-Net counts in its loss."""
RARE = {"body": 1.0, "core": 2.0, "C2": 10.0, "S1": 10.0, "front": 1.5}
"""How much more a pixel inside counts than one outside: the reference vertebrae are a few pixels in a thousand."""

QUICK = ((), ("Views as they are, none mirrored (--every 2).",), ("Whole films only, no views cut out (--every 3).",))
"""What --every 1, 2, 3 leaves out."""


@dataclass(frozen=True, slots=True)
class NetRecipe:
    """Everything that decides the weights of one network. pack: the films it is trained on."""

    pack: Path
    net: str = "compact"
    batch: int = 4
    seed: int = 0
    workers: int = 1
    views: ViewConfig = field(default_factory=ViewConfig)


def train(request: TrainRequest, *, say: Say) -> None:
    """Pack the films where there is no pack yet, train one network or one after the other, and draw the curves."""
    held = _held_out(request)
    before = _films_before(request.weights, held)
    pack = _packed(request, held, say)
    size, parts = CONFIG_PARTS[request.config or CONFIGS[0]]
    for part in parts:
        _train_part(part, size, replace(request, minutes=request.minutes * _share(part, parts)), pack, before, say)


def _share(part: str, parts: Sequence[str]) -> float:
    return SHARES[part] if len(parts) > 1 else 1.0


def _train_part(part: str, size: str, request: TrainRequest, pack: Path, before: Sequence[str], say: Say) -> None:
    recipe = NetRecipe(pack, net=size, seed=request.seed, workers=request.workers)
    detector = part == DETECTOR
    config = loop.LoopConfig(
        steps=request.steps or (DETECTOR_STEPS if detector else STEPS),
        minutes=request.minutes,
        learning_rate=DETECTOR_RATE if detector else LEARNING_RATE,
        threads=request.threads,
        device=request.device,
    )
    folder = request.out / DETECTOR if detector else request.out
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"net": size, "batch": recipe.batch, "seed": recipe.seed, "before": list(before)}
    settings |= _trained_before(request.weights, part)
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    run = train_detector if detector else train_unet
    training = run(recipe, config, request.out, weights=request.weights)
    say(f"{TITLES[part]}: step {training.step}, {training.hours:.2f} h")
    if (folder / loop.CURVE).is_file():
        curve.draw(
            folder / loop.CURVE, folder / "curve.svg", title=f"Training of the {TITLES[part]} of the radiographs"
        )


def _held_out(request: TrainRequest) -> frozenset[str]:
    """Return the films that are left out."""
    if request.held_out is not None:
        return request.held_out
    return held_out_names(name for names in film_names(request.data / "radiographs") for name in names)


def _films_before(weights: Path | None, held_out: frozenset[str]) -> list[str]:
    """Return the films that the weights to start from have seen; raises ConfigError where one is to be held out."""
    films = sorted(seen_films(weights)) if weights is not None else []
    if overlap := sorted(held_out.intersection(films)):
        raise ConfigError(f"{weights}: these weights have seen {', '.join(overlap)}, which are to be held out")
    return films


def _trained_before(weights: Path | None, part: str) -> dict[str, float]:
    """Return the steps and hours that the weights to start from have had."""
    facts = _training_facts(weights).get(part) if weights is not None else None
    return {"steps_before": facts["steps"], "hours_before": facts["hours"]} if facts else {}


def _training_facts(folder: Path) -> dict[str, Any]:
    """Return what a model folder says of its training; nothing where it says nothing."""
    path = folder / vertxnet_card.TRAINING_FILE
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return facts


def seen_films(folder: Path) -> frozenset[str]:
    """Return the films that the weights of a model folder have seen; raises ConfigError where they are not named."""
    facts = _training_facts(folder)
    if "films" not in facts:
        path = folder / vertxnet_card.TRAINING_FILE
        raise ConfigError(f"{path}: names no films; without them nobody knows what the weights have seen")
    return frozenset(facts["films"])


def seen_people(models: Path) -> frozenset[str]:
    """Return the films that the shipped weights have seen."""
    return seen_films(models / MODEL)


def deliver(out: Path, models: Path, *, model: str = MODEL) -> Path:
    """Write the model folder: ONNX files, model.toml, training.json, and a card without scores."""
    folder = models / model
    folder.mkdir(parents=True, exist_ok=True)
    patch = ViewConfig().shape
    facts: dict[str, Any] = {"unet": _facts(out)}
    name = facts["unet"]["net"]
    net = UNet2d(NETS[name])
    digests = {
        "unet": write_onnx(net, loop.averaged_weights(out), (1, net.config.in_channels, *patch), folder / "unet.onnx")
    }
    facts["unet"]["parameters"] = _millions(net)
    if (out / DETECTOR / loop.CHECKPOINT).is_file():
        facts["detector"] = _facts(out / DETECTOR)
        if facts["detector"]["net"] != name:
            raise ConfigError(f"{out}: a U-Net {name!r} and a Mask R-CNN {facts['detector']['net']!r}")
        facts["detector"]["parameters"] = _millions(MaskRCNN(DETECTOR_NETS[name]))
        digests |= write_detector(name, loop.averaged_weights(out / DETECTOR), patch, folder)
    packed = read_packed(out / PACK)
    for part in facts.values():
        part["waists"] = any(len(film.outlines) for film in packed)
    names = {film.name for film in packed}
    facts["films"] = sorted(names.union(*(facts[part].pop("before", ()) for part in BOTH if part in facts)))
    (folder / vertxnet_card.TRAINING_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    vertxnet_card.write_manifest(folder, digests, net=name, patch=patch)
    vertxnet_card.write_card(folder)
    return folder


def write_detector(name: str, weights: dict[str, Tensor], patch: tuple[int, int], folder: Path) -> dict[str, str]:
    """Write the three graphs of a Mask R-CNN; return the SHA-256 of each by its role."""
    config = DETECTOR_NETS[name]
    features = config.pyramid
    parts: dict[str, tuple[torch.nn.Module, tuple[int, ...], bool]] = {
        "detector": (DenseHead(config, patch), (1, config.in_channels, *patch), False),
        "detector_box": (BoxHead(config), (2, features, BOX_BINS, BOX_BINS), True),
        "detector_mask": (MaskHead(config), (2, features, MASK_BINS, MASK_BINS), True),
    }
    return {
        role: write_onnx(net, weights, shape, folder / f"{role}.onnx", any_count=any_count)
        for role, (net, shape, any_count) in parts.items()
    }


def _facts(out: Path) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
    stored = torch.load(out / loop.CHECKPOINT, weights_only=True, map_location="cpu")
    return settings | {
        "steps": stored["step"] + settings.get("steps_before", 0),
        "hours": round(stored["hours"] + settings.get("hours_before", 0.0), 2),
        "threads": stored["loop"]["threads"],
    }


def _millions(net: torch.nn.Module) -> float:
    return sum(parameter.numel() for parameter in net.parameters()) / 1e6


def evaluate(request: EvaluateRequest, *, say: Say, model: str = MODEL) -> Report:
    """Score the delivered model on the films it has not seen, or with `seen` on those it has, marked as such.

    The ensemble, and each of its networks alone, as the paper compares them.
    """
    store = ModelStore(request.models, device=request.device, runtime=request.runtime, threads=1)
    seen = seen_films(request.models / model)
    films = [film for film in read_films(request.data / "radiographs") if (film.name in seen) == request.seen]
    predictor = store.load(model)
    assert isinstance(predictor, VertxNetPredictor)
    every = min(request.every, len(QUICK))
    how = vertxnet_evaluation.Comparison(
        systems=SYSTEMS if predictor.networks.detector else ("unet",),
        mirrored=every == 1,
        cut=every < 3,
        threads=request.threads or os.cpu_count() or 1,
        pictures=request.pictures,
    )
    scored = [film for film in films if request.only is None or film.name in request.only]
    scores = vertxnet_evaluation.evaluate_films(predictor, scored, how, say=say)
    trained = _trained(request.models / model)
    report = vertxnet_evaluation.report_of(scores, seen=request.seen, notes=(*QUICK[every - 1], trained))
    return replace(report, about=(trained,))


def _trained(folder: Path) -> str:
    """Return how long the weights of a model folder were trained."""
    facts = _training_facts(folder)
    steps = [f"{TITLES[part]} {facts[part]['steps']} steps" for part in BOTH if part in facts]
    return f"trained for: {', '.join(steps)}."


def folds(data: Path, count: int) -> tuple[Fold, ...]:
    """Split the lateral films, and the AP films with them, into folds: every film is scored once."""
    lateral, ap = film_names(data / "radiographs")
    if not 2 <= count <= len(lateral):
        raise ConfigError(f"{count} folds of {len(lateral)} lateral films: at least 2, at most one a film")
    parts = [frozenset((*lateral[first::count], *ap[first::count])) for first in range(count)]
    return tuple(Fold(f"fold-{number}", "by film", part, part) for number, part in enumerate(parts, 1))


def summary(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return a sentence per system over all folds."""
    return vertxnet_evaluation.summary(rows)


def describe(folder: Path, report: Report) -> None:
    """Write metrics.json and the card of the model folder."""
    vertxnet_card.write_metrics(folder, report, when=date.today().isoformat())
    vertxnet_card.write_card(folder)


def describe_folds(folder: Path, report: Report, *, trained: str) -> None:
    """Write folds.json and the card of the model folder. trained: how the weights of the folds came about."""
    vertxnet_card.write_folds(folder, report, trained=trained)
    vertxnet_card.write_card(folder)


def _packed(request: TrainRequest, held_out: frozenset[str], say: Say) -> Path:
    """Return the packed films, made where they are not there yet; films made from formulas where no lateral is left."""
    request.out.mkdir(parents=True, exist_ok=True)
    pack = request.out / PACK
    if not pack.exists():
        say(f"packing the films of {request.data}")
        films = read_films(request.data / "radiographs")
        kept = [with_refined_outlines(film) for film in films if film.name not in held_out]
        made = [] if any(film.levels for film in kept) else [phantom_film(number) for number in range(PHANTOMS)]
        write_films(pack, kept + made)
    return pack


def prepare(recipe: NetRecipe, target: Callable[[View], np.ndarray] = targets) -> MakeBatch:
    """Read the pack and return what makes batch i: images (batch, 2, H, W), and the target of each view."""
    bank = Bank.of(read_packed(recipe.pack))

    def make(number: int) -> tuple[np.ndarray, ...]:
        views = [
            draw_view(bank, recipe.views, seed=recipe.seed, number=number * recipe.batch + i)
            for i in range(recipe.batch)
        ]
        return np.stack([view.image for view in views]), np.stack([target(view) for view in views])

    return make


def new_unet(recipe: NetRecipe) -> UNet2d:
    """Return the untrained network; it starts by calling nothing bone."""
    torch.manual_seed(recipe.seed)
    net = UNet2d(NETS[recipe.net])
    assert net.head.bias is not None
    torch.nn.init.constant_(net.head.bias, -3.0)
    return net


def new_detector(recipe: NetRecipe, unet: dict[str, Tensor] | None = None) -> MaskRCNN:
    """Return the untrained Mask R-CNN. unet: weights of a U-Net whose encoder it starts with."""
    torch.manual_seed(recipe.seed)
    net = MaskRCNN(DETECTOR_NETS[recipe.net])
    if unet is not None and net.config.body == "unet":
        body = net.backbone.body.state_dict()
        net.backbone.body.load_state_dict({name: unet[name] for name in body})
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


def train_unet(recipe: NetRecipe, config: loop.LoopConfig, out: Path, *, weights: Path | None = None) -> loop.Training:
    """Train the U-Net, going on from the checkpoint in `out`, else from a model folder where one is given."""
    net = new_unet(recipe)
    if weights is not None:
        give_weights(net, weights / "unet.onnx")
    training = _begun(net, config, out)
    make = partial(prepare, recipe)
    return loop.run(training, lambda n: batches(make, n, workers=recipe.workers), unet_loss, config, out)


def train_detector(
    recipe: NetRecipe, config: loop.LoopConfig, out: Path, *, weights: Path | None = None
) -> loop.Training:
    """Train the Mask R-CNN as train_unet() does, in out/detector, starting from the encoder of the U-Net in `out`."""
    folder = out / DETECTOR
    unet = loop.averaged_weights(out) if (out / loop.CHECKPOINT).exists() else None
    net = new_detector(recipe, unet)
    if weights is not None and (weights / f"{DETECTOR}.onnx").is_file():
        _given(net, weights)
    training = _begun(net, config, folder)
    loss = partial(detector_loss, net, mixed=config.mixed)
    make = partial(prepare, recipe, target_of)
    return loop.run(training, lambda n: batches(make, n, workers=recipe.workers), loss, config, folder)


def _given(net: MaskRCNN, folder: Path) -> None:
    """Give a Mask R-CNN the weights of the three graphs of a model folder."""
    parts = (DenseHead(net.config, ViewConfig().shape), BoxHead(net.config), MaskHead(net.config))
    for role, part in zip(DETECTOR_ROLES, parts, strict=True):
        give_weights(part, folder / f"{role}.onnx")
        net.load_state_dict(part.state_dict(), strict=False)


def _begun(net: torch.nn.Module, config: loop.LoopConfig, folder: Path) -> loop.Training:
    training = loop.start(net, config)
    return loop.resume(training, folder) if (folder / loop.CHECKPOINT).exists() else training
