"""`dicom-ai destinations`, `peers` and `models off`, for people and for scripts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dicom_ai.app import open_app, prepare
from dicom_ai.cli import destinations, models, peers
from dicom_ai.cli._checks import settings as look_at_settings
from dicom_ai.errors import ConfigError
from dicom_ai.settings import read_settings
from tests.peers import free_port

ADD = ("add", "web", "--kind", "stow_rs", "--set", "url=https://pacs.example/dicom-web", "--outputs", "seg,pdf")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "node.toml"
    out = tmp_path / "out"
    out.mkdir()
    file.write_text(
        f'[storage]\ndata_dir = "{tmp_path / "data"}"\nreserve_bytes = 0\n'
        f'[[destinations]]\nname = "shelf"\nkind = "folder"\nparameters = {{ folder = "{out}" }}\n'
        '[[peers]]\nae_title = "PACS"\n'
    )
    app = open_app(read_settings(file))
    prepare(app)
    app.close()
    return file


@pytest.fixture(autouse=True)
def the_log_is_quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DICOM_AI_LOG__LEVEL", "error")
    yield


def run(command: Any, config: Path, *arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(command, [*arguments, "--config", str(config)], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.stdout


def listed(config: Path) -> dict[str, Any]:
    found = json.loads(run(destinations.command, config, "list", "--json"))
    return {item["name"]: item for item in found["destinations"]}


def looked_at(config: Path) -> list[str]:
    """Return what doctor says of the settings."""
    app = open_app(read_settings(config))
    try:
        return [found.says for found in look_at_settings(app)]
    finally:
        app.close()


def test_a_destination_is_added_changed_and_removed(config: Path) -> None:
    said = run(destinations.command, config, *ADD, "--set", "authorization=Bearer hush", "--why", "a trial")
    added = listed(config)["web"]
    run(destinations.command, config, "change", "web", "--set", "timeout_s=20", "--largest-mb", "4")
    changed = listed(config)["web"]
    run(destinations.command, config, "remove", "web")

    assert said == (
        "version 2 of destinations and peers: destination web added; a trial; running processes take it up within 2 s\n"
    )
    assert (added["outputs"], added["state"], added["waiting"]) == (["seg", "pdf"], "not tried", 0)
    assert added["parameters"]["authorization"] == "(hidden)"
    assert (changed["parameters"]["timeout_s"], changed["largest_mb"]) == (20, 4)
    assert list(listed(config)) == ["shelf"]


def test_versions_are_listed_and_rolled_back_to(config: Path) -> None:
    none = run(destinations.command, config, "list", "--versions")
    run(destinations.command, config, *ADD)
    run(destinations.command, config, "roll-back", "1", "--who", "ada")

    assert none == "nothing was changed here yet: the settings file counts\n"

    versions = json.loads(run(destinations.command, config, "list", "--versions", "--json"))
    assert [(item["version"], item["note"]) for item in versions] == [
        (3, "rolled back to version 1"),
        (2, "destination web added"),
        (1, "as the settings file had them"),
    ]
    assert list(listed(config)) == ["shelf"]


def test_trying_says_what_came_back_and_fails_where_nothing_does(config: Path) -> None:
    found = json.loads(run(destinations.command, config, "try", "shelf", "--store", "--json"))
    where = ("--set", "host=127.0.0.1", "--set", f"port={free_port()}", "--set", "called_ae_title=AWAY")
    run(destinations.command, config, "add", "away", "--kind", "c_store", *where)

    assert [item["ok"] for item in found] == [True] * len(found)
    assert "it took the test object" in str(found)
    assert "WRONG  AWAY at 127.0.0.1" in run(destinations.command, config, "try", "away", status=1)


def test_what_cannot_be_is_refused(config: Path) -> None:
    with pytest.raises(ConfigError, match="neither http nor https"):
        run(destinations.command, config, "add", "web", "--kind", "stow_rs", "--set", "url=nowhere")
    with pytest.raises(ConfigError, match="must begin with /"):
        run(destinations.command, config, "change", "shelf", "--set", "folder=relative")


def test_peers_are_listed_added_changed_and_removed(config: Path) -> None:
    run(peers.command, config, "add", "CT1", "--address", "10.0.0.5")
    run(peers.command, config, "change", "CT1", "--address", "10.0.0.5", "--address", "10.1.0.0/16")
    found = json.loads(run(peers.command, config, "list", "--json"))
    run(peers.command, config, "remove", "PACS")

    assert found["peers"] == [
        {"ae_title": "PACS", "addresses": []},
        {"ae_title": "CT1", "addresses": ["10.0.0.5", "10.1.0.0/16"]},
    ]
    assert run(peers.command, config, "list").splitlines() == ["CT1               from 10.0.0.5, 10.1.0.0/16"]


def test_doctor_says_where_the_settings_file_no_longer_counts(config: Path) -> None:
    before = looked_at(config)
    run(destinations.command, config, *ADD)

    after = looked_at(config)

    assert before == ["1 peers, 1 destinations"]
    assert after[0] == (
        "the settings file does not count for destinations and peers any more; it says: destination web removed"
    )
    assert after[1] == "1 peers, 2 destinations"


def test_a_model_is_turned_off_and_on(config: Path) -> None:
    turns = [run(models.command, config, state, "spinal-cord") for state in ("off", "off")]
    listed_off = run(models.command, config, "off")
    turns.append(run(models.command, config, "on", "spinal-cord"))

    assert listed_off.startswith("model spinal-cord is off since ")
    assert run(models.command, config, "off") == "no model is off\n"
    assert turns == ["spinal-cord is off\n", "spinal-cord was off already\n", "spinal-cord is on\n"]


def test_models_that_never_met_have_nothing_to_compare(config: Path) -> None:
    found = json.loads(run(models.command, config, "compare", "spinal-cord", "spine-mr", "--json"))

    assert (found["measurements"], found["studies"]) == ([], [])
