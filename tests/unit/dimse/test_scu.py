"""What a C-STORE status means for a result."""

import pytest

from dicom_ai.dimse.scu import judge
from dicom_ai.errors import PeerUnavailable, PermanentRefusal, SopClassRefused


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB006, 0xB007])
def test_success_and_warnings_mean_stored(status: int):
    assert judge(status, called="PACS") is None


@pytest.mark.parametrize("status", [0xA700, 0xA701, 0x0110, 0x0213])
def test_out_of_resources_is_tried_later(status: int):
    assert isinstance(judge(status, called="PACS"), PeerUnavailable)


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0xC123, 0x0122, 0x0124])
def test_a_refusal_stops_and_names_the_status(status: int):
    error = judge(status, called="PACS")

    assert isinstance(error, PermanentRefusal)
    assert f"0x{status:04X}" in str(error)


@pytest.mark.parametrize(
    ("status", "says"), [(0xA700, "PACS: not now (0xA700)"), (0xC123, "PACS: refused with 0xC123")]
)
def test_an_answer_is_told_with_who_gave_it(status: int, says: str):
    assert str(judge(status, called="PACS")) == says


def test_a_duplicate_counts_as_delivered_only_where_it_may_be_ours():
    assert judge(0x0111, called="PACS", sent_before=True) is None
    assert isinstance(judge(0x0111, called="PACS"), PermanentRefusal)


def test_a_kind_of_object_that_is_not_supported_is_told_apart():
    """Another kind may say the same (Comprehensive SR for Comprehensive 3D SR)."""
    assert isinstance(judge(0x0122, called="PACS"), SopClassRefused)
    assert not isinstance(judge(0x0124, called="PACS"), SopClassRefused)
