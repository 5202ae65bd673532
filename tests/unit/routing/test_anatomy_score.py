"""Points for regions: no tag decides alone."""

import pytest

from dicom_ai.routing.anatomy_score import ordered_as_spine
from dicom_ai.routing.facts import Facts, series_facts
from tests.unit.routing.headers import AXIAL, SAGITTAL, header, mr, stack

MPRAGE = {
    "ScanningSequence": "GR\\IR",
    "MRAcquisitionType": "3D",
    "SliceThickness": 1,
    "EchoTime": 2.98,
    "RepetitionTime": 2300,
    "FlipAngle": 9,
}


def facts(description: str | None, orientation: str = SAGITTAL, **values: object) -> Facts:
    return series_facts(mr(description, orientation, **values))


def test_a_cord_scan_labelled_brain_is_spine_by_its_protocol():
    found = facts("t2_tse_sag_cspine", BodyPartExamined="BRAIN", ReceiveCoilName="HeadNeck_64")

    assert found["region"].value == "spine"
    assert found["spine_region"].value == "cervical"
    assert "BRAIN" in found["spine_margin"].evidence


def test_a_brain_with_a_head_and_neck_coil_is_no_spine():
    found = facts("t1_mprage_sag", BodyPartExamined="BRAIN", ReceiveCoilName="HeadNeck_64", **MPRAGE)

    assert found["region"].value == "brain"
    assert found["spine_score"].value < 4


@pytest.mark.parametrize(
    ("coil", "score"),
    [
        ("HC7;NC1_2", 5),
        ("HC5-7;NC1,2", 5),
        ("HC5-7;NC1,2;SP1", 7),
        ("T:HEP;NE1_2;SP1", 7),
        ("D:NE1_2", 5),
        ("HC1-7;NC1_2", 2),
        ("HeadNeck_64", 1),
        ("SENSE-NEURO-VASC", 1),
        ("NeckMatrix", 4),
        ("HD CTL 12", 5),
        ("Spine_32", 3),
        ("SP3-5", 3),
        ("BO1,2;SP2-4", 0),
        ("HC1-7", 0),
        ("Head_32", 0),
        ("TxRx_Knee_15Ch", 0),
    ],
)
def test_what_a_coil_says_for_the_spine(coil, score):
    assert facts("t2", ReceiveCoilName=coil)["spine_score"].value == score


def test_a_head_coil_speaks_for_the_brain():
    assert facts("t2", ReceiveCoilName="Head_32")["brain_score"].value == 4
    assert facts("t2", ReceiveCoilName="HC1-7")["brain_score"].value == 4


def test_repeated_words_of_one_kind_count_once():
    once = facts("cspine")["spine_score"].value

    assert facts("cspine hws rachis", ProtocolName="cspine")["spine_score"].value == once


def test_the_published_cord_protocol_is_known_by_its_parameters():
    parameters = {"ScanningSequence": "GR", "MRAcquisitionType": "2D", "SliceThickness": 5, "FlipAngle": 30}
    found = facts("gre", AXIAL, EchoTime=14, RepetitionTime=600, **parameters)

    assert found["spine_region"].value == "cervical"
    assert "published cord protocol" in found["spine_score"].evidence


def test_a_brain_t2star_is_not_taken_for_the_cord_protocol():
    parameters = {"ScanningSequence": "GR", "MRAcquisitionType": "2D", "SliceThickness": 5, "FlipAngle": 20}

    assert facts("gre", AXIAL, EchoTime=20, RepetitionTime=620, **parameters)["spine_score"].value == 0


def test_a_tall_narrow_sagittal_block_looks_like_a_spine():
    spine = stack("T2", positions_mm=tuple(range(0, 45, 3)), size=(240, 240))
    brain = stack("T2", positions_mm=tuple(range(0, 160, 5)), size=(240, 240))
    knee = stack("T2", positions_mm=tuple(range(0, 90, 3)), size=(160, 160))

    assert [series_facts(one)["spine_score"].value for one in (spine, brain, knee)] == [2, 0, 0]


@pytest.mark.parametrize(
    ("values", "region", "cord"),
    [
        ({"BodyPartExamined": "CSPINE"}, "cervical", True),
        ({"BodyPartExamined": "TSPINE"}, "thoracic", True),
        ({"BodyPartExamined": "LSPINE"}, "lumbar", False),
        ({"BodyPartExamined": "TLSPINE"}, "thoracic", True),
        ({"BodyPartExamined": "SPINE"}, "spine", True),
        ({"StudyDescription": "MR Ganzwirbelsäule"}, "whole", True),
        ({"BodyPartExamined": "RUECKENMARK"}, "cord", True),
        ({"BodyPartExamined": "KNEE"}, None, None),
    ],
)
def test_where_in_the_spine_and_whether_the_cord_is_in_view(values, region, cord):
    found = facts("T2 sag", **values)

    assert (found["spine_region"].value, found["cord_in_view"].value) == (region, cord)


def test_words_about_a_series_outweigh_a_body_part():
    assert facts("T2 sag lumbar", BodyPartExamined="CSPINE")["spine_region"].value == "lumbar"


def test_a_lumbar_series_that_reaches_the_thorax_shows_the_cord():
    tall = stack("T2 sag lumbar", size=(400, 400))
    ordinary = stack("T2 sag lumbar", size=(300, 300))

    assert series_facts(tall)["cord_in_view"].value is True
    assert series_facts(ordinary)["cord_in_view"].value is False


def test_nothing_named_is_unknown():
    found = facts(None)

    assert found["region"].value is None
    assert found["spine_region"].value is None
    assert found["spine_score"].value == 0


@pytest.mark.parametrize(
    ("values", "ordered"),
    [
        ({"StudyDescription": "MRI C SPINE W/O"}, True),
        ({"RequestedProcedureDescription": "IRM rachis cervical"}, True),
        ({"ScheduledProcedureStepDescription": "MRT HWS"}, True),
        ({"StudyDescription": "MRI BRAIN AND C SPINE"}, True),
        ({"StudyDescription": "MRI BRAIN"}, False),
        ({"StudyDescription": "MRI BRAIN", "SeriesDescription": "t2 sag c-spine", "BodyPartExamined": "CSPINE"}, False),
        ({}, False),
    ],
)
def test_a_study_was_ordered_as_spine_where_the_order_says_so(values, ordered):
    assert ordered_as_spine(header(**values)) is ordered
