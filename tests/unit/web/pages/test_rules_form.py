import pytest
from starlette.datastructures import FormData

from dicom_ai.routing.condition import parse_condition
from dicom_ai.routing.fault import malformed
from dicom_ai.routing.rule import parse_rules
from dicom_ai.routing.shipped import read_rules
from dicom_ai.web.pages.rules_form import Draft, Row, draft_of, fits_the_form, read_form

CONDITIONS = [
    {"keyword": "Modality", "equals": "MR"},
    {"keyword": "StationName", "regex": "^MR0?3$", "case": True},
    {"keyword": "PatientAge", "range": {"min": "018Y"}},
    {"keyword": "EchoTime", "range": {"above": 60, "max": 150.5}},
    {"keyword": "EchoTime", "in": [60, 0.5]},
    {"keyword": "ContrastBolusAgent", "exists": True},
    {"keyword": "StudyDate", "range": {"min": "20260101"}},
    {"fact": "plane", "in": ["axial", "sagittal"]},
    {"fact": "localizer", "equals": False},
    {"fact": "spine_region", "exists": False},
    {"fact": "slices", "range": {"below": 9}},
    {"keyword": "SeriesDescription", "contains": "T2"},
]


def sent(draft: Draft) -> FormData:
    """Return what a browser sends of a draft."""
    names = ("instead_of", "name", "description", "model", "priority", "state", "take")
    fields = [(name, getattr(draft, name)) for name in (*names, "study_quiet_s", "series_quiet_s")]
    fields += [(name, one) for name in ("destinations", "outputs") for one in getattr(draft, name)]
    for group, rows in draft.groups.items():
        for index, row in enumerate(rows):
            fields += [
                (f"{group}-{index}-{name}", getattr(row, name))
                for name in ("subject", "operator", "value", "low", "low_end", "high", "high_end")
            ]
            fields += [(f"{group}-{index}-case", "1")] if row.case else []
    return FormData(fields)


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_a_condition_goes_through_the_form_and_stays_the_same(condition: dict) -> None:
    table = {"name": "cord", "model": "m", "any": [condition]}
    (rule,) = parse_rules({"rule": [table]}).rules

    again = read_form(sent(draft_of(rule))).table()

    assert again["any"] == [condition]
    assert fits_the_form(rule)


def test_the_shipped_rules_go_through_the_form_and_stay_the_same() -> None:
    shipped = read_rules()

    again = parse_rules({"rule": [read_form(sent(draft_of(rule))).table() for rule in shipped.rules]})

    assert again == shipped


def test_a_rule_with_two_lower_bounds_does_not_fit_the_form() -> None:
    condition = {"fact": "slices", "range": {"min": 3, "above": 4}}

    assert not fits_the_form(parse_rules({"rule": [{"name": "a", "model": "m", "all": [condition]}]}).rules[0])


def test_a_field_that_is_no_number_is_refused_as_a_file_would_be() -> None:
    draft = Draft(name="a", model="m", priority="1,5", study_quiet_s="soon").added("all", "slices")

    assert [fault.place for fault in malformed(draft.table())] == ["priority", "study_quiet_s", "all[1]"]


@pytest.mark.parametrize(
    ("subject", "operators"),
    [
        ("Modality", ["equals", "in", "contains", "regex", "present", "absent"]),
        ("EchoTime", ["equals", "in", "contains", "regex", "range", "present", "absent"]),
        ("localizer", ["equals", "present", "absent"]),
        ("slices", ["equals", "in", "contains", "regex", "range", "present", "absent"]),
        ("Nonsense", []),
    ],
)
def test_only_operators_that_a_file_may_hold_are_offered(subject: str, operators: list[str]) -> None:
    row = Row(subject)

    assert [name for name, _ in row.operators] == operators
    for name, _ in row.operators:
        value = "true" if row.fields == "flag" else "1"
        parse_condition(Row(subject, name, value=value, low="1").table(), "all[1]")


def test_a_value_that_is_picked_takes_the_place_of_the_old_one_or_joins_a_list() -> None:
    draft = Draft(
        groups={"all": (Row("Modality", value="CT"), Row("Modality", "in", value="MR"), Row("slices", "range"))}
    )

    for index, value in ((0, "MR"), (1, "CT"), (1, "CT"), (2, "9"), (2, "30")):
        draft = draft.picked("all", index, value)

    one, several, between = draft.groups["all"]
    assert (one.value, several.value, between.low, between.high) == ("MR", "MR\nCT", "9", "30")


def test_a_value_moves_to_the_field_that_another_operator_has() -> None:
    form = {"all-0-subject": "slices", "all-0-operator": "range", "all-0-value": "12"}
    back = {"all-0-subject": "slices", "all-0-operator": "equals", "all-0-low": "12", "all-0-high": "20"}

    assert read_form(FormData(form)).groups["all"][0].low == "12"
    assert read_form(FormData(back)).groups["all"][0].value == "12"


def test_a_condition_comes_and_goes() -> None:
    draft = Draft().added("any", "plane").added("any", " localizer ").added("any", "").added("all or nothing", "plane")

    assert [row.subject for row in draft.groups["any"]] == ["plane", "localizer"]
    assert [row.subject for row in draft.removed("any", 0).groups["any"]] == ["localizer"]
    assert draft.removed("any", 7).groups == draft.groups
