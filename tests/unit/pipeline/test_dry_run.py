from pathlib import Path

import pytest

from dicom_ai.pipeline.dry_run import Bounds, Trial, try_rules
from dicom_ai.routing.rule import RuleSet, parse_rules
from tests.unit.pipeline.lab import SERIES, STUDY, Lab


def rules(name: str = "cord", state: str = "on", modality: str = "MR") -> RuleSet:
    condition = {"keyword": "Modality", "equals": modality}
    return parse_rules({"rule": [{"name": name, "model": "cord", "state": state, "all": [condition]}]})


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path)
    lab.receive()
    return lab


def tried(lab: Lab, after: RuleSet, *, since: float = 0, most_s: float = 60) -> Trial:
    return try_rules(lab.database, lab.files.path, rules(), after, Bounds(since, most_s))


def seen(trial: Trial) -> list[tuple[str, str, str, str]]:
    assert {(one.study_uid, one.series_uid) for one in trial.differences} <= {(STUDY, SERIES)}
    return [(one.rule, one.before, one.after, one.why) for one in trial.differences]


def test_the_same_rules_make_no_difference(lab: Lab) -> None:
    assert tried(lab, rules()) == Trial(1, 0, True, ())


def test_a_series_that_is_lost_says_which_condition_failed(lab: Lab) -> None:
    why = "all[1]: Modality equals CT is not true; seen: MR"

    assert seen(tried(lab, rules(modality="CT"))) == [("cord", "sent", "not taken", why)]


def test_a_rule_of_another_name_takes_anew_what_the_old_one_loses(lab: Lab) -> None:
    found = seen(tried(lab, rules("neck", "shadow")))

    assert [one[:3] for one in found] == [("neck", "not taken", "shadow"), ("cord", "sent", "not taken")]
    assert found[1][3] == "the rule is gone"


def test_images_that_are_gone_are_left_out_and_counted(lab: Lab) -> None:
    next(lab.files.root.glob("received/*/*.dcm")).unlink()

    assert tried(lab, rules("neck")) == Trial(1, 1, True, ())


def test_older_studies_are_not_tried_and_a_trial_that_ran_out_of_time_says_so(lab: Lab) -> None:
    assert tried(lab, rules("neck"), since=1e12) == Trial(0, 0, True, ())
    assert tried(lab, rules("neck"), most_s=-1) == Trial(0, 0, False, ())
