"""Cross-validation: every fold trains a model of its own without the people whom it is then scored on.

    plan, said beforehand -> per fold: train (goes on where it was cut off), deliver into the fold's folder, score
    -> one table with the fold of each row, and means over the folds of a kind

A fold whose report lies in its folder is done and is read back, so that a long run can be cut off anywhere. The model
of a fold names its training cases like any other, and the evaluation refuses whom they name.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dicom_ai.training.recipes import EvaluateRequest, Fold, Recipe, Report, Say, TrainRequest

REPORT = "report.json"
MODELS = "models"


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """How the folds are trained. count: folds by person. minutes: of each training; 0: the recipe's own.

    out: a folder per fold. config, steps, seed: as in TrainRequest.
    """

    count: int
    out: Path
    minutes: float = 0.0
    steps: int = 0
    config: str = ""
    seed: int = 0


def evaluate_folds(chosen: Recipe, request: EvaluateRequest, plan: FoldPlan, *, say: Say) -> Report:
    """Train and score every fold; request.models is not used. Raises what the recipe raises."""
    folds = chosen.folds(request.data, plan.count)
    for line in announced(folds, plan):
        say(line)
    reports = [_done(chosen, fold, request, plan, say) for fold in folds]
    rows = [{"fold": fold.name} | row for fold, report in zip(folds, reports, strict=True) for row in report.rows]
    notes = []
    for kind in dict.fromkeys(fold.kind for fold in folds):
        names = {fold.name for fold in folds if fold.kind == kind}
        notes += [f"{kind}: {note}" for note in chosen.summary([row for row in rows if row["fold"] in names])]
    return Report(("fold", *reports[0].columns), tuple(rows), tuple(notes))


def announced(folds: Sequence[Fold], plan: FoldPlan) -> list[str]:
    """Return what is going to be done, one line per fold, the time first."""
    each = f"{plan.minutes:g} minutes each, {plan.minutes * len(folds):g} in all" if plan.minutes else "the usual time"
    lines = [f"{len(folds)} trainings, {each}, and their evaluation; what is done is kept in {plan.out}"]
    lines += [f"{fold.name}: scored on {', '.join(sorted(fold.scored))}" for fold in folds]
    return lines


def _done(chosen: Recipe, fold: Fold, request: EvaluateRequest, plan: FoldPlan, say: Say) -> Report:
    folder = plan.out / fold.name
    kept = folder / REPORT
    if kept.is_file():
        say(f"{fold.name}: done before")
        return _read(kept)
    training = TrainRequest(
        data=request.data,
        out=folder,
        config=plan.config,
        steps=plan.steps,
        minutes=plan.minutes,
        seed=plan.seed,
        threads=request.threads,
        device=request.device if request.device.startswith("cuda") else "cpu",
        held_out=fold.held_out,
    )
    say(f"{fold.name}: training")
    chosen.train(training, say=say)
    chosen.deliver(folder, folder / MODELS)
    report = chosen.evaluate(replace(request, models=folder / MODELS, seen=False, only=fold.scored), say=say)
    kept.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    return report


def _read(path: Path) -> Report:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Report(tuple(content["columns"]), tuple(content["rows"]), tuple(content["notes"]))
