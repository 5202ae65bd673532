"""The recipe of the spine model: SSHSNet (arXiv 2203.12151), its first stage compact for a CPU.

    dicom-ai train spine-mr --data ../shared/data --out train-out --deliver models
    dicom-ai evaluate spine-mr --data ../shared/data --card

`--config compact-cps` trains two branches that teach each other (cross pseudo supervision); `paper` is the network of
the paper with both; `paper-20` has its 20 classes too, a level each, and is trained on drawn volumes and not delivered,
for such classes name levels where no anchor is seen. `compact-brief` takes smaller steps, for trainings of minutes.
`--config compact-stage2` trains the second stage on top of the first one that lies in --out; it is not delivered: what
ships is the first stage. `--weights models/spine-mr` begins with the weights of a model folder, and `--mean-of A
--mean-of B --deliver models` writes the mean of the weights of several.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from dicom_ai.errors import ConfigError
from dicom_ai.inference.manifest import read_manifest
from dicom_ai.inference.onnx_weights import initializers
from dicom_ai.nets.deeplabv3plus import COMPACT_2D, PAPER_2D, DeepLabV3Plus
from dicom_ai.nets.fold import folded, give_folded
from dicom_ai.nets.tri_attention import COMPACT_FUSION
from dicom_ai.training import spine_ablations, spine_card, spine_evaluation
from dicom_ai.training.data.cases import Case, read_header, read_pack, write_pack
from dicom_ai.training.data.spine_batches import COLUMNS, ROWS, BatchSettings, SpineBatches
from dicom_ai.training.data.spine_cases import DISCS_ONLY, SAME_PERSON, VOLUME, paper_cases, read_cases
from dicom_ai.training.data.spine_classes import CLASSES, SCHEMES
from dicom_ai.training.data.spine_template import template_case
from dicom_ai.training.export import write_onnx
from dicom_ai.training.recipes import EvaluateRequest, Fold, Report, Say, TrainRequest
from dicom_ai.training.spine_stage1 import CHECKPOINT, Stage1Settings, train_stage1
from dicom_ai.training.spine_stage2 import Stage2Settings, train_stage2

MODEL = "spine-mr"
MINUTES = 55.0
"""Of the shipped weights, on two CPU threads."""
PACK, RECIPE = "spine_cases.npz", "recipe.json"

SETTINGS: dict[str, Stage1Settings] = {
    "compact": Stage1Settings(net=COMPACT_2D, branches=1, bf16=True),
    "compact-cps": Stage1Settings(net=COMPACT_2D, branches=2, bf16=True),
    "compact-further": Stage1Settings(
        net=COMPACT_2D, branches=1, bf16=True, learning_rate=2e-3, batches=BatchSettings(turn_deg=15.0, zoom=0.22)
    ),
    "compact-brief": Stage1Settings(
        net=COMPACT_2D, branches=1, bf16=True, learning_rate=2e-3, batches=BatchSettings(size=3)
    ),
    "paper": Stage1Settings(net=replace(PAPER_2D, classes=len(CLASSES)), branches=2),
    "paper-20": Stage1Settings(
        net=PAPER_2D,
        scheme="paper",
        branches=2,
        batches=BatchSettings(shares={"myosegmentum": 0.5, "chu": 0.5}, landmarks=SCHEMES["paper"].landmarks, cut=0.0),
    ),
}
STAGE2, PAPER_20 = "compact-stage2", "paper-20"
CONFIGS = (*SETTINGS, STAGE2)

NETS = {name: "paper" if name == "paper" else "compact" for name in SETTINGS if name != "paper-20"}
"""Configuration -> its network in nets.deeplabv3plus.CONFIGS."""


def train(request: TrainRequest, *, say: Say) -> None:
    """Pack the cases where there is no pack yet, and train the first stage, or the second on a finished first."""
    request.out.mkdir(parents=True, exist_ok=True)
    pack = request.out / PACK
    held = spine_evaluation.HELD_OUT if request.held_out is None else request.held_out
    if not pack.exists():
        say(f"packing the cases of {request.data}")
        paper = request.config == PAPER_20
        found = paper_cases(request.data / "spine_mr") if paper else _all_cases(request.data)
        kept = [case for case in found if case.person not in held]
        write_pack(pack, kept, about={"held out": sorted(held)})
    if request.threads:
        torch.set_num_threads(request.threads)
    config = request.config or CONFIGS[0]
    if config == STAGE2:
        _train_stage2(request, pack, say)
        return
    before = _cases_before(request.weights, held)
    facts = {"config": config, "before": before, "training_before": _training_of(request.weights)}
    (request.out / RECIPE).write_text(json.dumps(facts) + "\n", encoding="utf-8")
    settings = replace(
        SETTINGS[config],
        minutes=request.minutes or (MINUTES if not request.steps else 1e9),
        steps=request.steps or SETTINGS[config].steps,
        seed=request.seed,
        device=request.device,
    )
    cases = read_pack(pack)
    begin = None if request.weights is None else partial(_begin, request.weights, cases)
    train_stage1(cases, settings, request.out, say=say, begin=begin)


@lru_cache(maxsize=1)
def _all_cases(data: Path) -> tuple[Case, ...]:
    """Return every case of a data folder, kept for the next fold: the discs of a volume take seconds to derive."""
    return (*read_cases(data / "spine_mr"), template_case(data / "template"))


def ablate(request: TrainRequest, *, say: Say) -> Report:
    """Train the small variants of both stages and compare them on the people who are held out."""
    if request.threads:
        torch.set_num_threads(request.threads)
    held = spine_evaluation.HELD_OUT if request.held_out is None else request.held_out
    _cases_before(request.weights, held)
    volumes = [
        case for case in _all_cases(request.data) if case.kind == VOLUME and not case.name.startswith(DISCS_ONLY)
    ]
    seen = [case for case in volumes if case.person not in held]
    unseen = [case for case in volumes if case.person in held and case.name not in SAME_PERSON]
    drawn, others = spine_ablations.split(seen)
    trial = spine_ablations.Trial(drawn, others, request.out, say)
    if request.weights is not None:
        trial = replace(trial, drawn=seen, others=(), given=[_given(request.weights)])
    trial = replace(trial, patch=replace(trial.patch, seed=request.seed))
    if request.steps:
        trial = replace(trial, patch=replace(trial.patch, steps=request.steps))
    return spine_ablations.ablate(trial, unseen)


def _cases_before(weights: Path | None, held_out: frozenset[str]) -> list[dict[str, str]]:
    """Return the cases that the weights to start from have seen; raises ConfigError where one is to be held out."""
    if weights is None:
        return []
    cases: list[dict[str, str]] = spine_evaluation.seen_cases(weights)
    overlap = sorted(held_out & {case["person"] for case in cases})
    if overlap:
        raise ConfigError(f"{weights}: these weights have seen {', '.join(overlap)}, who are to be held out")
    return cases


def _training_of(weights: Path | None) -> dict[str, float]:
    """Return the steps and minutes that the weights to start from have had."""
    if weights is None:
        return {}
    facts = _facts_of(weights)
    return {key: facts[key] for key in ("steps", "minutes")}


def _facts_of(weights: Path) -> dict[str, Any]:
    """Return what a model folder says of its training."""
    facts: dict[str, Any] = json.loads((weights / spine_card.TRAINING_FILE).read_text(encoding="utf-8"))
    return facts


def _given(weights: Path) -> DeepLabV3Plus:
    """Return the branch of a model folder, as it is shipped."""
    branch = DeepLabV3Plus(SETTINGS[_facts_of(weights)["config"]].net)
    folded(branch)
    stored = initializers(read_manifest(weights).weights_of("main").path)
    branch.load_state_dict({name: torch.from_numpy(value.astype(np.float32)) for name, value in stored.items()})
    return branch.eval()


def _begin(weights: Path, cases: Sequence[Case], branch: DeepLabV3Plus) -> None:
    """Give a branch the weights of a model folder."""
    stored = initializers(read_manifest(weights).weights_of("main").path)
    images, _ = SpineBatches(cases, BatchSettings(size=16), seed=0).draw(torch.device("cpu"))
    give_folded(branch, {name: torch.from_numpy(value.astype(np.float32)) for name, value in stored.items()}, images)


def _train_stage2(request: TrainRequest, pack: Path, say: Say) -> None:
    """Train the second stage on the branches of the first; raises ConfigError where there is none."""
    if not (request.out / CHECKPOINT).is_file():
        raise ConfigError(f"{request.out}: no {CHECKPOINT}; train the first stage there before the second")
    branches = trained_branches(request.out)
    width = sum(branch.config.channels for branch in branches)
    settings = Stage2Settings(net=replace(COMPACT_FUSION, features=width), seed=request.seed, device=request.device)
    if request.steps:
        settings = replace(settings, steps=request.steps)
    train_stage2(read_pack(pack), branches, settings, request.out, say=say)


def trained_branches(out: Path) -> list[DeepLabV3Plus]:
    """Return the running means of the branches of a first stage, in eval mode."""
    config = json.loads((out / RECIPE).read_text(encoding="utf-8"))["config"]
    state = torch.load(out / CHECKPOINT, weights_only=True, map_location="cpu")
    branches = []
    for mean in state["means"]:
        branch = DeepLabV3Plus(SETTINGS[config].net)
        branch.load_state_dict(mean)
        branches.append(branch.eval())
    return branches


def deliver(out: Path, models: Path) -> Path:
    """Write the model folder: weights.onnx, model.toml, what was trained on, and a card without scores."""
    recipe = json.loads((out / RECIPE).read_text(encoding="utf-8"))
    config = recipe["config"]
    if config not in NETS:
        raise ConfigError(f"--config {config} is trained, not delivered: its classes name levels without an anchor")
    state = torch.load(out / CHECKPOINT, weights_only=True, map_location="cpu")
    net = trained_branches(out)[0]
    parameters = sum(parameter.numel() for parameter in net.parameters())
    before = recipe.get("training_before", {})  # a training begun before this was written down
    facts = {
        "config": config,
        "parameters": parameters,
        "steps": int(state["step"]) + before.get("steps", 0),
        "minutes": round(float(state["seconds"]) / 60 + before.get("minutes", 0.0), 1),
        "before": before,
        "settings": json.loads(state["config"]),
        "network": asdict(SETTINGS[config].net),
    }
    cases = cast(list[dict[str, Any]], read_header(out / PACK)["cases"])
    return _write(models, folded(net), facts, [*recipe["before"], *cases])


def deliver_mean(parts: Sequence[Path], models: Path) -> Path:
    """Write the model folder of the mean of the weights of several: of one network, each gone on from another of them.

    Between weights that see known images better and those that they began with lie some that do so and still know
    what the first knew (Wortsman 2022, arXiv 2109.01903 and 2203.05482). parts: the facts of the last are told, with
    the steps of all. Raises ConfigError where they are not weights of one network.
    """
    facts = [_facts_of(part) for part in parts]
    if any(one["network"] != facts[0]["network"] for one in facts):
        raise ConfigError(f"not weights of one network: {', '.join(map(str, parts))}")
    net, *others = (_given(part) for part in parts)
    states = [one.state_dict() for one in (net, *others)]
    net.load_state_dict({name: torch.stack([state[name] for state in states]).mean(dim=0) for name in states[0]})
    told = facts[-1] | {"mean_of": [{key: one[key] for key in ("config", "steps", "minutes")} for one in facts]}
    return _write(models, net, told, [case for part in parts for case in spine_evaluation.seen_cases(part)])


def _write(models: Path, merged: nn.Module, facts: dict[str, Any], cases: Sequence[dict[str, Any]]) -> Path:
    """Write the model folder of a network whose normalisations are folded; return it."""
    folder = models / MODEL
    folder.mkdir(parents=True, exist_ok=True)
    digest = write_onnx(merged, dict(merged.state_dict()), (1, 3, ROWS, COLUMNS), folder / "weights.onnx")
    spine_card.write_training(folder, facts, cases)
    spine_card.write_manifest(folder, digest, net=NETS[facts["config"]])
    spine_card.write_card(folder)
    return folder


def evaluate(request: EvaluateRequest, *, say: Say) -> Report:
    """Score the delivered model on held-out cases, whole and cropped."""
    return spine_evaluation.evaluate(request, model=MODEL, say=say)


def folds(data: Path, count: int) -> tuple[Fold, ...]:
    """Split the people into folds, and leave out each source once."""
    return spine_evaluation.folds(data, count)


def summary(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return the means of a table of scores."""
    return tuple(spine_evaluation.summary(rows))


def describe(folder: Path, report: Report) -> None:
    """Write metrics.json and the card of the model folder."""
    spine_card.write_metrics(folder, report)
    spine_card.write_card(folder)


def describe_folds(folder: Path, report: Report, *, trained: str) -> None:
    """Write folds.json and the card of the model folder. trained: how the weights of the folds came about."""
    spine_card.write_folds(folder, report, trained=trained)
    spine_card.write_card(folder)
