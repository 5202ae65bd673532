"""What reception knows of the rest of the house."""

from dicom_ai.dicom.result_stamp import MANUFACTURER
from dicom_ai.errors import DicomAiError, MissingIdentity, NotDicom, StorageFull, Unavailable
from dicom_ai.listener import STATUSES
from dicom_ai.pipeline.receive import WrongSopClass
from dicom_ai.routing.own import mark_in
from tests.peers import REPOSITORY


def status_of(error: type[DicomAiError]) -> int:
    return next(status for kind, status in STATUSES.items() if issubclass(error, kind))


def test_own_results_are_known_by_the_mark_they_are_written_with():
    assert mark_in(lambda keyword: [MANUFACTURER] if keyword == "Manufacturer" else []) == "Manufacturer 'dicom_ai'"


def test_what_may_go_well_later_is_answered_so_that_the_sender_tries_again():
    assert {status_of(StorageFull), status_of(Unavailable)} == {0xA700}


def test_what_an_object_lacks_is_told_apart_from_what_cannot_be_read():
    assert {status_of(MissingIdentity), status_of(WrongSopClass)} == {0xA900}
    assert status_of(NotDicom) == 0xC000


def test_the_conformance_statement_names_every_status():
    statement = (REPOSITORY / "docs" / "conformance.md").read_text(encoding="utf-8")

    assert [status for status in STATUSES.values() if f"0x{status:04X}" not in statement] == []
