"""Queue io: what becomes of a report when the database, or something nobody expected, comes between."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from dicom_ai.app import App, open_app, prepare
from dicom_ai.domain.job import JobKind, JobState
from dicom_ai.domain.prior import Examination, Person
from dicom_ai.errors import Unavailable
from dicom_ai.pipeline import compare, evidence, prior, report, send
from dicom_ai.sections import PriorSettings
from dicom_ai.settings import DestinationSettings, Settings, Storage, Timing
from dicom_ai.storage import jobs
from dicom_ai.storage.jobs import JobStatus
from dicom_ai.storage.outbox import Turn
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


def broken(*_: object) -> None:
    raise ValueError("patient DOE^JANE")


@pytest.mark.parametrize(
    ("module", "step", "said"),
    [
        (compare, "run", "comparing failed"),
        (send, "ask_again", "asking a destination failed"),
        (evidence, "run", "looking for evidence failed"),
    ],
)
def test_every_step_that_breaks_is_named(
    app: App, monkeypatch: pytest.MonkeyPatch, module: ModuleType, step: str, said: str
) -> None:
    monkeypatch.setattr(module, step, broken)
    with capture_logs() as logs:
        IoWork(app, lambda: None).run_due()

    told = [line for line in logs if line["log_level"] == "error" and line["error"] == "ValueError"]
    assert {line["event"] for line in told} == {said}
    assert "DOE" not in str(told)
    assert the_report(app).attempts == 1


def test_a_sending_that_breaks_is_named_with_its_destination_and_given_back(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, given_back = [Turn("pacs", "io", ())], []
    monkeypatch.setattr(send, "claim", lambda *_: turns.pop() if turns else None)
    monkeypatch.setattr(send, "run", broken)
    monkeypatch.setattr(send, "abandon", lambda sender, turn, reason: given_back.append((turn.destination, reason)))
    with capture_logs() as logs:
        IoWork(app, lambda: None).run_due()

    (line,) = [line for line in logs if line["event"] == "sending failed"]
    assert (line["destination"], line["error"]) == ("pacs", "ValueError")
    ((destination, reason),) = given_back
    assert destination == "pacs"
    assert reason.startswith("unexpected ValueError at test_io.py:")


def test_a_look_for_an_earlier_report_that_breaks_keeps_no_report_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prior, "find", broken)
    archive = DestinationSettings(name="pacs", kind="stow_rs", parameters={"url": "http://127.0.0.1"})
    app = open_app(
        Settings(
            storage=Storage(data_dir=tmp_path, reserve_bytes=0),
            destinations=(archive,),
            prior=PriorSettings(archive="pacs"),
        )
    )
    prepare(app)
    with capture_logs() as logs:
        found = IoWork(app, lambda: None)._earlier(Examination(Person("P", "", "19700101", "F"), "1.2", "20260101"))
    app.close()

    assert [line["event"] for line in logs] == ["looking for an earlier report failed"]
    assert found.failed
    assert found.reason.startswith("unexpected ValueError at test_io.py:")


def test_a_warm_up_without_a_folder_for_it_is_in_the_log_and_delays_only(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with capture_logs() as logs:
        IoWork(app, lambda: None).warm_up()

    assert logs == [{"event": "no warm-up", "reason": "No such file or directory", "log_level": "warning"}]


def test_a_broker_that_is_away_is_in_the_log_and_delays_only() -> None:
    def ring() -> None:
        raise Unavailable("broker: ConnectionError")

    with capture_logs() as logs:
        ring_quietly(ring)()

    assert logs == [{"event": "no token sent", "reason": "broker: ConnectionError", "log_level": "warning"}]
