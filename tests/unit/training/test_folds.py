"""Cross-validation: nobody is scored by weights that saw him, and what is done is not done again."""

import json

import pytest

pytest.importorskip("torch", reason="the extra [train] is not installed")

from dicom_ai.errors import ConfigError
from dicom_ai.training import cord_evaluation, spine_evaluation
from dicom_ai.training.folds import FoldPlan, described, evaluate_folds
from dicom_ai.training.recipes import SOURCE_LEFT_OUT, EvaluateRequest, Fold, Report


class Remembering:
    """A recipe that writes whom it trained on, and scores 1.0 for everyone else."""

    CONFIGS = ("only",)
    everyone = frozenset("abcd")

    def __init__(self):
        self.trained: list[frozenset[str]] = []
        self.began_with: list[str | None] = []

    def folds(self, data, count):
        people = sorted(self.everyone)
        split = [frozenset(people[number::count]) for number in range(count)]
        return tuple(Fold(f"fold-{n}", "by person", out, out) for n, out in enumerate(split, 1))

    def train(self, request, *, say):
        self.trained.append(request.held_out)
        self.began_with.append(request.weights and request.weights.parents[1].name)
        request.out.mkdir(parents=True)
        (request.out / "seen").write_text(json.dumps(sorted(self.everyone - request.held_out)))

    def deliver(self, out, models):
        (models / "only").mkdir(parents=True)
        (models / "only" / "model.toml").touch()
        (out / "seen").rename(models / "seen")
        return models / "only"

    def evaluate(self, request, *, say):
        seen = json.loads((request.models / "seen").read_text())
        assert not request.seen
        rows = tuple({"person": one, "dice": 1.0} for one in sorted(request.only) if one not in seen)
        return Report(("person", "dice"), rows)

    def summary(self, rows):
        return (f"mean over {len(rows)}",)

    def describe(self, folder, report):
        raise AssertionError("folds do not write the card of the shipped weights")


def scored(recipe, tmp_path, said=None, **changes):
    request = EvaluateRequest(tmp_path, tmp_path / "unused")
    plan = FoldPlan(2, tmp_path / "folds", minutes=3, **changes)
    return evaluate_folds(recipe, request, plan, say=(said if said is not None else []).append)


def test_everyone_is_scored_once_by_weights_that_have_not_seen_him(tmp_path):
    recipe = Remembering()

    report = scored(recipe, tmp_path)

    assert report.columns == ("fold", "person", "dice")
    assert sorted((row["person"], row["fold"]) for row in report.rows) == [
        ("a", "fold-1"),
        ("b", "fold-2"),
        ("c", "fold-1"),
        ("d", "fold-2"),
    ]
    assert recipe.trained == [frozenset("ac"), frozenset("bd")]
    assert report.notes == ("by person: mean over 4",)


def test_the_plan_is_said_before_the_first_training(tmp_path):
    said: list[str] = []

    scored(Remembering(), tmp_path, said)

    before = said[: said.index("fold-1: training")]
    assert before[0].startswith("2 trainings, 3 minutes each, 6 in all")
    assert before[1:] == ["fold-1: scored on a, c", "fold-2: scored on b, d"]


def test_a_run_that_was_cut_off_goes_on_after_the_folds_that_are_done(tmp_path):
    first = scored(Remembering(), tmp_path)
    again = Remembering()

    assert scored(again, tmp_path) == first
    assert again.trained == []


def test_folds_go_on_from_a_start_that_has_seen_nobody_who_is_scored(tmp_path):
    recipe = Remembering()
    said: list[str] = []

    first = scored(recipe, tmp_path, said, start_minutes=2)
    again = Remembering()

    assert recipe.trained == [frozenset("abcd"), frozenset("ac"), frozenset("bd")]
    assert recipe.began_with == [None, "start", "start"]
    assert "one of 2 minutes without anybody who is scored" in said[1]
    assert scored(again, tmp_path, start_minutes=2) == first
    assert again.trained == []


class Shipping(Remembering):
    """Weights that ship and have seen a and c."""

    def seen_people(self, models):
        return frozenset(json.loads((models / "seen").read_text()))

    def evaluate(self, request, *, say):
        report = super().evaluate(request, say=say)
        return Report(report.columns, report.rows, about=(f"weights in {request.models.name}",))


