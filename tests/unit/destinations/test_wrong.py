"""What is wrong with a destination is named before it is saved, in words."""

import re

import pytest

from dicom_ai.destinations.wrong import refuse_wrong
from dicom_ai.domain.destination import Destination
from dicom_ai.errors import ConfigError
from tests.unit.destinations.test_delivery import COMPLETE

NO_TITLE = r"'A\\B' is no AE title: 1 to 16 letters of ASCII, no backslash"


@pytest.mark.parametrize(
    ("kind", "changed", "said"),
    [
        ("c_store", {"called_ae_title": "A\\B"}, f"parameter called_ae_title: {NO_TITLE}"),
        ("c_store", {"calling_ae_title": "A\\B"}, f"parameter calling_ae_title: {NO_TITLE}"),
        ("c_store", {"port": 70_000}, "parameter port: 70000 is not between 1 and 65535"),
        ("c_store", {"port": "104"}, "parameter port is missing or no number"),
        ("c_store", {"host": "pacs; rm"}, "parameter host: no host name or address"),
        ("c_store", {"dimse_s": 0}, "parameter dimse_s: it must be more than 0 seconds"),
        ("c_store", {"colour": "red"}, "c_store has no parameter colour"),
        (
            "stow_rs",
            {"url": "https://ada:secret@pacs/dicom-web"},
            "parameter url: it holds a log-in: give that as parameter authorization",
        ),
        ("stow_rs", {"url": "ftp://pacs"}, "url is neither http nor https"),
        ("stow_rs", {"authorization": "Bearer\nx"}, "parameter authorization: it is one line of letters"),
        ("stow_rs", {"timeout_s": -1}, "parameter timeout_s: it must be more than 0 seconds"),
        ("folder", {"folder": "results"}, "parameter folder: the path must begin with /"),
    ],
)
def test_a_destination_that_cannot_be_is_refused_in_words(kind: str, changed: dict[str, object], said: str) -> None:
    destination = Destination("x", kind, {**COMPLETE[kind], **changed})

    with pytest.raises(ConfigError, match=f"^destination x: {re.escape(said)}$"):
        refuse_wrong(destination)


@pytest.mark.parametrize("kind", COMPLETE)
def test_a_complete_one_is_taken(kind: str) -> None:
    refuse_wrong(Destination("x", kind, COMPLETE[kind]))
