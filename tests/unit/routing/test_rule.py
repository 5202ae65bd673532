"""Rules from TOML: what is refused, with the place; and the round trip."""

import tomllib
from dataclasses import replace

import pytest

from dicom_ai.errors import RuleError
from dicom_ai.routing.rule import RuleSet, parse_rules

RULE = """
[[rule]]
name = "cord"
model = "spinal-cord"
description = 'The "cord" \\ in MR of the neck: Rückenmark, 頸椎'
destinations = ["pacs", "research"]
outputs = ["seg"]
priority = 5
state = "shadow"
take = "all"
study_quiet_s = 120
series_quiet_s = 12.5
all = [
    { keyword = "Modality", equals = "MR" },
    { keyword = "EchoTime", range = { min = 1.5, below = 200 } },
    { fact = "plane", in = ["axial", "sagittal"] },
]
any = [
    { keyword = "SeriesDescription", regex = '^t2\\s', case = true },
    { keyword = "StudyDescription", contains = "spine" },
]
none = [{ keyword = "ContrastBolusAgent", exists = true }]
"""


def parsed(text: str):
    return parse_rules(tomllib.loads(text))


def rule_with(condition: str) -> str:
    return f'[[rule]]\nname = "cord"\nmodel = "m"\nall = [{{ keyword = "Modality", equals = "MR" }}, {condition}]\n'


def test_a_rule_holds_what_its_table_says():
    rule = parsed(RULE).named("cord")

    assert (rule.model, rule.priority, rule.state, rule.take) == ("spinal-cord", 5, "shadow", "all")
    assert (rule.destinations, rule.outputs) == (("pacs", "research"), ("seg",))
    assert (rule.study_quiet_s, rule.series_quiet_s) == (120, 12.5)
    assert [condition.text for condition in rule.all] == [
        "Modality equals MR",
        "EchoTime range min 1.5, below 200",
        "fact plane in ['axial', 'sagittal']",
    ]
    assert rule.any[0].case


def test_rules_survive_the_way_to_toml_and_back():
    rules = parsed(RULE)

    assert parsed(rules.to_toml()) == rules


def test_rules_come_by_priority_then_in_their_order():
    table = '[[rule]]\nname = "{}"\nmodel = "m"\npriority = {}\nall = [{{ keyword = "Modality", exists = true }}]\n'

    rules = parsed(table.format("a", 1) + table.format("b", 9) + table.format("c", 1))

    assert [rule.name for rule in rules.rules] == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ('{ keyword = "Modalty", equals = "MR" }', r"rule 'cord', all\[2\]: unknown DICOM keyword 'Modalty'"),
        ('{ keyword = "Modality", equal = "MR" }', r"rule 'cord', all\[2\]: unknown predicate 'equal'"),
        ('{ keyword = "Modality", equals = "MR", sounds = "x" }', r"all\[2\]: unknown predicate 'sounds'"),
        ('{ keyword = "Modality" }', r"all\[2\]: names no predicate"),
        ('{ equals = "MR" }', r"all\[2\]: names no keyword or a fact"),
        ('{ keyword = "Modality", fact = "plane", equals = "MR" }', r"all\[2\]: has keyword and fact"),
        ('{ keyword = "Modality", equals = "MR", contains = "M" }', r"all\[2\]: has equals and contains"),
        ('{ fact = "weather", equals = "fair" }', r"all\[2\]: unknown fact 'weather'"),
        ('{ keyword = "SeriesDescription", regex = "(a+)+" }', r"all\[2\]: SeriesDescription regex: .*repeats what"),
        ('{ keyword = "SeriesDescription", regex = "(" }', r"all\[2\]: SeriesDescription regex: bad regular"),
        ('{ keyword = "SeriesDescription", range = { min = 3 } }', r"all\[2\]: SeriesDescription has no order"),
        ('{ keyword = "EchoTime", equals = "long" }', r"all\[2\]: EchoTime equals: 'long' cannot be compared"),
        ('{ keyword = "EchoTime", range = { min = "a" } }', r"all\[2\]: EchoTime range: 'a' is no bound"),
        ('{ keyword = "EchoTime", range = { least = 3 } }', r"all\[2\]: EchoTime range: unknown bound 'least'"),
        ('{ keyword = "EchoTime", range = {} }', r"all\[2\]: EchoTime range: needs at least one bound"),
        ('{ keyword = "Modality", in = [] }', r"all\[2\]: Modality in: needs a list"),
        ('{ keyword = "Modality", contains = "" }', r"all\[2\]: Modality contains: needs a text"),
        ('{ keyword = "Modality", exists = "yes" }', r"all\[2\]: Modality exists: needs true or false"),
        ('{ keyword = "Modality", equals = "MR", case = 1 }', r"all\[2\]: case must be true or false"),
        ('{ fact = "localizer", equals = "no" }', r"all\[2\]: localizer equals: 'no' cannot be compared"),
        ('{ fact = "plane", range = { min = 1 } }', r"all\[2\]: plane has no order"),
        ('"Modality"', r"all\[2\]: a condition is a table"),
    ],
)
def test_a_malformed_condition_is_refused_with_its_place(condition, message):
    with pytest.raises(RuleError, match=message):
        parsed(rule_with(condition))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules = []", "unknown key 'rules'"),
        ('[[rule]]\nmodel = "m"', "rule 1: needs a name"),
        ('[[rule]]\nname = "a"\nall = []', "rule 'a': needs a model"),
        ('[[rule]]\nname = "a"\nmodel = "m"', "rule 'a': has no conditions"),
        ('[[rule]]\nname = "a"\nmodel = "m"\nall = []', "rule 'a', all: is empty"),
        ('[[rule]]\nname = "a"\nmodel = "m"\nstat = "on"', "rule 'a': unknown key 'stat'"),
        ('[[rule]]\nname = "a"\nmodel = "m"\nstate = "maybe"', "rule 'a', state: unknown 'maybe'"),
        ('[[rule]]\nname = "a"\nmodel = "m"\npriority = "high"', "rule 'a', priority: needs a whole number"),
        ('[[rule]]\nname = "a"\nmodel = "m"\noutputs = ["pdf"]', "rule 'a', outputs: unknown 'pdf'"),
        ('[[rule]]\nname = "a"\nmodel = "m"\ndestinations = "pacs"', "rule 'a', destinations: needs a list"),
        ('[[rule]]\nname = "a"\nmodel = "m"\nstudy_quiet_s = -1', "rule 'a', study_quiet_s: needs a number of seconds"),
    ],
)
def test_a_malformed_rule_is_refused_with_its_place(text, message):
    with pytest.raises(RuleError, match=message):
        parsed(text)


