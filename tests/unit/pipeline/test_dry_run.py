from pathlib import Path

import pytest

from dicom_ai.pipeline import route
from dicom_ai.pipeline.dry_run import Asked, Bounds, Trial, try_rules
from dicom_ai.routing.rule import RuleSet, parse_rules
from tests.unit.pipeline.lab import SERIES, STUDY, Lab


def rules(name: str = "cord", state: str = "on", modality: str = "MR", **more: object) -> RuleSet:
    condition = {"keyword": "Modality", "equals": modality}
    return parse_rules({"rule": [{"name": name, "model": "cord", "state": state, "all": [condition], **more}]})


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path)
    lab.receive(SeriesDescription="t2_sag")
    return lab


@pytest.fixture
def routed(lab: Lab) -> Lab:
    """The same after routing, which has kept what rules see."""
    lab.rule()
    lab.advance(60)
    assert route.run(lab.router) == STUDY
    return lab


def tried(lab: Lab, after: RuleSet, *, since: float = 0, most_s: float = 60) -> Trial:
    return try_rules(lab.database, lab.files.path, rules(), after, Bounds(since, most_s))


def seen(trial: Trial) -> list[tuple[str, str, str, str]]:
    assert {(one.study_uid, one.series_uid) for one in trial.differences} <= {(STUDY, SERIES)}
    return [(one.rule, one.before, one.after, one.why) for one in trial.differences]


def test_the_same_rules_make_no_difference(lab: Lab) -> None:
    assert tried(lab, rules()) == Trial(1, 1, 0, True, (), ())


def test_a_series_that_is_lost_says_which_condition_failed(lab: Lab) -> None:
    why = "all[1]: Modality equals CT is not true; seen: MR"

    assert seen(tried(lab, rules(modality="CT"))) == [("cord", "sent", "not taken", why)]


def test_a_rule_of_another_name_takes_anew_what_the_old_one_loses(lab: Lab) -> None:
    found = seen(tried(lab, rules("neck", "shadow")))

    assert [one[:3] for one in found] == [("neck", "not taken", "shadow"), ("cord", "sent", "not taken")]
    assert found[1][3] == "the rule is gone"


def test_images_that_are_gone_before_routing_saw_them_are_left_out_and_counted(lab: Lab) -> None:
    next(lab.files.root.glob("received/*/*.dcm")).unlink()

    trial = tried(lab, rules("neck"))

    assert (trial.studies, trial.series, trial.left_out) == (1, 0, 1)


def test_images_that_are_gone_after_routing_are_tried_by_what_was_kept(routed: Lab) -> None:
    for path in routed.files.root.glob("received/*/*.dcm"):
        path.unlink()
    plane = rules(all=[{"fact": "plane", "equals": "sagittal"}])

    trial = tried(routed, plane)

    assert trial.left_out == 0
    (difference,) = trial.differences
    assert (difference.description, difference.after) == ("t2_sag", "not taken")
    assert difference.why.startswith("all[1]: fact plane equals sagittal is not true; seen: axial (")


def test_what_a_rule_treats_as_before_is_counted_with_why(routed: Lab) -> None:
    narrower = rules(none=[{"fact": "localizer", "equals": True}])

    (effect,) = tried(routed, narrower).effects

    assert (effect.rule, effect.before, effect.after) == ("cord", 1, 1)
    assert [(one.word, one.why, one.series) for one in effect.unchanged] == [("sent", "every condition holds", 1)]
    assert effect.unchanged[0].example.study_uid == STUDY
    assert effect.asked == (
        Asked("all[1]", "Modality equals MR", true=1, false=0, unknown=0),
        Asked("none[1]", "fact localizer equals true", true=0, false=1, unknown=0),
    )


def test_a_condition_on_what_is_not_there_is_counted_as_unknown(routed: Lab) -> None:
    (effect,) = tried(routed, rules(all=[{"keyword": "StationName", "equals": "MR1"}])).effects

    assert effect.asked == (Asked("all[1]", "StationName equals MR1", true=0, false=0, unknown=1),)


def test_older_studies_are_not_tried_and_a_trial_that_ran_out_of_time_says_so(lab: Lab) -> None:
    late, short = tried(lab, rules("neck"), since=1e12), tried(lab, rules("neck"), most_s=-1)

    assert [(one.studies, one.is_whole, one.differences) for one in (late, short)] == [(0, True, ()), (0, False, ())]
