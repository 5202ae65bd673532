import pytest

from dicom_ai.routing.fault import Fault, malformed, unworkable
from dicom_ai.routing.rule import parse_rules

RULE = {"name": "cord", "model": "spinal-cord", "all": [{"keyword": "Modality", "equals": "MR"}]}


def test_a_sound_rule_has_no_fault() -> None:
    (rule,) = parse_rules({"rule": [RULE | {"destinations": ["pacs"]}]}).rules

    assert malformed(RULE) == ()
    assert unworkable(rule, models=["spinal-cord"], destinations=["pacs"]) == ()


def test_every_fault_is_told_with_its_place() -> None:
    wrong = {
        "name": " ",
        "priority": "high",
        "all": [{"keyword": "Modality", "equals": "MR"}, {"keyword": "EchoTime", "equals": "long"}],
        "none": [{"keyword": "PatientAges", "equals": "1"}],
    }

    assert malformed(wrong) == (
        Fault("name", "is empty"),
        Fault("model", "a rule needs a model"),
        Fault("priority", "needs a whole number, not 'high'"),
        Fault("all[2]", "EchoTime equals: 'long' cannot be compared with values of VR DS (numbers, as 1.5)"),
        Fault("none[1]", "unknown DICOM keyword 'PatientAges'"),
    )


def test_a_rule_without_conditions_is_told() -> None:
    assert malformed({"name": "a", "model": "m"}) == (Fault("all", "a rule needs at least one condition: add one"),)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"model": "cord"}, Fault("model", "model 'cord' is not installed here; installed are spinal-cord")),
        (
            {"destinations": ["pacs", "archive"]},
            Fault("destinations", "'archive' is no destination of this node; there are pacs"),
        ),
        (
            {"none": [{"keyword": "StationName", "in": ["MR1", " "]}]},
            Fault("none[1]", "a value is empty: nothing equals it; ask whether StationName has a value instead"),
        ),
        (
            {"all": [{"fact": "slices", "range": {"min": 3, "max": 2}}]},
            Fault("all[1]", "nothing lies in the range of fact slices range min 3, max 2"),
        ),
    ],
)
def test_a_rule_that_cannot_work_here_is_told(change: dict, fault: Fault) -> None:
    (rule,) = parse_rules({"rule": [RULE | change]}).rules

    assert unworkable(rule, models=["spinal-cord"], destinations=["pacs"]) == (fault,)
