"""What comes of trying a destination is said in sentences a person can act on."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import SecondaryCaptureImageStorage
from pynetdicom import evt
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]

from dicom_ai.destinations.trials import C_FIND, STORAGE_COMMITMENT, Said, TrialKind, tried
from dicom_ai.dimse.scu import RemoteAe
from dicom_ai.domain.destination import Destination
from tests.answering import answering

SEG, LABELMAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
SR_3D, SR = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.88.33"
PDF, NOTE = "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.88.59"
PICTURE = SecondaryCaptureImageStorage
BY_C_FIND = "it offers no storage commitment: results will be confirmed by C-FIND"

TAKES_ALL = [
    "it will store masks (Segmentation)",
    "it will store masks (Label Map Segmentation)",
    "it will store soft masks (Segmentation)",
    "it will store masks of radiographs (Segmentation)",
    "it will store reports (Comprehensive 3D SR)",
    "it will store reports on one page (Encapsulated PDF)",
    "it will store pictures of reports (Secondary Capture)",
    "it will store rejection notes (Key Object Selection)",
    "it offers storage commitment: results will be confirmed by its reports",
]
TAKES_SOME = [
    "it will store masks as Secondary Capture: it does not accept Segmentation",
    "it will store masks as Secondary Capture: it does not accept Label Map Segmentation, Segmentation",
    "it will store soft masks as Secondary Capture: it does not accept Segmentation",
    "it will store masks of radiographs as Secondary Capture: it does not accept Segmentation",
    "it will store reports as Comprehensive SR: it does not accept Comprehensive 3D SR",
    "it will store reports on one page as Secondary Capture: it does not accept Encapsulated PDF",
    "it will store pictures of reports (Secondary Capture)",
    "it will refuse rejection notes: it does not accept Key Object Selection",
    BY_C_FIND,
]
TAKES_NONE = [
    "it will refuse masks: it does not accept Segmentation, Secondary Capture",
    "it will refuse masks: it does not accept Label Map Segmentation, Segmentation, Secondary Capture",
    "it will refuse soft masks: it does not accept Segmentation, Secondary Capture",
    "it will refuse masks of radiographs: it does not accept Segmentation, Secondary Capture",
    "it will refuse reports: it does not accept Comprehensive 3D SR, Comprehensive SR, Secondary Capture",
    "it will refuse reports on one page: it does not accept Encapsulated PDF, Secondary Capture",
    "it will refuse pictures of reports: it does not accept Secondary Capture",
    "it will refuse rejection notes: it does not accept Key Object Selection",
    "it offers neither storage commitment nor C-FIND: results will stay unconfirmed",
]


def at(peer: RemoteAe) -> Destination:
    place = {"host": peer.host, "port": peer.port, "called_ae_title": peer.called_ae_title}
    return Destination("pacs", "c_store", place)


def shelf(folder: Path) -> Destination:
    return Destination("shelf", "folder", {"folder": str(folder)})


def sentences(found: tuple[Said, ...]) -> list[str]:
    return [one.says for one in found]


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        ([SEG, LABELMAP, SR_3D, SR, PDF, PICTURE, NOTE, STORAGE_COMMITMENT, C_FIND], TAKES_ALL),
        ([SR, PICTURE, C_FIND], TAKES_SOME),
        ([], TAKES_NONE),
    ],
)
def test_what_an_archive_will_store_is_said_for_every_form_of_results(offered: list[str], said: list[str]) -> None:
    with answering([Verification, *offered]) as peer:
        found = tried(TrialKind.ACCEPTS, at(peer))

    assert sentences(found) == said
    assert [one.ok for one in found] == ["will refuse" not in one for one in said]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            "stow_rs",
            "DICOMweb has no way to tell beforehand which kinds of object it stores: send the test object; what the "
            "first results are refused goes in its next best form",
        ),
        ("folder", "a folder takes every form"),
    ],
)
def test_what_cannot_be_asked_beforehand_is_said_so(kind: str, said: str) -> None:
    assert tried(TrialKind.ACCEPTS, Destination("x", kind, {})) == (Said(True, said),)


def test_a_folder_that_is_there_answers_and_another_does_not(tmp_path: Path) -> None:
    gone = tmp_path / "gone"

    assert tried(TrialKind.ANSWER, shelf(tmp_path)) == (Said(True, f"{tmp_path} can be written"),)
    assert tried(TrialKind.ANSWER, shelf(gone)) == (Said(False, f"{gone} is no folder that can be written"),)


def test_a_test_object_that_is_not_taken_is_said_with_the_reason(tmp_path: Path) -> None:
    gone = tmp_path / "gone"

    assert tried(TrialKind.STORE, shelf(gone)) == (
        Said(False, f"it did not take the test object: {gone}: No such file or directory"),
    )


def no_match(event: evt.Event) -> Iterator[tuple[int, None]]:
    yield 0x0000, None


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        ([C_FIND], "asked, it does not show the object yet"),
        ([], "it cannot be asked whether it has the object: ARCHIVE: offers no C-FIND"),
    ],
)
def test_a_test_object_that_was_taken_is_looked_for_and_how_to_delete_it_is_said(offered: list[str], said: str) -> None:
    answers = ((evt.EVT_C_STORE, lambda event: 0x0000), (evt.EVT_C_FIND, no_match))
    services = [Verification, StorageCommitmentPushModel, PICTURE, *offered]
    with answering(services, *answers) as peer:
        found = tried(TrialKind.STORE, at(peer))

    took, asked, delete = sentences(found)
    assert re.fullmatch(r"it took the test object in \d+ ms and answered 0x0000", took)
    assert asked == said
    assert re.fullmatch(r"delete it there: patient ID DICOM-AI-TEST, study [0-9.]+", delete)
    assert all(one.ok for one in found)


def test_a_folder_has_what_it_was_given(tmp_path: Path) -> None:
    assert sentences(tried(TrialKind.STORE, shelf(tmp_path)))[1] == "asked, it has the object"
