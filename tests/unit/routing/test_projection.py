"""From which side a radiograph was taken: never on one tag."""

import pytest

from dicom_ai.routing.projection import projection_facts, view_of
from tests.unit.routing.headers import radiograph

LATERAL = {"ViewPosition": "LL", "PatientOrientation": "L\\F"}


def view(description: str | None, **values: object) -> str | None:
    return view_of(radiograph(description, **values).instances[0]).value


@pytest.mark.parametrize(
    ("description", "values", "expected"),
    [
        ("Cervical LAT", LATERAL, "lateral"),
        ("Cervical OBLI 1", {"ViewPosition": "AP", "PatientOrientation": "L\\F"}, None),
        ("C SPINE AP", {"ViewPosition": "AP"}, "frontal"),
        ("C SPINE", {"ViewPosition": "LL", "ViewCodeSequence": "right lateral"}, "lateral"),
        ("HWS seitlich", {"PatientOrientation": "A\\F"}, "lateral"),
        ("rachis cervical profil", {"ViewPosition": "RL"}, "lateral"),
        ("lateral oblique", {"ViewPosition": "RPO"}, "oblique"),
        ("C spine lateral flexion", {"ViewPosition": "LL"}, "lateral"),
    ],
)
def test_tags_that_agree_name_the_view(description, values, expected):
    assert view(description, **values) == expected


@pytest.mark.parametrize(
    ("description", "values"),
    [
        ("C SPINE LATERAL", {}),
        ("C SPINE", {"ViewPosition": "LL"}),
        ("C SPINE", {"PatientOrientation": "A\\F"}),
        ("C SPINE", {"ViewCodeSequence": "left lateral"}),
        (None, {}),
    ],
)
def test_one_tag_alone_names_no_view(description, values):
    assert view(description, **values) is None


@pytest.mark.parametrize(
    ("description", "values", "expected"),
    [
        ("Cervical LAT", {"ViewPosition": "AP"}, None),
        ("Cervical OBLI", {"ViewPosition": "LL"}, None),
        ("lateral", {"ViewPosition": "AP", "ViewCodeSequence": "antero-posterior"}, "frontal"),
        ("lateral", {"ViewPosition": "AP", "PatientOrientation": "L\\F"}, None),
        ("AP", {"ViewPosition": "LL", "PatientOrientation": "A\\F"}, "lateral"),
    ],
)
def test_where_tags_contradict_each_other_more_and_stronger_ones_decide_or_none(description, values, expected):
    assert view(description, **values) == expected


def test_a_description_of_two_views_says_nothing():
    assert view("C spine AP and lateral", ViewPosition="LL") is None


def test_a_series_of_different_views_is_mixed():
    lateral, frontal = radiograph("LAT", **LATERAL), radiograph("AP", ViewPosition="AP")
    both = type(lateral)("1.2", "1.2.3", (lateral.instances[0], frontal.instances[0]))

    assert projection_facts(both)["view"].value == "mixed"
