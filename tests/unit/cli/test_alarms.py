"""dicom-ai alarms: what is wrong, in words, and what monitoring makes of it."""

import json
import socket
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dicom_ai.alarms import watch
from dicom_ai.app import App, open_app, prepare
from dicom_ai.cli import alarms as command
from dicom_ai.errors import ConfigError
from dicom_ai.settings import read_settings
from dicom_ai.storage import alarms, duties
from dicom_ai.storage.alarms import Level, Seen
from tests.peers import free_port

NOBODY = "alarms are told to nobody: set [email], [webhook] or [syslog]"
DOWN = Seen("destination-down", "pacs", Level.SERIOUS, "destination pacs takes nothing")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    config = tmp_path / "node.toml"
    config.write_text(f'[storage]\ndata_dir = "{tmp_path / "data"}"\n')
    app = opened(config)
    prepare(app)
    app.close()
    return config


def opened(config: Path) -> App:
    return open_app(read_settings(config))


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command.command, [*arguments, "--config", str(config)])


def looked(config: Path, *seen: Seen, at: float | None = None) -> str:
    """Let the clock look, now or at another time, and see these; return when, as it is written."""
    app = opened(config)
    at = at or time.time()
    app.database.clock = lambda: at
    with app.database.write() as session:
        assert duties.take(session, watch.DUTY, "me", lease_s=60)
        alarms.look(session, seen, judged=["destination-down"], linger_s=0)
        duties.done(session, watch.DUTY, "me")
    app.close()
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def test_a_node_in_order_says_when_it_looked_and_that_nobody_would_be_told(config: Path) -> None:
    when = looked(config)
    result = run(config)

    assert result.output.splitlines() == [f"nothing is wrong; looked at {when}", NOBODY]
    assert result.exit_code == 0


@pytest.mark.parametrize(("at", "since"), [(None, "ever"), (1e9, "2001-09-09T01:46:40Z")])
def test_a_clock_that_does_not_look_is_wrong(config: Path, at: float | None, since: str) -> None:
    if at:
        looked(config, at=at)
    result = run(config)

    assert result.output.splitlines() == [
        f"CLOCK  nobody has looked since {since}: docs/runbook.md#clock-stopped",
        "no alarms",
        NOBODY,
    ]
    assert result.exit_code == 1


def test_an_alarm_is_listed_with_its_page_until_somebody_takes_note_of_it(config: Path) -> None:
    when = looked(config, DOWN)
    before, taken, after = (
        run(config),
        run(config, "acknowledge", "destination-down:pacs", "--who", "anna"),
        run(config),
    )

    line = f"          since {when}"
    assert before.output.splitlines() == [
        "SERIOUS   destination-down:pacs: destination pacs takes nothing",
        f"{line}; docs/runbook.md#destination-down",
        NOBODY,
    ]
    assert taken.output == "acknowledged: 1\n"
    assert f"{line}, acknowledged by anna; docs/runbook.md#destination-down" in after.output
    assert (before.exit_code, after.exit_code) == (1, 0)


def test_what_could_not_be_told_is_said_for_each_channel(config: Path) -> None:
    looked(config, DOWN)
    app = opened(config)
    with app.database.write() as session:
        due = alarms.to_tell(session, "email", repeat_s=60)
        alarms.told(session, "email", due, error="e-mail by mail:587: timeout")
    app.close()

    assert "          not told: email: e-mail by mail:587: timeout" in run(config).output.splitlines()


def test_an_alarm_that_is_not_there_cannot_be_acknowledged(config: Path) -> None:
    looked(config, DOWN)
    error = run(config, "acknowledge", "disk").exception

    assert isinstance(error, ConfigError)
    assert str(error) == "no alarm disk waits for anybody; now there are: destination-down:pacs"


def test_monitoring_reads_json(config: Path) -> None:
    when = looked(config, DOWN)
    found = json.loads(run(config, "--json").output)

    assert (found["ok"], found["looked_at"], found["clock_stopped"], found["channels"]) == (False, when, False, [])
    assert [(one["name"], one["level"], one["errors"]) for one in found["alarms"]] == [
        ("destination-down:pacs", "serious", [])
    ]


def test_trying_a_channel_tells_that_it_is_a_test(config: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        config.write_text(config.read_text() + f'[syslog]\nurl = "udp://127.0.0.1:{server.getsockname()[1]}"\n')
        tried = run(config, "test")
        told = server.recv(65_536).decode()

    assert (tried.output, tried.exit_code) == ("syslog: handed over\n", 0)
    assert "this is a test, nothing is wrong" in told


def test_trying_the_channels_says_which_worked(config: Path) -> None:
    none = run(config, "test").exception
    config.write_text(config.read_text() + f'[webhook]\nurl = "http://127.0.0.1:{free_port()}/"\n')
    tried = run(config, "test")

    assert str(none) == "no channel is set: [email], [webhook] or [syslog]"
    assert (tried.output, tried.exit_code) == ("webhook: webhook: URLError\n", 1)
