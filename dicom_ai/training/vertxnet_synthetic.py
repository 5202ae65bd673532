"""The radiograph model without films whose licence is not known: trained on films made from formulas, and on AP films.

dicom-ai train spine-xray-synthetic --data ../shared/data --out train-out --minutes 240 --deliver models
dicom-ai evaluate spine-xray-synthetic --data ../shared/data --card        scores it on all real lateral films

Everything else is the recipe of spine-xray (vertxnet.py).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dicom_ai.errors import ConfigError
from dicom_ai.training import vertxnet
from dicom_ai.training.data.xray_cases import film_names, held_out_names
from dicom_ai.training.recipes import EvaluateRequest, Fold, Report, Say, TrainRequest

MODEL = "spine-xray-synthetic"
CONFIGS = vertxnet.CONFIGS


def train(request: TrainRequest, *, say: Say) -> None:
    """Train as spine-xray is, with every real lateral film held out."""
    lateral, ap = film_names(request.data / "radiographs")
    held = held_out_names(ap) if request.held_out is None else request.held_out
    vertxnet.train(replace(request, held_out=held.union(lateral)), say=say)


def deliver(out: Path, models: Path) -> Path:
    """Write the model folder of the checkpoints in out below models; return it."""
    return vertxnet.deliver(out, models, model=MODEL)


def evaluate(request: EvaluateRequest, *, say: Say) -> Report:
    """Score the delivered model on every real lateral film."""
    return vertxnet.evaluate(request, say=say, model=MODEL)


def folds(data: Path, count: int) -> tuple[Fold, ...]:
    """Refuse: no real film is trained on, so that one training can be scored on all of them."""
    raise ConfigError(f"{MODEL} has no folds: it trains on no real lateral film and is scored on all of them")


def summary(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return a sentence per system."""
    return vertxnet.summary(rows)


def describe(folder: Path, report: Report) -> None:
    """Write metrics.json and the card of the model folder."""
    vertxnet.describe(folder, report)
