from dicom_ai.errors import ModelError
from dicom_ai.worker.unexpected import describe


def caught(error: Exception) -> Exception:
    try:
        raise error
    except (ValueError, ModelError) as raised:
        return raised


def test_an_unexpected_error_is_told_by_kind_and_place_without_its_message() -> None:
    found = describe(caught(ValueError("patient DOE^JANE")))

    assert found.text.startswith("unexpected ValueError at test_unexpected.py:")
    assert "DOE" not in str(found)


def test_an_error_of_the_tree_keeps_its_message() -> None:
    assert describe(caught(ModelError("weights are missing"))).text == "weights are missing"
