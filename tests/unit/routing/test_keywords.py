"""The table of keywords against the toolkit's dictionary."""

from pydicom.datadict import dictionary_VR, tag_for_keyword

from dicom_ai.routing.keywords import is_ordered, vr_by_keyword


def test_every_keyword_is_in_the_dictionary_with_its_vr():
    wrong = [keyword for keyword, vr in vr_by_keyword().items() if not _agrees(keyword, vr)]

    assert wrong == []


def _agrees(keyword: str, vr: str) -> bool:
    tag = tag_for_keyword(keyword)
    return tag is None or dictionary_VR(tag).replace(" or ", "/") == vr


def test_the_table_is_complete_for_what_rules_are_written_with():
    assert {"Modality", "EchoTime", "ReceiveCoilName", "BodyPartExamined", "ViewPosition"} <= set(vr_by_keyword())
    assert "CoilString" not in vr_by_keyword()


def test_numbers_dates_times_and_ages_have_an_order_and_texts_have_none():
    assert all(is_ordered(keyword) for keyword in ("EchoTime", "StudyDate", "StudyTime", "PatientAge", "Rows"))
    assert not is_ordered("SeriesDescription")
