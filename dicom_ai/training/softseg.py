"""The recipe of the spinal cord model: soft, contrast-agnostic (arXiv 2310.15402), trained on invented contrasts.

    dicom-ai train spinal-cord --data ../shared/data --out train-out --deliver models
    dicom-ai evaluate spinal-cord --data ../shared/data --card

`--config paper` and `paper-384` build the network of the paper at its size; `compact` is shipped.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dicom_ai.inference.manifest import read_manifest
from dicom_ai.inference.runtime import give_weights
from dicom_ai.nets.unet import CONFIGS as NETS
from dicom_ai.nets.unet import UNet3d, parameter_count
from dicom_ai.training import cord_ablations, cord_card, cord_evaluation, curve, loop
from dicom_ai.training.data.batches import MakeBatch, batches
from dicom_ai.training.data.cases import read_header, read_pack, write_pack
from dicom_ai.training.data.cord_cases import HELD_OUT_PEOPLE, cord_cases
from dicom_ai.training.data.cord_synthesis import Bank, SynthesisConfig, make_sample
from dicom_ai.training.export import write_onnx
from dicom_ai.training.losses import entropy_and_dice
from dicom_ai.training.recipes import EvaluateRequest, Fold, Report, Say, TrainRequest

MODEL = "spinal-cord"
CONFIGS = tuple(NETS)
STEPS = 28_000
"""About as many as the shipped weights have had, in several runs."""
ABLATION_STEPS = 800
LEARNING_RATE, AVERAGE, LOSS = 1e-3, 0.998, entropy_and_dice
PACK, SETTINGS, HISTORY = "cord_cases.npz", "recipe.json", "history.json"


@dataclass(frozen=True, slots=True)
class CordRecipe:
    """Everything that decides the weights. net: of nets.unet.CONFIGS. batch: samples a step."""

    pack: Path
    net: str = "compact"
    batch: int = 2
    seed: int = 0
    workers: int = 1
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)


def train(request: TrainRequest, *, say: Say) -> None:
    """Pack the cases where there is no pack yet, train, and draw the curve."""
    pack = _packed(request, say)
    recipe = CordRecipe(pack, net=request.config or CONFIGS[0], seed=request.seed, workers=request.workers)
    config = loop.LoopConfig(
        steps=request.steps or STEPS,
        minutes=request.minutes,
        learning_rate=LEARNING_RATE,
        average=AVERAGE,
        threads=request.threads,
        device=request.device,
    )
    settings: dict[str, object] = {
        "net": recipe.net,
        "batch": recipe.batch,
        "seed": recipe.seed,
        "loss": LOSS.__name__,
        "synthesis": asdict(recipe.synthesis),
    }
    (request.out / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    began = _step_of(request.out)
    training = run(recipe, config, request.out, weights=request.weights)
    _remember(request.out, settings | {"first_step": began, "last_step": training.step, "loop": asdict(config)})
    say(f"step {training.step}, {training.hours:.2f} h")
    curve.draw(request.out / loop.CURVE, request.out / "curve.svg", title="Training of the spinal cord model")


def ablate(request: TrainRequest, *, say: Say) -> Report:
    """Train small variants (target, loss, contrasts) on the same cases, each from two seeds, and compare them."""
    seeds = range(request.seed, request.seed + cord_ablations.SEEDS)
    steps = request.steps or ABLATION_STEPS
    return cord_ablations.ablate(
        cord_ablations.Trial(_packed(request, say), request.out, steps, request.threads, tuple(seeds)), say=say
    )


def deliver(out: Path, models: Path) -> Path:
    """Write the model folder: weights.onnx, model.toml, the training cases, the curve, and a card without scores."""
    settings = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
    folder = models / MODEL
    folder.mkdir(parents=True, exist_ok=True)
    net = UNet3d(NETS[settings["net"]].deployed)
    patch = tuple(settings["synthesis"]["patch"])
    digest = write_onnx(net, loop.averaged_weights(out), (1, 1, *patch), folder / "weights.onnx")
    header = read_header(out / PACK)
    (folder / cord_evaluation.SEEN_FILE).write_text(
        json.dumps({"cases": cord_card.case_rows(header)}, indent=1) + "\n", encoding="utf-8"
    )
    curve.draw(out / loop.CURVE, folder / "curve.svg", title="Training of the spinal cord model")
    stored = torch.load(out / loop.CHECKPOINT, weights_only=True, map_location="cpu")
    facts = settings | {
        "parameters": parameter_count(net),
        "steps": stored["step"],
        "hours": round(stored["hours"], 2),
        "threads": stored["loop"]["threads"],
        "device": stored["loop"]["device"],
        "mixed": stored["loop"]["mixed"],
        "learning_rate": stored["loop"]["learning_rate"],
        "history": json.loads((out / HISTORY).read_text(encoding="utf-8")) if (out / HISTORY).exists() else [],
    }
    (folder / cord_card.TRAINING_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    cord_card.write_manifest(folder, digest, net=settings["net"], patch=patch)
    cord_card.write_card(folder)
    return folder


def evaluate(request: EvaluateRequest, *, say: Say) -> Report:
    """Score the delivered model on real necks, formula necks and images without a cord."""
    return cord_evaluation.evaluate(request, model=MODEL, say=say)


def folds(data: Path, count: int) -> tuple[Fold, ...]:
    """Leave out each person with manual masks once, whatever the count: there are two."""
    return cord_evaluation.folds(data)


def seen_people(models: Path) -> frozenset[str]:
    """Return whom the weights in a folder of models have seen."""
    return cord_evaluation.seen_people(models / MODEL)


def summary(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return the means of a table of scores."""
    return cord_evaluation.summary(rows)