def test_shipped_weights_stand_for_the_folds_whose_people_they_never_saw(tmp_path):
    recipe, said = Shipping(), []
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "seen").write_text(json.dumps(["a", "c"]))

    report = evaluate_folds(
        recipe,
        EvaluateRequest(tmp_path, shipped),
        FoldPlan(2, tmp_path / "folds", minutes=3, shipped=True),
        say=said.append,
    )

    assert recipe.trained == [frozenset("ac")]
    assert {(row["person"], row["fold"]) for row in report.rows} == {
        ("a", "fold-1"),
        ("b", "fold-2"),
        ("c", "fold-1"),
        ("d", "fold-2"),
    }
    assert said[0].startswith("1 trainings, 3 minutes each, 3 in all")
    assert "fold-2: scored on b, d, by the shipped weights" in said
    assert report.notes == ("fold-1: weights in models", "fold-2: weights in shipped", "by person: mean over 4")


def test_no_fold_is_left_to_weights_of_which_nobody_says_whom_they_have_seen(tmp_path):
    with pytest.raises(ConfigError, match="does not say whom"):
        scored(Remembering(), tmp_path, shipped=True)


def test_a_model_that_lies_in_a_fold_is_scored_and_not_trained_again(tmp_path):
    first = scored(Remembering(), tmp_path)
    for report in (tmp_path / "folds").glob("*/report.json"):
        report.unlink()
    again = Remembering()

    assert scored(again, tmp_path) == first
    assert again.trained == []


def test_a_source_need_not_be_left_out(tmp_path):
    class WithSource(Remembering):
        def folds(self, data, count):
            everyone = Fold("without-x", SOURCE_LEFT_OUT, self.everyone, self.everyone)
            return (*super().folds(data, count), everyone)

    both, people = WithSource(), WithSource()
    scored(both, tmp_path / "both")
    scored(people, tmp_path / "people", sources=False)

    assert (len(both.trained), len(people.trained)) == (3, 2)


def test_a_card_says_how_the_folds_came_about(tmp_path):
    request = EvaluateRequest(tmp_path, tmp_path, every=4)

    assert described(FoldPlan(2, tmp_path, 13, config="small", start_minutes=10), request) == (
        "every fold trained its own for 13 minutes (`--config small`), beginning with weights of 10 minutes that had "
        "seen nobody who is scored, and a quick look was scored (`--every 4`)"
    )
    assert described(FoldPlan(2, tmp_path, minutes=90, shipped=True), EvaluateRequest(tmp_path, tmp_path)) == (
        "every fold that the shipped weights have seen trained its own for 90 minutes, beginning with nothing"
    )
    assert described(FoldPlan(2, tmp_path, steps=300), EvaluateRequest(tmp_path, tmp_path)) == (
        "every fold trained its own for 300 steps, beginning with nothing"
    )


def test_spine_folds_split_every_source_and_leave_each_drawn_one_out_once(tmp_path):
    folder = tmp_path / "spine_mr"
    folder.mkdir()
    names = [f"chu_{n:02d}" for n in range(1, 5)] + [f"myosegmentum_{n:02d}" for n in range(17, 21)]
    discs = ["menezes_discs_11", "menezes_discs_20"]
    for name in [*names, *discs]:
        (folder / f"{name}_image.nii.gz").touch()

    folds = {fold.name: fold for fold in spine_evaluation.folds(tmp_path, 2)}

    assert set(folds) == {"fold-1", "fold-2", "without-chu", "without-menezes", "without-myosegmentum"}
    by_person = [folds["fold-1"].held_out, folds["fold-2"].held_out]
    everyone = {name for name in [*names, *discs] if name != "myosegmentum_19"}  # the image of _18
    assert by_person[0] | by_person[1] == everyone
    assert not by_person[0] & by_person[1]
    assert all(fold.scored == fold.held_out for fold in folds.values())
    assert folds["without-menezes"].held_out == set(discs)
    assert folds["without-chu"].held_out == {"chu_01", "chu_02", "chu_03", "chu_04"}


def test_the_cord_leaves_out_each_person_with_manual_masks(tmp_path):
    folder = tmp_path / "spinal_cord_mr"
    folder.mkdir()
    for name in ("errsm30_t2_crop_cord", "unf01_T1w_cord", "unf01_T2w_cord"):
        (folder / f"{name}.nii.gz").touch()

    folds = cord_evaluation.folds(tmp_path)

    assert [(fold.name, fold.scored) for fold in folds] == [
        ("without-errsm30", {"errsm30"}),
        ("without-unf01", {"unf01"}),
    ]
    assert all(fold.held_out == fold.scored for fold in folds)