def test_a_name_is_used_once():
    with pytest.raises(RuleError, match="rule 'cord': the name is used 2 times"):
        parsed(RULE + RULE)


def test_seeding_changes_only_rules_that_are_on():
    rules = parsed(RULE.replace('"shadow"', '"on"') + RULE.replace('"cord"', '"other"').replace('"shadow"', '"off"'))

    seeded = rules.seeded_as("shadow")

    assert [(rule.name, rule.state) for rule in seeded.rules] == [("cord", "shadow"), ("other", "off")]


def test_one_rule_is_turned_on():
    assert parsed(RULE).with_state("cord", "on").named("cord").state == "on"
    with pytest.raises(RuleError, match="there is no rule 'neck'"):
        parsed(RULE).with_state("neck", "on")


def first_of(*priorities: int) -> RuleSet:
    """Return rules a, b, c ... of some priorities."""
    some = {"model": "cord", "all": [{"keyword": "Modality", "equals": "MR"}]}
    tables = [{"name": "abc"[index], "priority": one, **some} for index, one in enumerate(priorities)]
    return parse_rules({"rule": tables})


def test_a_rule_that_passes_another_gets_its_priority():
    rules = first_of(20, 10, 10)

    assert [(one.name, one.priority) for one in rules.moved("b", -1).rules] == [("b", 20), ("a", 20), ("c", 10)]
    assert [(one.name, one.priority) for one in rules.moved("a", 1).rules] == [("b", 10), ("a", 10), ("c", 10)]
    assert rules.moved("c", -1).names == ("a", "c", "b")
    assert parse_rules(rules.moved("c", -1).as_toml()).names == ("a", "c", "b")


def test_the_first_rule_does_not_go_up_and_the_last_not_down():
    rules = first_of(2, 1)

    assert rules.moved("a", -1) == rules.moved("b", 1) == rules


def test_a_rule_takes_the_place_of_another_or_comes_beside_them():
    rules = first_of(3, 2, 1)
    changed = replace(rules.named("b"), name="neck", priority=2)

    assert rules.with_rule(changed, instead_of="b").names == ("a", "neck", "c")
    assert rules.with_rule(replace(changed, priority=9)).names == ("neck", "a", "b", "c")
    with pytest.raises(RuleError, match="rule 'c': the name is used by another rule"):
        rules.with_rule(replace(changed, name="c"), instead_of="b")


def test_a_rule_goes_and_the_others_stay():
    assert first_of(3, 2, 1).without("b").names == ("a", "c")
    with pytest.raises(RuleError, match="there is no rule 'x'"):
        first_of(1).without("x")
