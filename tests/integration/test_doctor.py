"""dicom-ai doctor against real peers on loopback."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from dicom_ai.app import open_app, prepare
from dicom_ai.cli import doctor
from dicom_ai.settings import read_settings
from dicom_ai.storage.database import Database
from dicom_ai.storage.tables import StudyRow
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


@pytest.fixture(autouse=True)
def the_log_is_put_back() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


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
