"""The commands of the node's processes, as far as they answer without staying: db, status, work, schedule, serve."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import structlog
from click.testing import CliRunner, Result

from dicom_ai.cli import analyse, db, pause, resume, schedule, serve, status, storage, work
from dicom_ai.errors import ConfigError
from dicom_ai.settings import as_toml
from dicom_ai.storage import schema

PARTS = [(work.command, ["--queue", "io"]), (work.command, ["--queue", "gpu"]), (schedule.command, [])]


@pytest.fixture(autouse=True)
def the_log_is_put_back() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(f'[storage]\ndata_dir = "{tmp_path / "data"}"\nreserve_bytes = 0\n')
    return path


def run(command: object, *arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), standalone_mode=False)  # type: ignore[arg-type]


def test_the_database_is_made_and_checked(config: Path) -> None:
    newest = schema.newest()

    assert run(db.command, "upgrade", "--config", str(config)).output == f"database: revision none -> {newest}\n"
    assert run(db.command, "upgrade", "--config", str(config)).output == f"database: revision {newest} -> {newest}\n"
    assert "as this release needs it" in run(db.command, "check", "--config", str(config)).output


def test_a_database_that_is_not_made_fails_the_check(config: Path) -> None:
    assert isinstance(run(db.command, "check", "--config", str(config)).exception, ConfigError)


def test_the_status_of_a_new_node_is_that_nothing_waits(config: Path) -> None:
    run(db.command, "upgrade", "--config", str(config))

    assert "jobs: none" in run(status.command, "--config", str(config)).output
    found = json.loads(run(status.command, "--json", "--config", str(config)).output)
    assert found == {
        "held": [],
        "paused": [],
        "jobs": {},
        "runs": {},
        "deliveries": {},
        "destinations": [],
        "not_delivered": [],
        "to_withdraw": 0,
        "rules_version": 1,
        "warnings": found["warnings"],
    }


def test_the_status_of_an_unknown_study_is_empty(config: Path) -> None:
    run(db.command, "upgrade", "--config", str(config))

    found = json.loads(run(status.command, "--study", "1.2.3", "--json", "--config", str(config)).output)
    assert found
    assert not any(found.values())


@pytest.mark.parametrize(("command", "arguments"), PARTS)
def test_a_part_on_its_own_needs_a_broker(config: Path, command: object, arguments: list[str]) -> None:
    error = run(command, *arguments, "--config", str(config)).exception

    assert isinstance(error, ConfigError)
    assert "memory://" in str(error)


@pytest.mark.parametrize(("command", "arguments"), PARTS)
def test_a_part_does_not_start_on_a_database_of_another_release(
    config: Path, command: object, arguments: list[str]
) -> None:
    config.write_text(config.read_text() + '[workers]\nbroker_url = "redis://127.0.0.1:1/0"\n')
    error = run(command, *arguments, "--config", str(config)).exception

    assert isinstance(error, ConfigError)
    assert "run dicom-ai db upgrade" in str(error)


def test_a_settings_file_can_be_printed() -> None:
    assert run(serve.command, "--print-settings").output == as_toml()


def test_a_pause_is_shown_with_its_reason_until_it_is_ended(config: Path) -> None:
    run(db.command, "upgrade", "--config", str(config))
    run(pause.command, "all", "--why", "archive migrates", "--who", "anna", "--config", str(config))

    shown = json.loads(run(status.command, "--json", "--config", str(config)).output)["paused"]
    assert [(item["what"], item["who"], item["why"], item["held"]) for item in shown] == [
        ("all", "anna", "archive migrates", 0)
    ]
    assert run(resume.command, "all", "--config", str(config)).output == "resumed: all\n"
    assert "paused: none" in run(status.command, "--config", str(config)).output


def test_a_name_the_node_does_not_have_cannot_be_paused(config: Path) -> None:
    run(db.command, "upgrade", "--config", str(config))
    error = run(pause.command, "rule", "cervical-chord", "--config", str(config)).exception

    assert isinstance(error, ConfigError)
    assert "known are cord, spine" in str(error)


def test_what_is_not_paused_cannot_be_resumed(config: Path) -> None:
    run(db.command, "upgrade", "--config", str(config))
    error = run(resume.command, "all", "--config", str(config)).exception

    assert isinstance(error, ConfigError)
    assert "paused are: nothing" in str(error)


@pytest.mark.parametrize("arguments", [["all", "x"], ["rule"]])
def test_a_pause_without_a_clear_subject_is_misuse(config: Path, arguments: list[str]) -> None:
    assert isinstance(run(pause.command, *arguments, "--config", str(config)).exception, click.UsageError)


def test_a_study_that_never_came_cannot_be_asked_for(config: Path) -> None:
    run(db.command, "upgrade", "--config", str(config))
    error = run(analyse.command, "1.2.3", "--config", str(config)).exception

    assert isinstance(error, ConfigError)
    assert str(error) == "study 1.2.3 is not known here"


def test_the_storage_of_a_new_node_is_empty_and_never_full(config: Path) -> None:
    run(db.command, "upgrade", "--config", str(config))

    found = json.loads(run(storage.command, "--json", "--config", str(config)).output)
    assert (found["images"], found["folders"]["received"], found["disk"]["full_on"]) == ([], 0, None)
    assert found["disk"]["free_bytes"] <= found["disk"]["total_bytes"]
    assert "full: not at this rate" in run(storage.command, "--config", str(config)).output
