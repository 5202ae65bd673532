"""Confirmation of results by real archives: storage commitment, C-FIND, QIDO-RS; and by peers that do less."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage, SegmentationStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]
from structlog.testing import capture_logs

from dicom_ai.destinations import c_store
from dicom_ai.dimse import scu
from dicom_ai.domain.destination import Destination
from dicom_ai.listener import Listener
from dicom_ai.pipeline import confirm, send
from dicom_ai.pipeline.confirm import Confirmer
from dicom_ai.settings import Node, Peer, Settings, Storage
from dicom_ai.storage import audit, confirmations, outbox
from dicom_ai.storage.confirmations import Confirmation, Way
from dicom_ai.storage.outbox import OutboxState
from tests.acceptance.archives import DCMTK_AE_TITLE, ORTHANC_AE_TITLE, Orthanc, dcmqrscp, orthanc, wait_for
from tests.peers import free_port
from tests.unit.pipeline.lab import STUDY, Lab
from tests.unit.pipeline.test_report import analysed, reported

WAIT_S, GIVE_UP_S = 600, 7200
OFFERED = (SegmentationStorage, Comprehensive3DSRStorage)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A node with a SEG and an SR for the archive."""
    lab = Lab(tmp_path)
    analysed(lab)
    reported(lab)
    yield lab
    lab.database.close()


@contextmanager
def listener(lab: Lab, port: int) -> Iterator[None]:
    """Run the listener that takes reports of storage commitment."""
    settings = Settings(
        node=Node(address="127.0.0.1", port=port),
        storage=Storage(data_dir=lab.files.root),
        peers=(Peer(ae_title=ORTHANC_AE_TITLE),),
    )
    running = Listener(settings, lab.database, lab.files)
    running.start()
    try:
        yield
    finally:
        running.stop(grace_s=5)


@contextmanager
def orthanc_beside(lab: Lab, folder: Path, *, listens: bool = True) -> Iterator[Orthanc]:
    """Run Orthanc; it reports to the node's listener, if that listens."""
    port = free_port()
    with ExitStack() as stack:
        if listens:
            stack.enter_context(listener(lab, port))
        archive = stack.enter_context(orthanc(folder, node_port=port, forwards=False))
        archive.upload(images(lab))
        yield archive


def images(lab: Lab) -> list[Path]:
    """The images that were analysed: nothing is sent to an archive that does not know their study."""
    return sorted((lab.folder / "in").rglob("*.dcm"))


def by_c_store(port: int, called: str) -> Destination:
    parameters = {"host": "127.0.0.1", "port": port, "called_ae_title": called}
    return Destination("pacs", "c_store", parameters)


def send_all(lab: Lab, destination: Destination) -> None:
    sender = lab.sender(destination)
    turn = send.claim(sender, "s", 60)
    assert turn is not None
    assert send.run(sender, turn) == len(turn.deliveries) == 2


def ask(lab: Lab, destination: Destination) -> None:
    assert confirm.run(Confirmer(lab.database, {"pacs": destination}, WAIT_S, GIVE_UP_S), "clock")


def known(lab: Lab) -> set[tuple[Confirmation, Way]]:
    return {(item.state, item.way) for item in lab.look(confirmations.of_study, STUDY)}


def reasons(lab: Lab) -> set[str]:
    return {item.reason for item in lab.look(confirmations.of_study, STUDY)}


def test_orthanc_commits_to_what_it_took(lab: Lab, tmp_path: Path) -> None:
    with orthanc_beside(lab, tmp_path / "orthanc") as archive:
        destination = by_c_store(archive.port, ORTHANC_AE_TITLE)
        send_all(lab, destination)
        before = known(lab)
        ask(lab, destination)
        wait_for(
            lambda: known(lab) == {(Confirmation.CONFIRMED, Way.COMMITMENT)}, timeout_s=30, named="Orthanc's report"
        )

    assert before == {(Confirmation.SENT, Way.NONE)}
    assert lab.look(confirmations.counts) == {"pacs": {Confirmation.CONFIRMED: 2}}


def test_orthanc_does_not_commit_to_what_was_deleted_there(lab: Lab, tmp_path: Path) -> None:
    with orthanc_beside(lab, tmp_path / "orthanc") as archive:
        destination = by_c_store(archive.port, ORTHANC_AE_TITLE)
        send_all(lab, destination)
        archive.delete_everything()
        ask(lab, destination)
        wait_for(lambda: known(lab) == {(Confirmation.REFUSED, Way.COMMITMENT)}, timeout_s=30, named="Orthanc's report")

    assert reasons(lab) == {"storage commitment failed: it does not have the object (0x0112)"}
    actions = [event.action for event in lab.look(audit.events)]
    assert actions.count("delivery not confirmed") == 2


def test_without_a_report_orthanc_is_asked_by_c_find(lab: Lab, tmp_path: Path) -> None:
    with orthanc_beside(lab, tmp_path / "orthanc", listens=False) as archive:
        destination = by_c_store(archive.port, ORTHANC_AE_TITLE)
        send_all(lab, destination)
        ask(lab, destination)
        waiting = known(lab)
        lab.advance(WAIT_S)
        ask(lab, destination)

    assert waiting == {(Confirmation.SENT, Way.COMMITMENT)}
    assert known(lab) == {(Confirmation.CONFIRMED, Way.C_FIND)}


