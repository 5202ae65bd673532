"""The recipes, one per shipped model. To add one: write a module that gives what Recipe asks; name it in RECIPES."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from dicom_ai.errors import ConfigError

RECIPES: dict[str, str] = {
    "spinal-cord": "dicom_ai.training.softseg",
    "spine-mr": "dicom_ai.training.sshsnet",
    "spine-xray": "dicom_ai.training.vertxnet",
    "spine-xray-synthetic": "dicom_ai.training.vertxnet_synthetic",
}
"""Model -> the module that trains, delivers and evaluates it."""

Say = Callable[[str], None]
"""Takes one line on the progress."""


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What `dicom-ai train` was asked for.

    data: folder of the training data. out: folder of the pack, checkpoint, curve; an existing checkpoint is gone on
    from. config: "" is the shipped one. steps, minutes: of this run, 0 is the recipe's own. threads: 0 is all.
    weights: a model folder whose weights are started from, where there is no checkpoint. held_out: people who are left
    out of the training; None: those whom the recipe leaves out of the shipped weights.
    """

    data: Path
    out: Path
    config: str = ""
    steps: int = 0
    minutes: float = 0.0
    seed: int = 0
    threads: int = 0
    workers: int = 1
    device: str = "cpu"
    weights: Path | None = None
    held_out: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class EvaluateRequest:
    """What `dicom-ai evaluate` was asked for.

    models: folder of model folders. seen: also score cases that the weights were trained on, marked as such.
    only: people who are scored; None: everyone. every: of a volume every so many slices; above 1 a quick look without
    crops. pictures: folder for pictures of what went wrong; None: none.
    """

    data: Path
    models: Path
    device: str = "auto"
    runtime: str = "onnx"
    threads: int = 0
    seen: bool = False
    only: frozenset[str] | None = None
    every: int = 1
    pictures: Path | None = None


BY_PERSON, SOURCE_LEFT_OUT = "by person", "source left out"


@dataclass(frozen=True, slots=True)
class Fold:
    """One training of a cross-validation. kind: BY_PERSON or SOURCE_LEFT_OUT: what its mean stands for.

    held_out: people whom it does not train on. scored: people whom it is scored on, all of them held out.
    """

    name: str
    kind: str
    held_out: frozenset[str]
    scored: frozenset[str]


@dataclass(frozen=True, slots=True)
class Report:
    """A table of scores: rows have the keys of columns; a value is None where it does not apply. notes: below it.

    about: those of the notes that tell of these very weights, and that means over several folds cannot say.
    """

    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...] = field(repr=False)
    notes: tuple[str, ...] = ()
    about: tuple[str, ...] = ()


def progress_line(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Return a row of scores as one line: key=value, numbers with three decimals, without what does not apply."""
    known = {key: row[key] for key in columns if row.get(key) is not None}
    return " ".join(
        f"{key}={value:.3f}" if isinstance(value, float) else f"{key}={value}" for key, value in known.items()
    )


class Recipe(Protocol):
    """What the module of a recipe gives."""

    CONFIGS: tuple[str, ...]
    """The names that --config takes; the first is the shipped one."""

    def train(self, request: TrainRequest, *, say: Say) -> None:
        """Train into request.out, going on from what is there."""

    def deliver(self, out: Path, models: Path) -> Path:
        """Write the model folder of the checkpoint in out below models; return it."""

    def evaluate(self, request: EvaluateRequest, *, say: Say) -> Report:
        """Score the delivered model."""

    def folds(self, data: Path, count: int) -> tuple[Fold, ...]:
        """Split the people of the data into folds, and name what else is left out once."""

    def summary(self, rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
        """Return the sentences below a table of scores: means, with n and the worst case."""

    def describe(self, folder: Path, report: Report) -> None:
        """Write metrics.json and MODEL_CARD.md of a model folder from a report."""

    # A recipe whose card also tells of its folds has describe_folds(folder, report, *, trained), one with variants to
    # compare has ablate(request, *, say), one whose weights may be averaged has deliver_mean(parts, models), one whose
    # shipped weights can stand for a fold has seen_people(models); the commands ask with hasattr.


def recipe(model: str) -> Recipe:
    """Return the recipe of a model; raises ConfigError where there is none, or where torch is missing."""
    if model not in RECIPES:
        raise ConfigError(f"no recipe for a model {model!r}; there is {', '.join(RECIPES)}")
    try:
        return cast(Recipe, import_module(RECIPES[model]))
    except ModuleNotFoundError as error:
        raise ConfigError(f"the recipe of {model} cannot be loaded ({error}): pip install 'dicom-ai[train]'") from error
