import json

import pytest

from dicom_ai.domain.study import Series
from dicom_ai.routing.candidate import candidate_of, kept_header, kept_rest, read_kept
from dicom_ai.routing.explain import decide, route_study
from dicom_ai.routing.shipped import read_rules
from tests.unit.routing.headers import AXIAL, mr, radiograph, stack

STUDY = [
    stack("t2_tse_sag cervical", series_uid="1.1", BodyPartExamined="CSPINE"),
    stack("t2_tse_sag cervical", series_uid="1.2", BodyPartExamined="CSPINE", ImageType="ORIGINAL\\PRIMARY\\M\\DIS2D"),
    mr("localizer", AXIAL, SeriesNumber=1),
    radiograph("c-spine lateral", ViewPosition="LL"),
]


def kept(series: Series) -> tuple[dict, dict]:
    """Return what is kept of a series as a database gives it back."""
    candidate = candidate_of(series)
    header, rest = json.loads(json.dumps([kept_header(candidate), kept_rest(candidate)], allow_nan=False))
    return header, rest


def test_rules_decide_about_what_was_kept_as_about_the_images() -> None:
    rules = read_rules()
    again = [read_kept(one.study_uid, one.series_uid, *kept(one)) for one in STUDY]

    decisions = decide(again, rules)

    assert decisions == route_study(STUDY, rules)
    assert [one.series_uid for one in decisions if one.taken and one.rule == "cord"] == ["1.2"]


def test_a_fact_that_was_not_known_to_an_earlier_release_is_unknown() -> None:
    header, rest = kept(STUDY[0])
    del rest["facts"]["plane"]

    fact = read_kept("1", "1.1", header, rest).facts["plane"]

    assert (fact.value, fact.evidence) == (None, "was not derived when the series came")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_position_that_is_no_number_is_kept_as_unknown() -> None:
    far = stack("t2", origin_mm=(0.0, 0.0, float("inf")))

    header, rest = kept(far)

    assert read_kept("1", "1", header, rest).reach_mm is None
