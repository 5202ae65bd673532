"""Archives that take less than we send: what they get instead, and what the node says of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, evt
from pynetdicom.events import Event

from dicom_ai.dicom.uids import LABEL_MAP_SEGMENTATION_STORAGE
from dicom_ai.domain.destination import Destination
from dicom_ai.domain.output import Output
from dicom_ai.pipeline import send
from dicom_ai.storage import deliveries, outbox, results
from dicom_ai.storage.outbox import OutboxState
from tests.unit.pipeline.lab import RETRIES, STUDY, Lab
from tests.unit.pipeline.test_report import analysed, reported


@contextmanager
def _lab(folder: Path, destination: Destination | None = None, **rule: object) -> Iterator[Lab]:
    """A node with results that wait for their destinations: a SEG and an SR where none is given."""
    lab = Lab(folder)
    if destination is not None:
        lab.destinations = {destination.name: destination}
    analysed(lab, **rule)
    reported(lab)
    yield lab
    lab.database.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with _lab(tmp_path) as lab:
        yield lab


@contextmanager
def archive(
    *sop_classes: str, status: int | None = None, store: Callable[[Event], int] | None = None
) -> Iterator[tuple[Destination, list[Dataset]]]:
    """Run an archive that negotiates some SOP classes only, or answers 88.34 with a status; yields what it holds.

    store: answers instead.
    """
    held: list[Dataset] = []

    def keep(event: Event) -> int:
        if status is not None and event.request.AffectedSOPClassUID == Comprehensive3DSRStorage:
            return status
        held.append(event.dataset)
        return 0x0000

    ae = AE("PACS")
    for sop_class in sop_classes:
        ae.add_supported_context(sop_class)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store or keep)])
    port = server.socket.getsockname()[1]
    try:
        yield Destination("pacs", "c_store", {"host": "127.0.0.1", "port": port, "called_ae_title": "PACS"}), held
    finally:
        server.shutdown()


def send_all(lab: Lab, destination: Destination) -> int:
    """Send until nothing is due; return how many objects arrived."""
    sender, arrived = lab.sender(destination), 0
    while (turn := send.claim(sender, "sender", 60)) is not None:
        arrived += send.run(sender, turn)
    return arrived


def test_without_comprehensive_3d_sr_the_same_report_goes_as_comprehensive_sr(lab: Lab) -> None:
    with archive(SegmentationStorage, ComprehensiveSRStorage) as (destination, held):
        arrived = send_all(lab, destination)

    assert arrived == 2
    assert [item.SOPClassUID for item in held] == [SegmentationStorage, ComprehensiveSRStorage]
    saved = {item.identity.slot: item for item in lab.look(results.all_of, STUDY, lab.files.root)}
    assert held[1].SOPInstanceUID == saved["sr:comprehensive"].identity.sop_instance_uid
    assert held[1].SOPInstanceUID != saved["sr"].identity.sop_instance_uid
    assert lab.look(outbox.counts) == {OutboxState.SENT: 2, OutboxState.REPLACED: 1}
    [replaced] = lab.look(lambda session: deliveries.not_there(session, most=5))
    assert replaced.error.endswith("sent as Comprehensive SR instead")


def test_the_refusal_by_status_counts_like_one_in_the_negotiation(lab: Lab) -> None:
    everything = (SegmentationStorage, Comprehensive3DSRStorage, ComprehensiveSRStorage)

    with archive(*everything, status=0x0122) as (destination, held):
        assert send_all(lab, destination) == 2

    assert [item.SOPClassUID for item in held] == [SegmentationStorage, ComprehensiveSRStorage]


def test_what_is_sent_again_is_the_same_to_the_byte(lab: Lab) -> None:
    came: list[tuple[str, bytes]] = []

    def keep(event: Event) -> int:
        came.append((event.request.AffectedSOPInstanceUID, event.encoded_dataset(include_meta=False)))
        return 0xA700 if len(came) <= 2 else 0x0000

    with archive(SegmentationStorage, Comprehensive3DSRStorage, store=keep) as (destination, _):
        assert send_all(lab, destination) == 0
        lab.advance(RETRIES.longest_s)
        assert send_all(lab, destination) == 2

    assert len(came) == 4
    assert len({uid for uid, _ in came}) == len(set(came)) == 2


def test_two_archives_get_the_same_fall_back(tmp_path: Path) -> None:
    with _lab(tmp_path, destinations=["pacs", "second"]) as lab:
        with archive(SegmentationStorage, ComprehensiveSRStorage) as (destination, held):
            first = send_all(lab, destination)
            second = send_all(lab, Destination("second", destination.kind, destination.parameters))

        assert (first, second) == (2, 2)
        assert held[1] == held[3]


def test_without_segmentation_the_picture_goes(lab: Lab) -> None:
    with archive(Comprehensive3DSRStorage, SecondaryCaptureImageStorage) as (destination, held):
        assert send_all(lab, destination) == 2

    report, picture = held
    assert (report.SOPClassUID, picture.SOPClassUID) == (Comprehensive3DSRStorage, SecondaryCaptureImageStorage)
    assert (picture.PatientID, picture.StudyInstanceUID) == (report.PatientID, report.StudyInstanceUID)
    assert (picture.Rows, picture.Columns) == (1403, 992)
    [replaced] = lab.look(lambda session: deliveries.not_there(session, most=5))
    assert (replaced.state, replaced.kind) == (OutboxState.REPLACED, "seg")
    assert replaced.error.endswith("sent as the picture instead")


def test_without_segmentation_and_picture_the_status_says_so(lab: Lab) -> None:
    with archive(Comprehensive3DSRStorage) as (destination, held):
        assert send_all(lab, destination) == 1

    assert [item.SOPClassUID for item in held] == [Comprehensive3DSRStorage]
    refused, replaced = lab.look(lambda session: deliveries.not_there(session, most=5))
    assert (refused.state, refused.kind) == (OutboxState.REFUSED, "sc")
    assert "accepts none of the SOP classes" in refused.error
    assert (replaced.state, replaced.kind) == (OutboxState.REPLACED, "seg")


def test_a_label_map_that_is_refused_goes_as_binary(tmp_path: Path) -> None:
    wanted = Destination("pacs", "c_store", outputs=frozenset({Output.LABELMAP, Output.SR}))
    with _lab(tmp_path, wanted) as lab, archive(SegmentationStorage, Comprehensive3DSRStorage) as (destination, held):
        assert send_all(lab, destination) == 2

    assert [item.SOPClassUID for item in held] == [Comprehensive3DSRStorage, SegmentationStorage]
    assert held[1].SegmentationType == "BINARY"


def test_a_label_map_that_is_taken_goes_alone(tmp_path: Path) -> None:
    wanted = Destination("pacs", "c_store", outputs=frozenset({Output.LABELMAP}))
    with _lab(tmp_path, wanted) as lab, archive(LABEL_MAP_SEGMENTATION_STORAGE) as (destination, held):
        assert send_all(lab, destination) == 1

    assert [item.SegmentationType for item in held] == ["LABELMAP"]


def test_of_what_is_too_large_the_next_best_form_goes(lab: Lab) -> None:
    everything = (SegmentationStorage, Comprehensive3DSRStorage, SecondaryCaptureImageStorage)
    with archive(*everything) as (destination, held):
        assert send_all(lab, replace(destination, largest_mb=0.001)) == 0

    assert held == []
    statuses = lab.look(lambda session: deliveries.not_there(session, most=9))
    assert [item.kind for item in statuses if item.state is OutboxState.REFUSED] == ["sc"]
    assert all("MB where pacs takes 0.001 MB" in item.error for item in statuses)


def test_what_fits_is_not_held_up_by_what_is_too_large(lab: Lab) -> None:
    kept = {item.identity.kind: item.path.stat().st_size for item in lab.look(results.all_of, STUDY, lab.files.root)}
    smaller, larger = sorted(kept.values())
    assert smaller < larger

    with archive(SegmentationStorage, Comprehensive3DSRStorage, ComprehensiveSRStorage) as (destination, held):
        send_all(lab, replace(destination, largest_mb=smaller / 1e6))

    assert len(held) == 1


def test_a_destination_gets_the_forms_it_has_chosen(tmp_path: Path) -> None:
    wanted = Destination("pacs", "c_store", outputs=frozenset({Output.SOFT_SEG, Output.PDF, Output.PICTURE}))
    takes = (SegmentationStorage, EncapsulatedPDFStorage, SecondaryCaptureImageStorage)
    with _lab(tmp_path, wanted) as lab, archive(*takes) as (destination, held):
        assert send_all(lab, destination) == 3

    assert {item.SOPClassUID for item in held} == set(takes)
    assert held[0].SegmentationFractionalType == "OCCUPANCY"
    assert {item.SeriesDescription for item in held} == {"AI Spinal cord soft mask (RUO)", "AI page (RUO)"}


def test_an_archive_without_any_sr_gets_the_picture(lab: Lab) -> None:
    with archive(SegmentationStorage, SecondaryCaptureImageStorage) as (destination, held):
        assert send_all(lab, destination) == 2

    assert [item.SOPClassUID for item in held] == [SegmentationStorage, SecondaryCaptureImageStorage]


def test_an_archive_without_any_sr_is_told_of_and_left_alone(lab: Lab) -> None:
    with archive(SegmentationStorage) as (destination, _):
        assert send_all(lab, destination) == 1

    assert lab.look(outbox.counts) == {OutboxState.SENT: 1, OutboxState.REPLACED: 2, OutboxState.REFUSED: 1}
    newest, *older = lab.look(lambda session: deliveries.not_there(session, most=5))
    assert newest.state is OutboxState.REFUSED
    assert {item.state for item in older} == {OutboxState.REPLACED}


def test_every_delivery_of_a_study_is_listed(lab: Lab) -> None:
    with archive(SegmentationStorage, ComprehensiveSRStorage) as (destination, _):
        send_all(lab, destination)

    listed = lab.look(deliveries.of_study, STUDY)
    assert [item.state for item in listed] == [OutboxState.SENT, OutboxState.REPLACED, OutboxState.SENT]
    assert {item.study_uid for item in listed} == {STUDY}
