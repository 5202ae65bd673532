import pytest

from dicom_ai.dicom.headers import instance_from_dataset
from dicom_ai.domain.study import Series
from dicom_ai.routing.urgency import urgency
from tests import builders
from tests.unit.routing.headers import mr


@pytest.mark.parametrize(
    ("stated", "points"), [("STAT", 240), ("HIGH", 120), ("ROUTINE", 0), ("", 0), (None, 0), ("low", -60)]
)
def test_points_follow_the_priority_of_the_order(stated, points):
    assert urgency([mr("t2", RequestedProcedurePriority=stated)]) == points


def test_the_most_urgent_order_of_a_study_counts():
    study = [mr("t1"), mr("t2", RequestedProcedurePriority="LOW"), mr("t2", RequestedProcedurePriority="HIGH")]

    assert urgency(study) == 120


def test_the_priority_is_read_from_the_request_attributes_too():
    dataset = builders.mr_series()[0]
    request = builders.Dataset()
    request.RequestedProcedurePriority = "STAT"
    dataset.RequestAttributesSequence = [request]

    assert urgency([Series("1.2", "1.2.3", (instance_from_dataset(dataset),))]) == 240