def describe(folder: Path, report: Report) -> None:
    """Write metrics.json and the card of the model folder."""
    cord_card.write_metrics(folder, report)
    cord_card.write_card(folder)


def describe_folds(folder: Path, report: Report, *, trained: str) -> None:
    """Write folds.json and the card of the model folder. trained: how the weights of the folds came about."""
    cord_card.write_folds(folder, report, trained=trained)
    cord_card.write_card(folder)


def _step_of(out: Path) -> int:
    """Return the step that a folder's checkpoint has reached; 0 where there is none."""
    path = out / loop.CHECKPOINT
    return int(torch.load(path, weights_only=True, map_location="cpu")["step"]) if path.exists() else 0


def _remember(out: Path, run_facts: dict[str, object]) -> None:
    """Add a run to the history of a training that went on in several runs."""
    path = out / HISTORY
    history = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    path.write_text(json.dumps([*history, run_facts], indent=1) + "\n", encoding="utf-8")


def _packed(request: TrainRequest, say: Say) -> Path:
    """Return the packed cases, made where they are not there yet."""
    request.out.mkdir(parents=True, exist_ok=True)
    pack = request.out / PACK
    if not pack.exists():
        say(f"packing the cases of {request.data}")
        held = HELD_OUT_PEOPLE if request.held_out is None else request.held_out
        write_pack(pack, (case for case in cord_cases(request.data) if case.person not in held), about={})
    return pack


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
    net = UNet3d(NETS[recipe.net])
    for name, parameter in net.named_parameters():
        if name.startswith("heads") and name.endswith("bias"):
            torch.nn.init.constant_(parameter, -4.0)
    return net


def run(recipe: CordRecipe, config: loop.LoopConfig, folder: Path, *, weights: Path | None = None) -> loop.Training:
    """Train, going on from the folder's checkpoint where there is one, else from the weights of a model folder."""
    net = new_net(recipe)
    if weights is not None:
        deployed = UNet3d(NETS[recipe.net].deployed)
        give_weights(deployed, read_manifest(weights).weights_of("main").path)
        net.load_state_dict(deployed.state_dict(), strict=False)
    training = loop.start(net, config)
    if (folder / loop.CHECKPOINT).exists():
        training = loop.resume(training, folder)
    return loop.run(
        training,
        lambda numbers: batches(partial(prepare, recipe), numbers, workers=recipe.workers),
        LOSS,
        config,
        folder,
    )
