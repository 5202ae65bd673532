"""Archives that take less than we send: what they get instead, and what the node says of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, SegmentationStorage
from pynetdicom import AE, evt
from pynetdicom.events import Event

from dicom_ai.domain.destination import Destination
from dicom_ai.pipeline import send
from dicom_ai.storage import deliveries, outbox, results
from dicom_ai.storage.outbox import OutboxState
from tests.unit.pipeline.lab import STUDY, Lab
from tests.unit.pipeline.test_report import analysed, reported


@contextmanager
def _lab(folder: Path, **rule: object) -> Iterator[Lab]:
    """A node with a SEG and an SR that wait for their destinations."""
    lab = Lab(folder)
    analysed(lab, **rule)
    reported(lab)
    yield lab
    lab.database.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with _lab(tmp_path) as lab:
        yield lab


@contextmanager
def archive(*sop_classes: str, status: int | None = None) -> Iterator[tuple[Destination, list[Dataset]]]:
    """Run an archive that negotiates some SOP classes only, or answers 88.34 with a status; yields what it holds."""
    held: list[Dataset] = []

    def keep(event: Event) -> int:
        if status is not None and event.request.AffectedSOPClassUID == Comprehensive3DSRStorage:
            return status
        held.append(event.dataset)
        return 0x0000

    ae = AE("PACS")
    for sop_class in sop_classes:
        ae.add_supported_context(sop_class)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
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


def test_two_archives_get_the_same_fall_back(tmp_path: Path) -> None:
    with _lab(tmp_path, destinations=["pacs", "second"]) as lab:
        with archive(SegmentationStorage, ComprehensiveSRStorage) as (destination, held):
            first = send_all(lab, destination)
            second = send_all(lab, Destination("second", destination.kind, destination.parameters))

        assert (first, second) == (2, 2)
        assert held[1] == held[3]


def test_without_segmentation_the_status_says_so(lab: Lab) -> None:
    with archive(Comprehensive3DSRStorage) as (destination, held):
        assert send_all(lab, destination) == 1

    assert [item.SOPClassUID for item in held] == [Comprehensive3DSRStorage]
    [refused] = lab.look(lambda session: deliveries.not_there(session, most=5))
    assert (refused.state, refused.kind) == (OutboxState.REFUSED, "seg")
    assert "accepts no Segmentation Storage" in refused.error


def test_an_archive_without_any_sr_is_told_of_and_left_alone(lab: Lab) -> None:
    with archive(SegmentationStorage) as (destination, _):
        assert send_all(lab, destination) == 1

    assert lab.look(outbox.counts) == {OutboxState.SENT: 1, OutboxState.REPLACED: 1, OutboxState.REFUSED: 1}
    newest, older = lab.look(lambda session: deliveries.not_there(session, most=5))
    assert (newest.state, older.state) == (OutboxState.REFUSED, OutboxState.REPLACED)


def test_every_delivery_of_a_study_is_listed(lab: Lab) -> None:
    with archive(SegmentationStorage, ComprehensiveSRStorage) as (destination, _):
        send_all(lab, destination)

    listed = lab.look(deliveries.of_study, STUDY)
    assert [item.state for item in listed] == [OutboxState.SENT, OutboxState.REPLACED, OutboxState.SENT]
    assert {item.study_uid for item in listed} == {STUDY}
