"""Decisions and their reasons."""

import tomllib

import pytest

from dicom_ai.routing.explain import route_study
from dicom_ai.routing.rule import parse_rules
from tests.unit.routing.headers import SAGITTAL, mr, series


def rules(conditions: str, **fields: str):
    more = "".join(f'{name} = "{value}"\n' for name, value in fields.items())
    return parse_rules(tomllib.loads(f'[[rule]]\nname = "cord"\nmodel = "m"\n{more}{conditions}'))


MR_ONLY = 'all = [{ keyword = "Modality", equals = "MR" }]'


def one(study, rule_set, **options):
    (decision,) = route_study(study, rule_set, **options)
    return decision


def test_a_series_that_fits_is_taken_and_told_why():
    decision = one([mr("T2")], rules(MR_ONLY))

    assert decision.taken
    assert decision.summary == "all[1]: Modality equals MR is true; seen: MR"


def test_every_condition_that_failed_is_told_with_the_value_it_saw():
    decision = one(
        [mr("T2", SAGITTAL, EchoTime=90)],
        rules('all = [{ keyword = "EchoTime", range = { max = 60 } }, { fact = "plane", equals = "axial" }]'),
    )

    assert not decision.taken
    assert decision.reasons[0].text == "all[1]: EchoTime range max 60 is not true; seen: 90"
    assert decision.reasons[1].text.startswith("all[2]: fact plane equals axial is not true; seen: sagittal")


@pytest.mark.parametrize("group", ["all", "none"])
def test_a_missing_value_is_unknown_and_keeps_the_rule_from_matching(group):
    decision = one([mr("T2")], rules(f'{group} = [{{ keyword = "EchoTime", range = {{ max = 60 }} }}]'))

    assert not decision.taken
    assert decision.summary == f"{group}[1]: EchoTime range max 60 is unknown; seen: absent"


def test_an_empty_value_is_missing():
    decision = one([mr("T2", BodyPartExamined="")], rules('none = [{ keyword = "BodyPartExamined", equals = "HEAD" }]'))

    assert decision.summary == "none[1]: BodyPartExamined equals HEAD is unknown; seen: empty"


def test_a_condition_under_none_that_holds_is_told():
    decision = one([mr("T2 loc")], rules('none = [{ fact = "localizer", equals = true }]'))

    assert "none[1]: fact localizer equals true is true" in decision.summary


def test_any_needs_one_and_tells_all_that_failed():
    any_of = 'any = [{ keyword = "SeriesDescription", contains = "T1" }, { keyword = "ProtocolName", equals = "x" }]'

    assert one([mr("T1")], rules(any_of)).taken
    assert [reason.place for reason in one([mr("T2")], rules(any_of)).reasons] == ["any[1]", "any[2]"]


def test_a_rule_in_shadow_takes_and_says_so_and_one_that_is_off_takes_nothing():
    shadow, off = one([mr("T2")], rules(MR_ONLY, state="shadow")), one([mr("T2")], rules(MR_ONLY, state="off"))

    assert (shadow.taken, shadow.shadow) == (True, True)
    assert (off.taken, off.summary) == (False, "the rule is off")


def test_a_rule_whose_model_is_absent_is_reported():
    decision = one([mr("T2")], rules(MR_ONLY), models=["other"])

    assert not decision.taken
    assert decision.summary == "model 'm' is not installed"


@pytest.mark.parametrize(
    "values",
    [
        {"Modality": "MR", "Manufacturer": "dicom_ai"},
        {"Modality": "SEG", "Manufacturer": "somebody"},
        {"Modality": "SR"},
        {"Modality": "PR"},
        {"Modality": "KO"},
    ],
)
def test_own_objects_and_results_are_never_routed(values):
    decision = one([series(**values)], rules('all = [{ keyword = "Modality", exists = true }]'))

    assert not decision.taken


def test_of_repeats_best_takes_one_and_all_takes_both():
    study = [mr("T2 sag", SAGITTAL, series_uid=uid, SeriesNumber=uid[-1]) for uid in ("1.1", "1.2")]

    best, every = route_study(study, rules(MR_ONLY)), route_study(study, rules(MR_ONLY, take="all"))

    assert [decision.taken for decision in best] == [False, True]
    assert "of the same acquisition was taken" in best[0].summary
    assert [decision.taken for decision in every] == [True, True]


def test_a_study_without_rules_or_series_has_no_decisions():
    assert route_study([mr("T2")], parse_rules({})) == ()
    assert route_study([], rules(MR_ONLY)) == ()