def test_dcmqrscp_that_offers_no_commitment_is_asked_by_c_find(lab: Lab, tmp_path: Path) -> None:
    with dcmqrscp(tmp_path / "dcmtk", node_port=free_port()) as port:
        destination = by_c_store(port, DCMTK_AE_TITLE)
        scu.c_store([scu.Outgoing(path) for path in images(lab)], c_store.remote_ae(destination))
        send_all(lab, destination)
        ask(lab, destination)

    assert known(lab) == {(Confirmation.CONFIRMED, Way.C_FIND)}
    asked = [event for event in lab.look(audit.events) if event.actor == "confirmer"]
    assert [(event.action, event.detail["purpose"]) for event in asked] == [("queried", "does it have the results")]


def test_orthanc_is_asked_by_qido_where_results_went_by_stow(lab: Lab, tmp_path: Path) -> None:
    with orthanc_beside(lab, tmp_path / "orthanc", listens=False) as archive:
        destination = Destination("pacs", "stow_rs", {"url": f"{archive.url}/dicom-web"})
        send_all(lab, destination)
        ask(lab, destination)

    assert known(lab) == {(Confirmation.CONFIRMED, Way.QIDO)}


def test_what_an_archive_does_not_have_is_looked_for_again_then_refused_and_sent_once_more(
    lab: Lab, tmp_path: Path
) -> None:
    with orthanc_beside(lab, tmp_path / "orthanc", listens=False) as archive:
        destination = Destination("pacs", "stow_rs", {"url": f"{archive.url}/dicom-web"})
        send_all(lab, destination)
        archive.delete_everything()
        states = []
        for _ in range(5):  # as many tries as fit into two hours
            ask(lab, destination)
            states.append(known(lab))
            lab.advance(WAIT_S * 16)
        archive.upload(images(lab))
        with lab.database.write() as session:
            assert confirmations.resend(session, who="anna") == 2
        send_all(lab, destination)
        ask(lab, destination)

    assert states == [{(Confirmation.SENT, Way.QIDO)}] * 4 + [{(Confirmation.REFUSED, Way.QIDO)}]
    assert known(lab) == {(Confirmation.CONFIRMED, Way.QIDO)}


@contextmanager
def peer(*offered: str, handlers: list | None = None) -> Iterator[Destination]:
    """Run an archive that answers Success and offers nothing beyond that, unless told otherwise."""
    ae = AE("PACS")
    for sop_class in offered:
        ae.add_supported_context(sop_class)
    keep = (evt.EVT_C_STORE, lambda event: 0x0000)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[keep, *(handlers or [])])
    try:
        yield by_c_store(server.socket.getsockname()[1], "PACS")
    finally:
        server.shutdown()


def test_an_archive_that_offers_neither_leaves_results_unconfirmed(lab: Lab) -> None:
    with peer(*OFFERED) as destination:
        send_all(lab, destination)
        with capture_logs() as logs:
            ask(lab, destination)

    assert [line["event"] for line in logs if line.get("destination") == "pacs"] == ["no storage commitment"]
    assert known(lab) == {(Confirmation.UNCONFIRMED, Way.C_FIND)}
    (reason,) = reasons(lab)
    assert reason.startswith("it offers neither storage commitment nor a query")


def test_an_archive_that_is_away_is_asked_again_and_at_last_unconfirmed(lab: Lab) -> None:
    with peer(*OFFERED) as destination:
        send_all(lab, destination)
    states = []
    for _ in range(5):  # as many tries as fit into two hours
        ask(lab, destination)
        states.append(known(lab))
        lab.advance(WAIT_S * 16)

    assert states == [{(Confirmation.SENT, Way.NONE)}] * 4 + [{(Confirmation.UNCONFIRMED, Way.NONE)}]
    (reason,) = reasons(lab)
    assert reason.startswith("no answer: ")
    with lab.database.write() as session:
        assert confirmations.again(session, who="anna") == 2
    assert known(lab) == {(Confirmation.SENT, Way.NONE)}


def test_an_archive_that_commits_for_a_failure_of_the_moment_is_asked_again(lab: Lab) -> None:
    asked: list[Dataset] = []

    def act(event: evt.Event) -> tuple[int, None]:
        asked.append(event.action_information)
        return 0x0000, None

    with peer(*OFFERED, StorageCommitmentPushModel, handlers=[(evt.EVT_N_ACTION, act)]) as destination:
        send_all(lab, destination)
        with capture_logs() as logs:
            ask(lab, destination)
        with lab.database.write() as session:
            uids = [item.ReferencedSOPInstanceUID for item in asked[0].ReferencedSOPSequence]
            concerned = confirmations.reported(
                session,
                asked[0].TransactionUID,
                committed=uids[:1],
                failed={uids[1]: 0x0213},
                next_at=lab.at + WAIT_S,
            )
            foreign = confirmations.reported(session, "1.2.3", committed=uids, failed={}, next_at=0)
        lab.advance(WAIT_S)
        ask(lab, destination)

    assert (concerned, foreign) == (2, 0)
    assert known(lab) == {(Confirmation.CONFIRMED, Way.COMMITMENT), (Confirmation.SENT, Way.COMMITMENT)}
    assert [len(request.ReferencedSOPSequence) for request in asked] == [2, 1]
    assert asked[0].TransactionUID != asked[1].TransactionUID
    assert [(line["event"], line["objects"], line["transaction_uid"]) for line in logs if "objects" in line] == [
        ("storage commitment asked for", 2, asked[0].TransactionUID)
    ]


def test_a_result_in_a_folder_is_confirmed_while_its_file_is_there(lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    destination = Destination("pacs", "folder", {"folder": str(out)})
    send_all(lab, destination)
    ask(lab, destination)

    assert known(lab) == {(Confirmation.CONFIRMED, Way.FILE)}
    assert lab.look(outbox.counts) == {OutboxState.SENT: 2}
