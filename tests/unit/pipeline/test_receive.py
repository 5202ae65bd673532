"""What reception knows of the rest of the house, and what it says where the rest does not do its part."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from pydicom.filereader import read_file_meta_info

from dicom_ai.dicom.result_stamp import MANUFACTURER
from dicom_ai.dimse.scp import Caller, StoreRequest
from dicom_ai.errors import DicomAiError, MissingIdentity, NotDicom, StorageFull, Unavailable
from dicom_ai.listener import STATUSES
from dicom_ai.pipeline import receive
from dicom_ai.pipeline.receive import WrongSopClass
from dicom_ai.routing.own import mark_in
from dicom_ai.storage.files import FileStore, PartFile
from dicom_ai.storage.holdings import DELETING
from dicom_ai.storage.tables import InstanceRow
from tests import builders
from tests.peers import REPOSITORY
from tests.unit.pipeline.lab import SERIES, Lab

CALLER = Caller("1", "SCANNER", "DICOM_AI", "192.0.2.7")


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


def arrived(path: Path, files: FileStore) -> StoreRequest:
    """An image of which every byte has come."""
    meta = read_file_meta_info(path)
    names = (str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID), str(meta.TransferSyntaxUID))
    part = receive.open_part(files, CALLER, *names)
    part.write(memoryview(path.read_bytes()[receive.META_START + meta.FileMetaInformationGroupLength :]))
    return StoreRequest(CALLER, *names, part)


class Emptied(FileStore):
    """A file store out of which retention takes an image just as that image has come again."""

    def keep(self, part: PartFile, relative: str) -> bool:
        was_there = super().keep(part, relative)
        self.withdraw(relative)
        return was_there


def test_an_image_that_retention_takes_while_it_comes_again_is_to_be_sent_again(lab: Lab, tmp_path: Path) -> None:
    path = builders.write(builders.mr_series()[0], tmp_path / "in")[0]
    receive.run(arrived(path, lab.files), files=lab.files, database=lab.database, listener="L")
    with lab.database.write() as session:
        session.execute(sa.update(InstanceRow).values(standing=DELETING))
    emptied = Emptied(lab.files.root)

    with pytest.raises(Unavailable, match=r"^the image was deleted by retention while it came again$"):
        receive.run(arrived(path, emptied), files=emptied, database=lab.database, listener="L")
    with lab.database.read() as session:
        assert session.scalars(sa.select(InstanceRow.standing)).all() == [DELETING]


def test_only_a_part_that_reception_opened_is_kept(lab: Lab) -> None:
    strange = StoreRequest(CALLER, "1.1", "1.2", "1.2.840.10008.1.2.1", object())  # type: ignore[arg-type]

    with pytest.raises(TypeError, match=r"^the part was not opened by receive\.open_part$"):
        receive.run(strange, files=lab.files, database=lab.database, listener="L")


def test_a_start_without_the_folder_of_the_images_says_what_to_do(lab: Lab) -> None:
    lab.record(SERIES, 1, "received/1.dcm")

    with pytest.raises(Unavailable) as caught:
        receive.reconcile(lab.files, lab.database)
    assert str(caught.value) == (
        f"the database knows of images, but {lab.files.root} has no folder received: mount its volume; if the "
        "images are gone for good, make that folder"
    )
