"""The receiving process, seen by its peers: who may call, what is kept, and which status answers what."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    RLELossless,
)
from pynetdicom import AE, build_context
from pynetdicom.sop_class import (
    InstanceAvailabilityNotification,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)
from structlog.testing import capture_logs

from dicom_ai.dicom.uids import new_uid
from dicom_ai.dimse import scu
from dicom_ai.errors import ConfigError, PeerUnavailable, PermanentRefusal
from dicom_ai.settings import DestinationSettings, Node, Peer, PriorSettings, Timing, Tls
from dicom_ai.storage import associations, audit, callers, studies
from tests import builders
from tests.integration.certificates import Certificates, make_certificates
from tests.integration.listening import (
    CALLED,
    CALLING,
    Running,
    as_sent,
    associated,
    file_of,
    listening,
    mr_files,
    same_bytes,
    store,
)
from tests.peers import need_program

LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"


@pytest.fixture
def running(tmp_path: Path):
    with listening(tmp_path / "node") as node:
        yield node


def echo(port: int, *, calling: str = CALLING, called: str = CALLED) -> float:
    return scu.c_echo(scu.RemoteAe("127.0.0.1", port, called, calling))


# Who may call


def test_a_configured_peer_is_answered(running: Running):
    assert echo(running.port) < 5


def test_an_unknown_calling_ae_title_is_rejected(running: Running):
    with pytest.raises(PermanentRefusal, match=r"[Cc]alling AE title not recognised"):
        echo(running.port, calling="STRANGER")


def test_an_unknown_called_ae_title_is_rejected(running: Running):
    with pytest.raises(PermanentRefusal, match=r"[Cc]alled AE title not recognised"):
        echo(running.port, called="OTHER")


def test_a_known_ae_title_from_another_address_is_rejected(tmp_path: Path):
    elsewhere = Peer(ae_title=CALLING, addresses=("192.0.2.0/24",))
    with listening(tmp_path, peers=[elsewhere]) as node, pytest.raises(PermanentRefusal):
        echo(node.port)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.0/8", "localhost"])
def test_an_address_may_be_an_ip_a_network_or_a_name(tmp_path: Path, address: str):
    with listening(tmp_path, peers=[Peer(ae_title=CALLING, addresses=(address,))]) as node:
        assert echo(node.port) < 5


def test_without_peers_everybody_is_rejected(tmp_path: Path):
    with listening(tmp_path, peers=[]) as node, pytest.raises(PermanentRefusal):
        echo(node.port)


def test_dcmtk_is_answered_and_its_images_are_kept(running: Running, tmp_path: Path):
    paths = mr_files(tmp_path / "in", 5)
    names = ["-aet", CALLING, "-aec", CALLED, "127.0.0.1", str(running.port)]

    subprocess.run([need_program("echoscu", package="dcmtk"), *names], check=True, timeout=30)
    subprocess.run([need_program("storescu", package="dcmtk"), *names, *paths], check=True, timeout=30)

    assert [same_bytes(running, path) for path in paths] == [True] * 5


def test_dcmsend_delivers_in_implicit_vr_too(running: Running, tmp_path: Path):
    [dataset] = builders.mr_series(builders.ramp((1, 16, 16)))
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    path = tmp_path / "implicit.dcm"
    dataset.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=True)

    names = ["-aet", CALLING, "-aec", CALLED, "127.0.0.1", str(running.port)]
    subprocess.run([need_program("dcmsend", package="dcmtk"), *names, path], check=True, timeout=30)

    assert running.instances()[0].sop_instance_uid == dataset.SOPInstanceUID


# What is negotiated


def test_explicit_vr_is_chosen_before_implicit(running: Running):
    ae = AE(ae_title=CALLING)
    ae.add_requested_context(MRImageStorage, [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
    association = ae.associate("127.0.0.1", running.port, ae_title=CALLED)
    chosen = association.accepted_contexts[0].transfer_syntax
    association.release()

    assert chosen == [ExplicitVRLittleEndian]


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_a_sender_that_offers_only_a_compressed_syntax_is_served(running: Running, syntax: str):
    ae = AE(ae_title=CALLING)
    ae.requested_contexts = [build_context(CTImageStorage, syntax), build_context(LABEL_MAP_SEGMENTATION, syntax)]
    association = ae.associate("127.0.0.1", running.port, ae_title=CALLED)
    accepted = len(association.accepted_contexts)
    association.release()

    assert accepted == 2


def test_more_associations_than_allowed_are_rejected_for_now(tmp_path: Path):
    from dicom_ai.settings import Node

    node = Node(ae_title=CALLED, address="127.0.0.1", port=0, maximum_associations=2)
    with listening(tmp_path, node=node) as running, associated(running.port), associated(running.port):
        with associated(running.port) as third:
            answer = third.acceptor.primitive

        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
        _wait_until(lambda: contacts(running))
        assert [contact.reason for contact in contacts(running)] == ["too many associations"]
        assert rejections(running) == []  # it is a peer, and may come later


# What is kept


def test_bytes_are_kept_unmodified_and_indexed(running: Running, tmp_path: Path):
    [path] = mr_files(tmp_path, 1, Modality="MR", PatientID="A1", AccessionNumber="77", StudyDate="20240102")

    [status] = store(running.port, path)

    [row] = running.instances()
    kept = dcmread(running.files.path(row.path))
    assert status.Status == 0x0000
    assert same_bytes(running, path)
    assert (row.standing, row.calling_ae_title, row.peer_address) == ("kept", CALLING, "127.0.0.1")
    assert kept.file_meta.SendingApplicationEntityTitle == CALLING
    assert kept.PatientID == "A1"


def test_no_uid_of_a_peer_becomes_part_of_a_path(running: Running, tmp_path: Path):
    [path] = mr_files(tmp_path, 1)

    store(running.port, path)

    uid = dcmread(path).SOPInstanceUID
    assert uid not in running.kept()[0]
    assert running.kept()[0] == running.instances()[0].path


def test_the_same_object_again_is_a_success_and_no_second_image(running: Running, tmp_path: Path):
    paths = mr_files(tmp_path, 3)

    statuses = [status.Status for status in store(running.port, *paths, *paths)]

    assert statuses == [0x0000] * 6
    assert [row.standing for row in running.instances()] == ["kept"] * 3
    assert len(running.kept()) == 3


def test_the_same_uid_with_other_bytes_is_kept_beside_the_first(running: Running, tmp_path: Path):
    [first] = mr_files(tmp_path / "a", 1)
    changed = dcmread(first)
    changed.PixelData = bytes(reversed(changed.PixelData))
    second = tmp_path / "b.dcm"
    changed.save_as(second)

    statuses = [status.Status for status in store(running.port, first, second)]

    assert statuses == [0x0000, 0x0000]
    assert [row.standing for row in running.instances()] == ["kept", "again"]
    assert same_bytes(running, first) and same_bytes(running, second)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("Manufacturer", "dicom_ai"),
        ("Manufacturer", "Dicom AI"),
        ("ManufacturerModelName", "dicom_ai"),
        ("SoftwareVersions", ["dicom_ai 0.1.0", "spinal-cord 0.1.0"]),
        ("SeriesDescription", "AI Spine (RUO) run 2, replaces run 1"),
    ],
)
def test_what_the_node_made_comes_back_as_its_own_and_resets_no_timer(
    running: Running, tmp_path: Path, keyword: str, value: str
):
    """Also a copy under other UIDs, of which an anonymiser left one mark: routing knows it by the same."""
    study_uid = new_uid()
    [image] = mr_files(tmp_path / "image", 1, StudyInstanceUID=study_uid)
    [copy] = mr_files(tmp_path / "copy", 1, **{"StudyInstanceUID": study_uid, keyword: value})
    store(running.port, image)
    with running.database.read() as session:
        before = [series.last_received_at for series in studies.series_of(session, study_uid)]

    store(running.port, copy)

    with running.database.read() as session:
        after = [series.last_received_at for series in studies.series_of(session, study_uid)]
    assert [row.standing for row in running.instances()] == ["kept", "own"]
    assert after == before


def test_an_object_of_two_hundred_megabytes_does_not_live_in_memory(running: Running, tmp_path: Path):
    [dataset] = builders.mr_series(np.zeros((1, 16, 16), np.uint16))
    dataset.Rows = dataset.Columns = 10240
    dataset.PixelData = b"\1\2" * (10240 * 10240)
    path = tmp_path / "large.dcm"
    dataset.save_as(path, enforce_file_format=True)
    del dataset
    process = psutil.Process()
    before, peak, done = process.memory_info().rss, 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    names = ["-aet", CALLING, "-aec", CALLED, "127.0.0.1", str(running.port)]
    subprocess.run([need_program("storescu", package="dcmtk"), *names, path], check=True, timeout=60)
    done.set()
    watcher.join()

    assert same_size(running) > 200_000_000
    assert peak - before < 16_000_000


def same_size(running: Running) -> int:
    """The size of the one kept file, when its row says the same."""
    [row] = running.instances()
    assert running.files.path(row.path).stat().st_size == row.size_bytes
    return row.size_bytes


# What is refused


def bad(status: Dataset, running: Running) -> int:
    """The status, when nothing of the object is left."""
    assert running.kept() == [] and running.parts() == [] and running.instances() == []
    assert len(status.get("ErrorComment", "")) <= 64
    return int(status.Status)


@pytest.mark.parametrize("missing", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_a_missing_uid_is_refused_as_a900(running: Running, tmp_path: Path, missing: str):
    [source] = mr_files(tmp_path, 1)
    dataset = dcmread(source)
    uid = dataset.SOPInstanceUID
    del dataset[missing]
    dataset.save_as(tmp_path / "x.dcm", enforce_file_format=False)
    path = file_of(tmp_path / "y.dcm", as_sent(tmp_path / "x.dcm"), sop_instance_uid=uid)

    [status] = store(running.port, path)

    assert bad(status, running) == 0xA900
    assert status.ErrorComment.endswith(" is absent or malformed")


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("uid", ["../../../../etc/passwd", "/etc/passwd", "1.2..3", "1.2.3/4", "1.2.a"])
def test_a_path_like_uid_is_refused_as_a900(running: Running, tmp_path: Path, uid: str):
    [source] = mr_files(tmp_path, 1, SeriesInstanceUID=uid)

    [status] = store(running.port, source)

    assert bad(status, running) == 0xA900


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_path_like_sop_instance_uid_in_the_request_is_refused_as_a900(running: Running, tmp_path: Path):
    [source] = mr_files(tmp_path, 1)
    path = file_of(tmp_path / "x.dcm", as_sent(source), sop_instance_uid="../../x")

    [status] = store(running.port, path)

    assert bad(status, running) == 0xA900
    assert status.ErrorComment == "the data set is another instance than the request"


def test_another_sop_class_than_the_request_says_is_refused_as_a900(running: Running, tmp_path: Path):
    [source] = mr_files(tmp_path, 1, SOPClassUID=CTImageStorage)
    path = file_of(tmp_path / "x.dcm", as_sent(source), sop_instance_uid=dcmread(source).SOPInstanceUID)

    with capture_logs() as logs:
        [status] = store(running.port, path)

    assert bad(status, running) == 0xA900
    assert status.ErrorComment == "the data set is of another SOP class than the request"
    assert [(line["event"], line["status"], line["reason"]) for line in logs if line["log_level"] == "warning"] == [
        ("refused", "0xA900", status.ErrorComment)
    ]


def test_what_comes_by_the_nodes_own_c_move_and_is_no_report_is_refused_as_c000(tmp_path: Path):
    archive = DestinationSettings(name="pacs", kind="stow_rs", parameters={"url": "http://127.0.0.1"})
    asking = {"prior": PriorSettings(archive="pacs"), "destinations": (archive,)}
    with listening(tmp_path / "node", **asking) as node, associated(node.port) as association:
        status = association.send_c_store(mr_files(tmp_path, 1)[0], originator_aet=CALLED, originator_id=1)

    assert (status.Status, status.ErrorComment) == (0xC000, "not what this node asked for")


@pytest.mark.parametrize("left", [30, 100, 400, -1])
def test_a_truncated_object_is_refused_as_c001(running: Running, tmp_path: Path, left: int):
    [source] = mr_files(tmp_path, 1)
    path = file_of(tmp_path / "x.dcm", as_sent(source)[:left], sop_instance_uid=dcmread(source).SOPInstanceUID)

    [status] = store(running.port, path)

    assert bad(status, running) == 0xC001


@pytest.mark.parametrize("content", [b"This is no data set at all. " * 40, b"\xff" * 4096, b"DICM" + b"\0" * 200])
def test_what_is_no_data_set_is_refused_as_c000(running: Running, tmp_path: Path, content: bytes):
    path = file_of(tmp_path / "x.dcm", content, sop_instance_uid=new_uid())

    [status] = store(running.port, path)

    assert bad(status, running) == 0xC000
    assert status.ErrorComment


def test_below_the_reserve_is_refused_as_a700(tmp_path: Path):
    free = {"bytes": 10**9}
    with listening(tmp_path / "node", free=lambda _: free["bytes"], reserve_bytes=10**8) as running:
        first, second = mr_files(tmp_path, 2)
        assert store(running.port, first)[0].Status == 0x0000

        free["bytes"] = 10**7
        with capture_logs() as logs:
            [status] = store(running.port, second)

        assert (status.Status, status.ErrorComment) == (0xA700, "cannot be stored now, try again")
        full = "file store: 10000000 bytes are free, 100000000 are kept in reserve"
        assert [(line["event"], line["status"], line["reason"]) for line in logs if line["log_level"] == "error"] == [
            ("not stored", "0xA700", full)
        ]
        assert len(running.kept()) == len(running.instances()) == 1
        assert running.parts() == []

        free["bytes"] = 10**9
        assert store(running.port, second)[0].Status == 0x0000


def test_a_database_that_is_down_is_answered_a700_and_nothing_is_left(running: Running, tmp_path: Path):
    [path] = mr_files(tmp_path, 1)
    with running.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE instances RENAME TO gone")

    [status] = store(running.port, path)

    assert (status.Status, status.ErrorComment) == (0xA700, "cannot be stored now, try again")
    assert running.kept() == [] and running.parts() == []
    with running.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO instances")
    assert store(running.port, path)[0].Status == 0x0000


def test_a_folder_where_the_file_should_go_is_answered_a700(running: Running, tmp_path: Path):
    [path] = mr_files(tmp_path, 1)
    (running.files.root / "received").write_text("in the way")

    [status] = store(running.port, path)

    assert status.Status == 0xA700
    assert running.parts() == [] and running.instances() == []


def test_an_association_that_breaks_in_the_middle_leaves_nothing(running: Running, tmp_path: Path):
    [path] = mr_files(tmp_path, 1)
    with associated(running.port) as association:
        context = association.accepted_contexts[0].context_id
        _send_half_an_object(association, context, path)
        association.abort()
    _wait_until(lambda: running.listener._scp.callers() == ())

    assert running.parts() == [] and running.kept() == []
    assert echo(running.port) < 5


def test_logs_name_objects_by_uid_and_no_patient(running: Running, tmp_path: Path):
    [path] = mr_files(tmp_path, 1, PatientName="Secret^Name", PatientID="SECRET-ID", AccessionNumber="SECRET-ACC")
    data_set = as_sent(path)
    uid = dcmread(path).SOPInstanceUID
    broken = file_of(tmp_path / "x.dcm", data_set[:-100], sop_instance_uid=uid)

    with capture_logs() as logs:
        store(running.port, broken, path)

    assert any(entry.get("sop_instance_uid") == uid for entry in logs)
    assert "secret" not in str(logs).lower()


# What goes wrong beside an object


def test_what_cannot_be_noted_is_in_the_log_and_nobody_is_kept_out(running: Running):
    """The database is away: calls, C-ECHO, rejections, commitment and IAN go on, and each says so."""
    with running.database.engine.begin() as connection:
        for table in ("callers", "associations", "confirmations", "announcements"):
            connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO gone_{table}")

    with capture_logs() as logs:
        echo(running.port)
        with pytest.raises(PermanentRefusal):
            echo(running.port, calling="STRANGER")
        committed, noted = announced(running)
        _wait_until(lambda: "association not closed in the index; it goes stale" in events(logs))

    assert (committed, noted) == (0x0000, 0x0213)
    assert events(logs) >= {
        "a C-ECHO could not be noted",
        "a rejected association could not be noted",
        "a report of storage commitment could not be noted",
        "what a peer says of a study could not be noted",
    }
    assert all("no such table" in line["reason"] for line in logs if "could not be noted" in line["event"])


def test_associations_that_cannot_be_shown_alive_are_in_the_log(tmp_path: Path):
    with listening(tmp_path, timing=Timing(association_stale_s=0.06)) as running, associated(running.port):
        with running.database.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE associations RENAME TO gone")
        with capture_logs() as logs:
            _wait_until(lambda: "associations could not be shown alive" in events(logs))


def announced(running: Running) -> tuple[int, int]:
    """Send a report of storage commitment and an IAN; return both answers."""
    report, notification, series, image = (Dataset() for _ in range(4))
    report.TransactionUID, report.ReferencedSOPSequence = new_uid(), []
    image.ReferencedSOPInstanceUID = "1.2.3.4.5"
    series.SeriesInstanceUID, series.ReferencedSOPSequence = "1.2.3.4", [image]
    notification.StudyInstanceUID, notification.ReferencedSeriesSequence = "1.2.3", [series]
    ae = AE(ae_title=CALLING)
    for service in (StorageCommitmentPushModel, InstanceAvailabilityNotification):
        ae.add_requested_context(service)
    association = ae.associate("127.0.0.1", running.port, ae_title=CALLED)
    first, _ = association.send_n_event_report(
        report, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    second, _ = association.send_n_create(notification, InstanceAvailabilityNotification, new_uid())
    association.release()
    return int(first.Status), int(second.Status)


def events(logs: Sequence[Mapping[str, object]]) -> set[object]:
    return {line["event"] for line in logs}


def test_what_nobody_expected_is_answered_a700_and_logged_by_kind_and_place(running: Running, tmp_path: Path):
    """Its text may quote a patient."""
    [path] = mr_files(tmp_path, 1, PatientName="Secret^Name")
    with running.database.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TRIGGER no BEFORE INSERT ON studies BEGIN SELECT RAISE(FAIL, 'x'); END")

    with capture_logs() as logs:
        [status] = store(running.port, path)

    assert (status.Status, status.ErrorComment) == (0xA700, "cannot be stored now, try again")
    (line,) = [line for line in logs if line["event"] == "not stored"]
    assert line["error"] == "IntegrityError"
    assert "listener.py" in line["at"][0]
    assert "Secret" not in str(logs)


def test_a_listener_without_peers_says_so(tmp_path: Path):
    with capture_logs() as logs, listening(tmp_path, peers=[]):
        pass

    assert "no peers are configured: every association is rejected" in events(logs)


def test_a_port_that_is_taken_is_named(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        node = Node(ae_title=CALLED, address="127.0.0.1", port=taken.getsockname()[1])
        said = r"^cannot listen on 127\.0\.0\.1: Address already in use$"
        with pytest.raises(ConfigError, match=said), listening(tmp_path, node=node):
            pass


# Associations, as completion sees them


def test_a_study_is_being_delivered_until_the_association_is_over(running: Running, tmp_path: Path):
    [path] = mr_files(tmp_path, 1)
    study = dcmread(path).StudyInstanceUID

    with associated(running.port) as association:
        association.send_c_store(path)
        during = delivering(running, study)
    _wait_until(lambda: not delivering(running, study))

    assert during is True


def delivering(running: Running, study_uid: str) -> bool:
    with running.database.read() as session:
        return associations.delivering(session, study_uid, stale_s=60)


def test_a_storage_commitment_report_is_accepted(running: Running):
    information = Dataset()
    information.TransactionUID = new_uid()
    information.ReferencedSOPSequence = []
    ae = AE(ae_title=CALLING)
    ae.add_requested_context(StorageCommitmentPushModel)
    association = ae.associate("127.0.0.1", running.port, ae_title=CALLED)
    with capture_logs() as logs:
        status, _ = association.send_n_event_report(
            information, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
    association.release()

    assert status.Status == 0x0000
    assert [entry["transaction_uid"] for entry in logs if entry["event"] == "storage commitment"] == [
        information.TransactionUID
    ]


# TLS


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path / "tls")


@pytest.fixture
def tls_node(tmp_path: Path, certificates: Certificates):
    tls = Tls(port=0, certificate=certificates.node, key=certificates.node_key, authorities=certificates.authority)
    with listening(tmp_path / "node", tls=tls) as node:
        yield node


def over_tls(node: Running, certificates: Certificates, *, with_certificate: bool = True) -> scu.RemoteAe:
    context = ssl.create_default_context(cafile=certificates.authority)
    if with_certificate:
        context.load_cert_chain(certificates.peer, certificates.peer_key)
    return scu.RemoteAe("localhost", node.listener.tls_port, CALLED, CALLING, context)


def test_a_peer_with_a_certificate_is_answered_over_tls(tls_node: Running, certificates: Certificates):
    assert scu.c_echo(over_tls(tls_node, certificates)) < 5


def test_a_peer_without_a_certificate_is_not_served(tls_node: Running, certificates: Certificates):
    from dicom_ai.errors import PeerUnavailable

    with pytest.raises(PeerUnavailable):
        scu.c_echo(over_tls(tls_node, certificates, with_certificate=False), timeouts=scu.Timeouts(acse_s=3))


def test_silent_tls_peers_do_not_keep_others_out(tls_node: Running, certificates: Certificates):
    silent = [socket.create_connection(("127.0.0.1", tls_node.listener.tls_port)) for _ in range(30)]
    try:
        assert scu.c_echo(over_tls(tls_node, certificates)) < 2
    finally:
        for connection in silent:
            connection.close()


def test_silent_plain_peers_do_not_count_as_associations(tmp_path: Path):
    with listening(tmp_path) as running:
        silent = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(30)]
        try:
            assert echo(running.port) < 2
        finally:
            for connection in silent:
                connection.close()


def _send_half_an_object(association, context_id: int, path: Path) -> None:
    from pynetdicom.dimse_messages import C_STORE_RQ
    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.dsutils import split_dataset

    meta, offset = split_dataset(path)
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = meta.MediaStorageSOPClassUID
    request.AffectedSOPInstanceUID = meta.MediaStorageSOPInstanceUID
    request._dataset_path = (path, offset)
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    pieces = list(message.encode_msg(context_id, 300))
    for piece in pieces[: len(pieces) // 2]:
        association.dul.send_pdu(piece)
    _wait_until(lambda: association.dul.to_provider_queue.empty())


def _wait_until(condition, timeout_s: float = 10) -> None:
    waiting = threading.Event()
    for _ in range(int(timeout_s / 0.02)):
        if condition():
            return
        waiting.wait(0.02)
    raise AssertionError("it did not happen in time")


# Who called


def contacts(running: Running) -> list[callers.Contact]:
    with running.database.read() as session:
        return list(callers.contacts(session))


def rejections(running: Running) -> list[audit.AuditEvent]:
    with running.database.read() as session:
        return [event for event in audit.events(session) if event.action == "association rejected"]


def test_a_c_echo_of_a_peer_is_noted(running: Running):
    echo(running.port)

    (contact,) = contacts(running)
    assert (contact.calling_ae_title, contact.address) == (CALLING, "127.0.0.1")
    assert contact.verified_at is not None
    assert contact.rejected_at is None


def test_a_stranger_is_in_the_audit_trail_once_and_counted_when_the_node_stops(tmp_path: Path):
    with listening(tmp_path) as node:
        for _ in range(3):
            with pytest.raises(PermanentRefusal):
                echo(node.port, calling="STRANGER")
        at_first = [event.detail["times"] for event in rejections(node)]
        node.listener.stop(grace_s=1)
        in_the_end = [event.detail for event in rejections(node)]

    reason = "calling AE title or address is not a configured peer"
    assert at_first == [1]
    assert in_the_end == [
        {"calling_ae_title": "STRANGER", "because": reason, "times": times} for times in (1, 2)
    ]  # the first, and the two after it
    assert [contact.called_at for contact in contacts(node)] == [None]


def test_a_handshake_that_failed_is_in_log_and_audit_trail_and_a_port_check_is_not(
    tls_node: Running, certificates: Certificates
):
    socket.create_connection(("127.0.0.1", tls_node.listener.tls_port)).close()
    with capture_logs() as lines, pytest.raises(PeerUnavailable):
        scu.c_echo(over_tls(tls_node, certificates, with_certificate=False), timeouts=scu.Timeouts(acse_s=3))
    _wait_until(lambda: rejections(tls_node))

    (event,) = rejections(tls_node)
    assert event.subject == "node 127.0.0.1"
    assert event.detail["because"] == "TLS handshake failed: peer did not return a certificate"
    assert [line["reason"] for line in lines if line["event"] == "association rejected"] == [event.detail["because"]]


def test_dicom_without_tls_on_the_tls_port_is_named_as_that(tls_node: Running):
    with pytest.raises(PeerUnavailable):
        scu.c_echo(scu.RemoteAe("127.0.0.1", tls_node.listener.tls_port, CALLED, CALLING))
    _wait_until(lambda: rejections(tls_node))

    assert rejections(tls_node)[0].detail["because"] == "TLS handshake failed: wrong version number"
