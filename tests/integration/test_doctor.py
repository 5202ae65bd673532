"""dicom-ai doctor against real peers on loopback."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydicom.uid import MRImageStorage
from pynetdicom import AE, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from dicom_ai.app import configure_log, open_app, prepare
from dicom_ai.cli import doctor
from dicom_ai.dimse import scu
from dicom_ai.errors import PermanentRefusal, SopClassRefused
from dicom_ai.settings import Peer, Tls, read_settings
from dicom_ai.storage import callers
from dicom_ai.storage.database import Database
from dicom_ai.storage.tables import StudyRow
from tests.integration.certificates import Certificates, make_certificates
from tests.integration.listening import Running, listening, mr_files, store
from tests.peers import free_port
from tests.unit.inference.models import model_folder, threshold_graph

SETTINGS = """
[[peers]]
ae_title = "PACS"
[[destinations]]
name = "pacs"
kind = "c_store"
parameters = {{ host = "127.0.0.1", port = {port}, called_ae_title = "PACS" }}
[storage]
data_dir = "{folder}/data"
reserve_bytes = 0
[models]
directory = "{folder}/models"
device = "cpu"
threads = 1
[workers]
broker_url = "{broker}"
"""

SEGMENTATION, SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.7"
COMPREHENSIVE_3D_SR, COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.88.33"


@contextmanager
def archive(*sop_classes: str) -> Iterator[int]:
    """Run an archive that takes these classes and C-ECHO; yield its port."""
    entity = AE("PACS")
    for sop_class in (Verification, *sop_classes):
        entity.add_supported_context(sop_class)
    port = free_port()
    server = entity.start_server(("127.0.0.1", port), block=False)
    try:
        yield port
    finally:
        server.shutdown()  # type: ignore[union-attr]


def prepared(folder: Path, port: int, *, broker: str = "memory://") -> Path:
    """Write settings, one tiny model and a database."""
    model_folder(folder / "models" / "bright", threshold_graph(500.0), options='activation = "sigmoid"')
    config = folder / "node.toml"
    config.write_text(SETTINGS.format(port=port, folder=folder, broker=broker))
    app = open_app(read_settings(config))
    prepare(app)
    app.close()
    return config


def examined(config: Path) -> tuple[int, dict[str, list[str]], list[str]]:
    """Return the exit status, what each check says, and what is wrong."""
    result = CliRunner().invoke(doctor.command, ["--json", "--config", str(config)])
    found = json.loads(result.stdout)
    said: dict[str, list[str]] = {}
    for item in found:
        said.setdefault(item["check"], []).append(item["says"])
    return result.exit_code, said, [item["says"] for item in found if not item["ok"] and item["check"] != "disk"]


def test_an_archive_that_takes_everything_is_told_apart_from_one_that_does_not(tmp_path: Path) -> None:
    with archive(SEGMENTATION, COMPREHENSIVE_3D_SR) as port:
        _, said, wrong = examined(prepared(tmp_path, port))

    assert wrong == []
    assert said["destination pacs"][1:] == [
        "it will store masks (Segmentation)",
        "it will store reports (Comprehensive 3D SR)",
        "it offers neither storage commitment nor C-FIND: results will stay unconfirmed",
    ]
    assert said["destination pacs"][0].startswith("PACS answers C-ECHO in ")
    assert said["model"] == ["bright runs on CPU"]
    assert said["broker"] == ["none needed: one process"]


@pytest.mark.parametrize(
    ("takes", "wrong"),
    [
        ((SEGMENTATION, COMPREHENSIVE_SR), []),
        ((SECONDARY_CAPTURE,), []),
        ((COMPREHENSIVE_3D_SR,), ["it will refuse masks: it does not accept Segmentation, Secondary Capture"]),
        (
            (),
            [
                "it will refuse masks: it does not accept Segmentation, Secondary Capture",
                "it will refuse reports: it does not accept Comprehensive 3D SR, Comprehensive SR, Secondary Capture",
            ],
        ),
    ],
)
def test_what_an_archive_will_refuse_is_said_before_it_does(
    tmp_path: Path, takes: Sequence[str], wrong: Sequence[str]
) -> None:
    with archive(*takes) as port:
        status, _, found = examined(prepared(tmp_path, port))

    assert found == wrong
    assert status == 1 or not wrong


def test_an_archive_and_a_broker_that_are_away_are_wrong_and_stop_nothing(tmp_path: Path) -> None:
    status, said, wrong = examined(prepared(tmp_path, free_port(), broker=f"redis://127.0.0.1:{free_port()}/0"))

    assert status == 1
    assert [text.startswith("broker: ") for text in wrong] == [True, False]
    assert said["model"] == ["bright runs on CPU"]


def test_a_clock_that_was_set_back_is_wrong(tmp_path: Path) -> None:
    with archive(SEGMENTATION, COMPREHENSIVE_3D_SR) as port:
        config = prepared(tmp_path, port)
        database = Database(read_settings(config).database_url)
        with database.write() as session:
            session.add(
                StudyRow(
                    study_uid="1.2",
                    patient_id="",
                    accession="",
                    study_date="",
                    first_received_at=4e9,
                    last_received_at=4e9,
                )
            )
        database.close()
        status, _, wrong = examined(config)

    assert status == 1
    assert wrong[0].endswith("before the last image came: it was set back")


def test_a_node_without_database_peers_and_models_is_told_all_of_it(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'[storage]\ndata_dir = "{tmp_path / "data"}"\n[models]\ndirectory = "{tmp_path}"\n')
    status, said, _ = examined(config)

    assert status == 1
    assert said["settings"][:2] == [
        "no [[peers]]: every association is rejected",
        "no [[destinations]]: results go nowhere",
    ]
    assert "run dicom-ai db upgrade" in said["database"][0]
    assert said["model"] == [f"no models in {tmp_path}"]


# The way in


@contextmanager
def with_node(folder: Path, **sections: object) -> Iterator[tuple[Path, Running]]:
    """Run a listener and an archive; yield the settings that doctor reads, and the listener."""
    configure_log(read_settings())  # to standard error, as the node's own process does
    with (
        archive(SEGMENTATION, COMPREHENSIVE_3D_SR) as port,
        listening(folder / "data", **sections) as running,
    ):
        config = prepared(folder, port)
        tls = sections.get("tls")
        extra = f'[node]\naddress = "127.0.0.1"\nport = {running.port}\n'
        if isinstance(tls, Tls):
            extra += (
                f'[tls]\nport = {running.listener.tls_port}\ncertificate = "{tls.certificate}"\nkey = "{tls.key}"\n'
            )
            extra += f'authorities = "{tls.authorities}"\n' if tls.authorities else ""
        config.write_text(config.read_text() + extra)
        yield config, running


def call(running: Running, calling: str) -> None:
    scu.c_echo(scu.RemoteAe("127.0.0.1", running.port, "DICOM_AI", calling))


def test_a_node_that_runs_is_called_and_its_peers_are_told(tmp_path: Path) -> None:
    with with_node(tmp_path) as (config, running):
        before = examined(config)
        call(running, "PACS")
        with pytest.raises(PermanentRefusal):
            call(running, "STRANGER")
        after = examined(config)

    assert [before[2], after[2]] == [[], []]
    assert before[1]["listener"][0].startswith(f"DICOM_AI answers C-ECHO on port {running.port} in ")
    assert before[1]["peer PACS"] == ["it has not called yet: send a C-ECHO from there; doctor --wait shows it"]
    assert after[1]["peer PACS"][0].startswith("it called from 127.0.0.1 at ")
    assert "; its last C-ECHO came at " in after[1]["peer PACS"][0]
    (stranger,) = after[1]["stranger"]
    assert stranger.startswith("STRANGER at 127.0.0.1 was rejected at ")
    assert stranger.endswith(": calling AE title or address is not a configured peer")


def test_that_doctor_calls_is_noted_nowhere(tmp_path: Path) -> None:
    with with_node(tmp_path) as (config, running):
        examined(config)

        with running.database.read() as session:
            assert callers.contacts(session) == ()


def test_a_peer_from_an_address_that_is_not_its_own_is_wrong(tmp_path: Path) -> None:
    with with_node(tmp_path, peers=(Peer(ae_title="PACS", addresses=("192.0.2.7",)),)) as (config, running):
        with pytest.raises(PermanentRefusal):
            call(running, "PACS")
        status, _, wrong = examined(config)

    assert status == 1
    assert len(wrong) == 1
    assert wrong[0].startswith("it called from 127.0.0.1 at ")
    assert wrong[0].endswith(" and was rejected: calling AE title or address is not a configured peer")


def test_the_node_from_its_own_machine_may_verify_and_store_nothing(tmp_path: Path) -> None:
    with with_node(tmp_path) as (_, running):
        call(running, "DICOM_AI")
        us = scu.RemoteAe("127.0.0.1", running.port, "DICOM_AI", "DICOM_AI")

        with pytest.raises(SopClassRefused):
            offer_storage(us)


def offer_storage(us: scu.RemoteAe) -> None:
    with scu.associated(us, [build_context(MRImageStorage)], scu.Timeouts()):
        pytest.fail("an association for images was accepted")


def test_a_node_that_does_not_run_is_no_fault_and_another_one_on_its_port_is(tmp_path: Path) -> None:
    with archive(SEGMENTATION, COMPREHENSIVE_3D_SR) as port:
        config = prepared(tmp_path, port)
        config.write_text(config.read_text() + f'[node]\naddress = "127.0.0.1"\nport = {(free := free_port())}\n')
        off = examined(config)
        with socket.create_server(("127.0.0.1", free)):
            status, _, wrong = examined(config)

    assert off[1]["listener"] == [f"nothing listens on port {free} here: the node is not running on this machine"]
    assert off[2] == []
    assert status == 1
    assert wrong[0].startswith(f"what listens on port {free} does not answer as DICOM_AI: ")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


def test_the_tls_port_is_called_as_a_peer_does_and_its_certificate_told(
    tmp_path: Path, certificates: Certificates
) -> None:
    tls = Tls(port=0, certificate=certificates.node, key=certificates.node_key, authorities=certificates.authority)
    with with_node(tmp_path, tls=tls) as (config, running):
        _, said, wrong = examined(config)

    port = running.listener.tls_port
    shown, answer = said["listener"][1:]
    assert shown.startswith(f"TLS port {port} shows a certificate for localhost, 127.0.0.1, valid until ")
    assert wrong == [shown]  # it is valid for a day
    assert shown.endswith(": renew it")
    assert answer.startswith(f"DICOM_AI answers C-ECHO on TLS port {port} in ")


def test_a_certificate_of_another_authority_is_no_fault_and_one_that_is_not_shown_yet_is(
    tmp_path: Path, certificates: Certificates
) -> None:
    other = make_certificates(tmp_path / "other").authority
    tls = Tls(port=0, certificate=certificates.node, key=certificates.node_key, authorities=other)
    with with_node(tmp_path, tls=tls) as (config, running):
        _, said, _ = examined(config)
        text = config.read_text().replace(str(certificates.node), str(certificates.peer))
        config.write_text(text.replace(str(certificates.node_key), str(certificates.peer_key)))
        _, _, wrong = examined(config)

    port = running.listener.tls_port
    assert said["listener"][-1] == (
        f"TLS port {port} wants a certificate signed by {other}, and does not take the node's own"
    )
    assert wrong[0].startswith(f"TLS port {port} shows another certificate than ")
    assert wrong[0].endswith("; where it was renewed, start the node again")


def test_doctor_waits_for_the_first_image_and_tells_who_calls_meanwhile(tmp_path: Path) -> None:
    (image,) = mr_files(tmp_path / "images", 1)
    with with_node(tmp_path) as (config, running):

        def act() -> None:
            call(running, "PACS")
            with pytest.raises(PermanentRefusal):
                call(running, "STRANGER")
            time.sleep(2 * doctor.LOOK_EVERY_S)
            store(running.port, image)

        timer = threading.Timer(2.0, act)
        timer.start()
        result = CliRunner().invoke(doctor.command, ["--wait", "--config", str(config)])
        timer.join()

    assert f"waiting for an image to DICOM_AI on port {running.port}; Ctrl-C ends this\n" in result.stderr
    assert result.stdout.splitlines()[-3:] == [
        "C-ECHO received from PACS at 127.0.0.1",
        "rejected: STRANGER at 127.0.0.1: calling AE title or address is not a configured peer",
        "first image received from PACS",
    ]
