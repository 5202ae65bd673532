import pytest

from dicom_ai.dicom.uids import is_valid_uid, new_uid


def test_a_new_uid_is_valid_and_unlike_the_last():
    first, second = new_uid(), new_uid()

    assert is_valid_uid(first)
    assert first.startswith("2.25.")
    assert first != second


@pytest.mark.parametrize("text", ["1.2.840.10008.1.1", "1", "1.2.03", "1" * 64])
def test_dotted_digits_are_a_uid(text):
    assert is_valid_uid(text)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "1..2", "1.2.", "../1", "1.2/3", "1.2\n", "a.b", "1" * 65, "1.2 ", "١"]
)
def test_anything_that_could_name_a_place_on_disk_is_not(text):
    assert not is_valid_uid(text)
