"""The commands of the node's processes, as far as they answer without staying: db, status, work, schedule, serve."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from dicom_ai.cli import analyse, backup, confirm, db, pause, resume, schedule, serve, status, storage, work
from dicom_ai.errors import ConfigError, Unavailable
from dicom_ai.settings import as_toml, read_settings
from dicom_ai.storage import schema, studies
from dicom_ai.storage.database import Database
from tests.peers import free_port
from tests.unit.storage.test_studies import IMAGE

PARTS = [(work.command, ["--queue", "io"]), (work.command, ["--queue", "gpu"]), (schedule.command, [])]


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


@pytest.mark.parametrize(
    ("command", "arguments"),
    [(db.command, ["upgrade"]), (db.command, ["check"]), (status.command, []), (backup.command, ["b.tar"])],
)
def test_a_database_server_that_is_away_is_told_in_one_line(
    config: Path, command: object, arguments: list[str]
) -> None:
    port = free_port()
    url = f"postgresql+psycopg://ada:hush@127.0.0.1:{port}/node"
    config.write_text(config.read_text() + f'database_url = "{url}"\n')
    error = run(command, *arguments, "--config", str(config)).exception

    assert isinstance(error, Unavailable)
    assert str(error).startswith(
        f'database: connection failed: connection to server at "127.0.0.1", port {port} failed'
    )
    assert "hush" not in str(error)


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
    assert str(error) == "all is not paused; paused are: nothing"


def test_what_is_paused_already_stays_so(config: Path) -> None:
    run(db.command, "upgrade", "--config", str(config))

    said = [run(pause.command, "all", "--config", str(config)).output for _ in range(2)]
    assert said == ["paused: all\n", "already paused: all\n"]


@pytest.mark.parametrize(
    ("arguments", "told"), [(["all", "x"], "all takes no name"), (["rule"], "which rule? give its name")]
)
def test_a_pause_without_a_clear_subject_is_misuse(config: Path, arguments: list[str], told: str) -> None:
    error = run(pause.command, *arguments, "--config", str(config)).exception

    assert isinstance(error, click.UsageError)
    assert str(error) == told


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


def image(config: Path) -> Database:
    """Let the node have an image of a gigabyte that is not routed yet; return its database."""
    run(db.command, "upgrade", "--config", str(config))
    database = Database(read_settings(config).database_url)
    with database.write() as session:
        studies.record_instance(session, replace(IMAGE, size_bytes=10**9, received_at=time.time() + 1))
    return database


def test_the_storage_is_told_in_gigabytes_and_days(config: Path) -> None:
    image(config).close()
    lines = run(storage.command, "--config", str(config)).output.splitlines()

    assert lines[0] == "      1.00 GB         1 images: not routed yet; stays"
    assert lines[1] == "      0.00 GB  folder received"
    assert re.fullmatch(r"disk: [\d.]+ % of [\d.]+ GB used", lines[6])
    assert lines[7] == "images: 1.00 GB come and 0.00 GB go in a day"


def test_images_that_no_rule_wants_go_after_a_while(config: Path) -> None:
    database = image(config)
    with database.write() as session:
        for one in studies.series_of(session, "1.2"):
            studies.mark_routed(session, one, facts=None)
    database.close()

    first = run(storage.command, "--config", str(config)).output.splitlines()[0]
    assert first == "      1.00 GB         1 images: no rule wants them; goes after 1 days"


def test_a_study_that_still_comes_is_not_complete(config: Path) -> None:
    image(config).close()
    said = run(status.command, "--study", "1.2", "--config", str(config)).output

    assert "complete:\n  of=study  images=1  because=not complete yet\n" in said


def test_a_study_that_is_asked_for_says_where_to_look(config: Path) -> None:
    image(config).close()
    said = run(analyse.command, "1.2", "--config", str(config)).output

    assert said == "study 1.2 is routed again; dicom-ai status --study 1.2 says what became of it\n"


def test_nothing_that_was_sent_is_nothing_to_confirm(config: Path) -> None:
    run(db.command, "upgrade", "--config", str(config))

    assert run(confirm.command, "--config", str(config)).output == "nothing was sent yet\n"
    assert run(confirm.command, "again", "--config", str(config)).output == "asked again: 0\n"


def test_tables_of_another_release_are_counted(config: Path) -> None:
    database = image(config)
    with database.write() as session:
        session.execute(sa.text("DROP TABLE callers"))
    database.close()
    error = run(db.command, "check", "--config", str(config)).exception

    assert isinstance(error, ConfigError)
    assert str(error).startswith("the tables differ from this release in 1 places: ('add_table', ")
