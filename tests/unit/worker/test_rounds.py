"""Rounds beside the clock: one that fails is in the log and made again, and stops no other."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dicom_ai.app import App, open_app, prepare
from dicom_ai.settings import Alarms, AuditSettings, Settings, Storage
from dicom_ai.worker.rounds import Rounds


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A node whose audit file lies in a folder that is not there."""
    app = open_app(
        Settings(
            storage=Storage(data_dir=tmp_path / "data", reserve_bytes=0),
            alarms=Alarms(every_s=0.05),
            audit=AuditSettings(file=tmp_path / "away" / "audit.xml", every_s=0.05),
        )
    )
    prepare(app)
    yield app
    app.close()


def made(app: App, *, until: str) -> list[dict[str, object]]:
    """Make rounds until the log says something twice; return those lines."""
    rounds = Rounds(app)
    with capture_logs() as logs:
        rounds.start()
        deadline = time.monotonic() + 20
        while sum(line["event"] == until for line in logs) < 2 and time.monotonic() < deadline:
            threading.Event().wait(0.02)
        assert rounds.alive
        rounds.stop()
    return [dict(line) for line in logs if line["event"] == until]


def test_a_round_that_cannot_be_made_says_which_and_why(app: App, tmp_path: Path) -> None:
    line, again, *_ = made(app, until="a round could not be made")

    assert (line["round"], line["log_level"]) == ("audit-file", "warning")
    assert (
        line["reason"] == again["reason"] == f"audit file {tmp_path / 'away' / 'audit.xml'}: No such file or directory"
    )


def test_a_round_that_breaks_is_told_by_kind_and_place(app: App) -> None:
    app.database.clock = lambda: time.mktime("no time")  # type: ignore[arg-type]
    line, again, *_ = made(app, until="a round failed")

    assert line["log_level"] == "error"
    assert line["error"] == again["error"] == "TypeError"
