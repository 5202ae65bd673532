"""Queue io: what becomes of a report when the database, or something nobody expected, comes between."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from dicom_ai.app import App, open_app, prepare
from dicom_ai.domain.job import JobKind, JobState
from dicom_ai.errors import Unavailable
from dicom_ai.pipeline import report
from dicom_ai.settings import Settings, Storage, Timing
from dicom_ai.storage import jobs
from dicom_ai.storage.jobs import JobStatus
from dicom_ai.storage.tables import RuleVersionRow, SeriesRow
from dicom_ai.worker import heartbeat
from dicom_ai.worker.clock import Clock
from dicom_ai.worker.io import IoWork, ring_quietly
from tests.unit.worker.test_clock import analysed_by_another_machine

QUICK = Timing(series_quiet_s=0.001, study_quiet_s=0.001, token_gap_s=100)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """A node in which a report is due."""
    monkeypatch.setattr(heartbeat, "TELL_AGAIN_S", 0.001)
    app = open_app(Settings(storage=Storage(data_dir=tmp_path, reserve_bytes=0), timing=QUICK))
    prepare(app)
    (tmp_path / "received").mkdir()
    job = analysed_by_another_machine(app)
    with app.database.write() as session:
        jobs.finish(session, job, JobState.DONE)
    Clock(app, lambda queue, times: None).tick()
    yield app
    app.close()


def the_report(app: App) -> JobStatus:
    with app.database.read() as session:
        return next(job for job in jobs.all_of(session, "1.2") if job.kind is JobKind.REPORT)


def test_a_database_that_goes_while_a_report_is_ended_uses_up_no_try(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> JobState:
        raise Unavailable("database: server closed the connection unexpectedly")

    monkeypatch.setattr(report, "run", gone)
    IoWork(app, lambda: None).run_due()

    found = the_report(app)
    assert (found.state, found.lost) == (JobState.QUEUED, 0)
    assert found.reason == "database: server closed the connection unexpectedly"


def test_a_report_that_breaks_is_failed_as_soon_as_that_can_be_written(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> JobState:
        raise ValueError("patient DOE^JANE")

    fail, away = report.fail, [Unavailable("database: away")] * 2

    def fail_later(*arguments: object) -> JobState:
        if away:
            raise away.pop()
        return fail(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(report, "run", broken)
    monkeypatch.setattr(report, "fail", fail_later)
    IoWork(app, lambda: None).run_due()

    found = the_report(app)
    assert found.state is JobState.FAILED
    assert found.reason.startswith("unexpected ValueError at test_io.py:")


def test_a_data_folder_that_is_not_mounted_lets_work_wait_and_says_so(app: App, tmp_path: Path) -> None:
    (tmp_path / "received").rmdir()
    with capture_logs() as logs:
        IoWork(app, lambda: None).run_due()

    assert [line["event"] for line in logs] == ["the data folder is empty: is its volume mounted? Work waits"]
    assert the_report(app).attempts == 0


def test_a_step_that_breaks_is_in_the_log_without_its_text_and_the_report_is_made(app: App, tmp_path: Path) -> None:
    with app.database.write() as session:
        session.execute(sa.update(SeriesRow).values(revision=2))  # to be routed again, by rules that nobody can read
        session.execute(sa.update(RuleVersionRow).values(content={"rule": "DOE^JANE"}))
    with capture_logs() as logs:
        IoWork(app, lambda: None).run_due()

    (line,) = [line for line in logs if line["event"] == "routing failed"]
    assert line["log_level"] == "error"
    assert "DOE" not in str(logs)
    assert the_report(app).attempts == 1


def test_a_broker_that_is_away_is_in_the_log_and_delays_only() -> None:
    def ring() -> None:
        raise Unavailable("broker: ConnectionError")

    with capture_logs() as logs:
        ring_quietly(ring)()

    assert logs == [{"event": "no token sent", "reason": "broker: ConnectionError", "log_level": "warning"}]
