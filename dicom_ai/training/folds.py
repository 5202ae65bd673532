"""Cross-validation: every fold trains a model of its own without the people whom it is then scored on.

    plan, said beforehand -> perhaps a start without anybody who is scored -> per fold: train (goes on where it was
    cut off), deliver into the fold's folder, score -> one table with the fold of each row, means over folds of a kind

A fold whose report lies in its folder is done and is read back, one whose model lies there is scored, so that a long
run can be cut off anywhere. The model of a fold names its training cases like any other, and the evaluation refuses
whom they name. Weights that ship and have never seen the people of a fold may stand for it.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dicom_ai.errors import ConfigError
from dicom_ai.training.recipes import SOURCE_LEFT_OUT, EvaluateRequest, Fold, Recipe, Report, Say, TrainRequest

REPORT = "report.json"
MODELS = "models"
START = "start"


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """How the folds are trained. count: folds by person. minutes: of each training; 0: the recipe's own.

    out: a folder per fold. config, steps, seed: as in TrainRequest. start_minutes: of one training before them, without
    anybody who is scored in any fold, from whose weights every fold goes on; 0: every fold begins with nothing.
    sources: whether each source is left out once too. shipped: whether the models of the request stand for the folds
    whose people they have never seen, so that these are not trained.
    """

    count: int
    out: Path
    minutes: float = 0.0
    steps: int = 0
    config: str = ""
    seed: int = 0
    start_minutes: float = 0.0
    sources: bool = True
    shipped: bool = False


def evaluate_folds(chosen: Recipe, request: EvaluateRequest, plan: FoldPlan, *, say: Say) -> Report:
    """Train and score every fold; request.models is used where plan.shipped. Raises what the recipe raises."""
    folds = [fold for fold in chosen.folds(request.data, plan.count) if plan.sources or fold.kind != SOURCE_LEFT_OUT]
    unseen = _unseen(chosen, folds, request) if plan.shipped else frozenset()
    for line in announced(folds, plan, unseen):
        say(line)
    start = _start(chosen, folds, request, plan, say) if plan.start_minutes else None
    reports = [
        _shipped(chosen, fold, request, plan, say)
        if fold.name in unseen
        else _done(chosen, fold, request, plan, start, say)
        for fold in folds
    ]
    rows = [{"fold": fold.name} | row for fold, report in zip(folds, reports, strict=True) for row in report.rows]
    notes = [f"{fold.name}: {line}" for fold, report in zip(folds, reports, strict=True) for line in report.about]
    for kind in dict.fromkeys(fold.kind for fold in folds):
        names = {fold.name for fold in folds if fold.kind == kind}
        notes += [f"{kind}: {note}" for note in chosen.summary([row for row in rows if row["fold"] in names])]
    return Report(("fold", *reports[0].columns), tuple(rows), tuple(notes))


def announced(folds: Sequence[Fold], plan: FoldPlan, unseen: Collection[str] = ()) -> list[str]:
    """Return what is going to be done, one line per fold, the time first. unseen: folds that are not trained."""
    count = len(folds) - len(unseen)
    each = f"{plan.minutes:g} minutes each, {plan.minutes * count:g} in all" if plan.minutes else "the usual time"
    lines = [f"{count} trainings, {each}, and their evaluation; what is done is kept in {plan.out}"]
    if plan.start_minutes:
        lines.append(f"before them one of {plan.start_minutes:g} minutes without anybody who is scored, to go on from")
    for fold in folds:
        by = ", by the shipped weights" if fold.name in unseen else ""
        lines.append(f"{fold.name}: scored on {', '.join(sorted(fold.scored))}{by}")
    return lines


def described(plan: FoldPlan, request: EvaluateRequest) -> str:
    """Return how the folds were trained and scored, as a clause for a card."""
    long = [f"{plan.minutes:g} minutes"] * bool(plan.minutes) + [f"{plan.steps} steps"] * bool(plan.steps)
    whose = "every fold that the shipped weights have seen" if plan.shipped else "every fold"
    trained = f"{whose} trained its own" + (f" for {' or '.join(long)}" if long else "")
    begun = (
        f", beginning with weights of {plan.start_minutes:g} minutes that had seen nobody who is scored"
        if plan.start_minutes
        else ", beginning with nothing"
    )
    thinned = f", and a quick look was scored (`--every {request.every}`)" if request.every > 1 else ""
    return f"{trained}{f' (`--config {plan.config}`)' if plan.config else ''}{begun}{thinned}"


def _start(chosen: Recipe, folds: Sequence[Fold], request: EvaluateRequest, plan: FoldPlan, say: Say) -> Path:
    """Return the model folder that every fold goes on from; it is trained where it does not lie there yet."""
    folder = plan.out / START
    done = sorted((folder / MODELS).glob("*/model.toml"))
    if done:
        say("start: done before")
        return done[0].parent
    nobody = frozenset().union(*(fold.held_out | fold.scored for fold in folds))
    say("start: training")
    chosen.train(_training(request, plan, folder, nobody, plan.start_minutes, None), say=say)
    return chosen.deliver(folder, folder / MODELS)


def _unseen(chosen: Recipe, folds: Sequence[Fold], request: EvaluateRequest) -> frozenset[str]:
    """Return the folds whose people the models of the request have never seen; raises ConfigError where none knows."""
    seen_people = getattr(chosen, "seen_people", None)
    if seen_people is None:
        raise ConfigError("this recipe does not say whom the shipped weights have seen; every fold is to be trained")
    seen = seen_people(request.models)
    return frozenset(fold.name for fold in folds if not fold.scored & seen)


def _shipped(chosen: Recipe, fold: Fold, request: EvaluateRequest, plan: FoldPlan, say: Say) -> Report:
    """Score the people of a fold by the models of the request; nothing is kept, since these may change."""
    say(f"{fold.name}: the shipped weights have seen nobody of it")
    return _score(chosen, fold, request, request.models, say)


def _done(chosen: Recipe, fold: Fold, request: EvaluateRequest, plan: FoldPlan, start: Path | None, say: Say) -> Report:
    folder = plan.out / fold.name
    kept = folder / REPORT
    if kept.is_file():
        say(f"{fold.name}: done before")
        return _read(kept)
    if any((folder / MODELS).glob("*/model.toml")):
        say(f"{fold.name}: trained before")
    else:
        say(f"{fold.name}: training")
        chosen.train(_training(request, plan, folder, fold.held_out, plan.minutes, start), say=say)
        chosen.deliver(folder, folder / MODELS)
    report = _score(chosen, fold, request, folder / MODELS, say)
    kept.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    return report


def _score(chosen: Recipe, fold: Fold, request: EvaluateRequest, models: Path, say: Say) -> Report:
    scoring = replace(request, models=models, seen=False, only=fold.scored)
    if request.pictures is not None:
        scoring = replace(scoring, pictures=request.pictures / fold.name)
    return chosen.evaluate(scoring, say=say)


def _training(
    request: EvaluateRequest,
    plan: FoldPlan,
    folder: Path,
    held_out: frozenset[str],
    minutes: float,
    weights: Path | None,
) -> TrainRequest:
    return TrainRequest(
        data=request.data,
        out=folder,
        config=plan.config,
        steps=plan.steps,
        minutes=minutes,
        seed=plan.seed,
        threads=request.threads,
        device=request.device if request.device.startswith("cuda") else "cpu",
        weights=weights,
        held_out=held_out,
    )


def _read(path: Path) -> Report:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    about = tuple(content.get("about", ()))  # a report from before there was such a thing has none
    return Report(tuple(content["columns"]), tuple(content["rows"]), tuple(content["notes"]), about)
