from dicom_ai.routing.changes import Part, changes
from dicom_ai.routing.rule import parse_rules

FIRST = {"name": "cord", "model": "cord", "all": [{"keyword": "Modality", "equals": "MR"}]}
SPINE, NECK = FIRST | {"name": "spine"}, FIRST | {"name": "neck", "state": "shadow"}
BEFORE = parse_rules({"rule": [FIRST, SPINE]})


def test_two_sets_of_rules_differ_by_name_and_say_in_what() -> None:
    after = parse_rules({"rule": [FIRST | {"state": "off", "priority": 3}, NECK]})

    assert changes(BEFORE, BEFORE) == ()
    assert {one.rule: one.summary for one in changes(BEFORE, after)} == {
        "cord": "priority, state on → off",
        "neck": "new, shadow",
        "spine": "is gone",
    }


def test_of_a_group_only_the_conditions_that_came_or_went_are_told() -> None:
    plane = {"fact": "plane", "in": ["axial", "sagittal"]}
    changed = FIRST | {"all": [*FIRST["all"], plane], "none": [{"fact": "localizer", "equals": True}]}

    (change,) = changes(BEFORE, parse_rules({"rule": [changed, SPINE]}))

    assert change.parts == (
        Part("all", (), ("fact plane in ['axial', 'sagittal']",)),
        Part("none", (), ("fact localizer equals true",)),
    )


def test_a_field_is_told_before_and_after() -> None:
    (change,) = changes(BEFORE, parse_rules({"rule": [FIRST | {"destinations": ["pacs"], "study_quiet_s": 90}, SPINE]}))

    assert change.parts == (Part("destinations", (), ("pacs",)), Part("study_quiet_s", (), ("90",)))


def test_rules_that_only_change_places_are_told() -> None:
    (change,) = changes(BEFORE, BEFORE.moved("spine", -1))

    assert (change.summary, change.parts) == ("order", (Part("order", ("cord", "spine"), ("spine", "cord")),))
