"""What dicom-ai doctor says, check by check, without any peer."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicom_ai.app import App, open_app, prepare
from dicom_ai.cli import _checks, _inward
from dicom_ai.cli._found import Found
from dicom_ai.settings import Models, Node, Peer, PriorSettings, Settings, Storage, Workers
from dicom_ai.storage import callers
from dicom_ai.storage.callers import Contact, Rejection
from dicom_ai.storage.files import FileStore
from tests.peers import free_port
from tests.unit.inference.models import model_folder, threshold_graph
from tests.unit.storage.test_runs import receive

NEW_YEAR_2026 = 1_767_225_600


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = open_app(
        Settings(
            node=Node(address="127.0.0.1", port=free_port()),
            storage=Storage(data_dir=tmp_path / "data", reserve_bytes=0),
            models=Models(directory=tmp_path / "models", device="cpu", threads=1),
            peers=(Peer(ae_title="PACS"),),
        )
    )
    prepare(app)
    yield app
    app.close()


def test_a_database_that_somebody_changed_by_hand_is_wrong(app: App) -> None:
    with app.database.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE callers")
    first, second = _checks.database(app)

    assert (first.ok, second.ok) == (False, False)
    assert first.says.startswith("the tables differ from this release: ('add_table', ")
    assert second.says.startswith("SQLite, revision ")


@pytest.mark.parametrize(
    ("at", "ok", "says"),
    [
        (NEW_YEAR_2026, True, "2026-01-01 00:00:00 UTC"),
        (NEW_YEAR_2026 - 1, False, "it says 2025-12-31 23:59:59 UTC, before this release was made"),
    ],
)
def test_a_clock_cannot_be_older_than_the_release(
    app: App, monkeypatch: pytest.MonkeyPatch, at: int, ok: bool, says: str
) -> None:
    monkeypatch.setattr(time, "time", lambda: at)

    assert list(_checks.clock(app)) == [Found("clock", ok, says)]


def test_a_clock_that_was_set_back_says_how_far(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    at = NEW_YEAR_2026 + 3600
    app.database.clock = lambda: at
    receive(app.database)
    monkeypatch.setattr(time, "time", lambda: at - 90)

    says = "it says 2026-01-01 00:58:30 UTC, 90 s before the last image came: it was set back"
    assert list(_checks.clock(app)) == [Found("clock", False, says)]


def test_a_data_folder_that_cannot_be_written_is_wrong(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write whatever the mode says

    assert next(_checks.disk(app)) == Found("disk", False, f"{app.files.root} cannot be written")


def test_a_disk_says_what_is_free_and_when_it_is_below_the_reserve(app: App) -> None:
    (found,) = _checks.disk(app)
    (full,) = _checks.disk(replace(app, files=FileStore(app.files.root, reserve_bytes=10**18)))

    assert found.says.endswith((" GB are free", "dicom-ai storage says of what"))
    assert not full.ok
    assert "images are refused" in full.says


def test_a_model_that_cannot_serve_says_why(app: App, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "bright"
    model_folder(folder, threshold_graph(500.0), options='activation = "sigmoid"')
    (folder / "model.toml").unlink()
    none = list(_checks.models(app))
    (folder / "model.toml").write_text("")
    (broken,) = _checks.models(app)

    assert none == [Found("model", False, f"no models in {tmp_path / 'models'}")]
    assert not broken.ok
    assert broken.says.startswith("bright cannot serve: ")


def test_a_broker_that_is_away_is_named_and_stops_no_other_check(tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    away = open_app(Settings(storage=Storage(data_dir=tmp_path), workers=Workers(broker_url=url)))
    prepare(away)
    said = {item.check: item for item in _checks.examine(away) if item.check in ("broker", "listener", "database")}
    away.close()

    assert [(name, said[name].ok) for name in ("database", "broker", "listener")] == [
        ("database", True),
        ("broker", False),
        ("listener", True),
    ]
    assert said["broker"].says.startswith("broker: ")


def test_a_prior_archive_that_was_removed_is_wrong(app: App) -> None:
    asking = replace(app, settings=app.settings.model_copy(update={"prior": PriorSettings(archive="pacs")}))

    assert list(_checks.prior(asking)) == [Found("prior", False, "prior.archive: there is no destination 'pacs'")]


def test_a_node_that_does_not_run_is_no_fault(app: App) -> None:
    port = app.settings.node.port

    assert list(_inward.listener(app)) == [
        Found("listener", True, f"nothing listens on port {port} here: the node is not running on this machine")
    ]


def test_a_peer_that_sent_images_and_no_c_echo_says_so(app: App) -> None:
    with app.database.write() as session:
        callers.called(session, "PACS", "10.0.0.5")
        callers.rejected(session, Rejection("MR7", "10.0.0.9", "called AE title is not ours"))
    at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    peer, stranger = _inward.peers(app)

    assert peer == Found("peer PACS", True, f"it called from 10.0.0.5 at {at}; it has sent no C-ECHO")
    assert stranger == Found("stranger", True, f"MR7 at 10.0.0.9 was rejected at {at}: called AE title is not ours")


@pytest.mark.parametrize(
    ("contact", "name"),
    [
        (Contact("PACS", "10.0.0.5", None, None, None, ""), "PACS at 10.0.0.5"),
        (Contact("", "10.0.0.5", None, None, None, ""), "somebody at 10.0.0.5"),
        (Contact("PACS", "", None, None, None, ""), "PACS at several addresses"),
    ],
)
def test_a_caller_is_named_as_people_do(contact: Contact, name: str) -> None:
    assert _inward.named(contact) == name
