"""Queue gpu: what a job waits for, before any model runs."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dicom_ai.app import App, open_app, prepare
from dicom_ai.domain.job import JobState
from dicom_ai.inference.registry import ModelStore
from dicom_ai.pipeline import analyse
from dicom_ai.settings import Settings, Storage, Timing
from dicom_ai.storage import jobs
from dicom_ai.worker.gpu import GpuWork
from tests.unit.worker.test_clock import receive, route


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A node in which an analysis by the model "cord" is due."""
    timing = Timing(series_quiet_s=0.001, study_quiet_s=0.001)
    app = open_app(Settings(storage=Storage(data_dir=tmp_path / "data", reserve_bytes=0), timing=timing))
    prepare(app)
    (tmp_path / "data" / "received").mkdir()
    receive(app)
    route(app)
    yield app
    app.close()


def test_a_model_folder_that_is_gone_uses_up_no_try(app: App, tmp_path: Path) -> None:
    """The job waits; its model may be on a volume that is not mounted."""
    work = GpuWork(app, partial(ModelStore, tmp_path / "models"))
    work.run_due()
    work.stop()

    with app.database.read() as session:
        (job,) = jobs.all_of(session, "1.2")
    assert (job.state, job.attempts, job.lost) == (JobState.QUEUED, 1, 0)
    assert job.reason.endswith("no model 'cord'; there is none")


def test_a_data_folder_that_is_not_mounted_lets_work_wait_and_says_so(app: App, tmp_path: Path) -> None:
    (tmp_path / "data" / "received").rmdir()
    work = GpuWork(app, partial(ModelStore, tmp_path / "models"))
    with capture_logs() as logs:
        work.run_due()
    work.stop()

    assert [line["event"] for line in logs] == ["the data folder is empty: is its volume mounted? Work waits"]
    with app.database.read() as session:
        assert jobs.all_of(session, "1.2")[0].attempts == 0


def test_a_model_that_does_not_load_is_refused_at_the_start_by_name(app: App, tmp_path: Path) -> None:
    (tmp_path / "models" / "torn").mkdir(parents=True)
    (tmp_path / "models" / "torn" / "model.toml").write_text("")
    work = GpuWork(app, partial(ModelStore, tmp_path / "models"))
    with capture_logs() as logs:
        runs_on = work.warm_up()
    work.stop()

    (line,) = logs
    assert (line["event"], line["model"], line["log_level"]) == ("model refused", "torn", "error")
    assert runs_on == {"torn": f"refused: {line['reason']}"}


def test_an_analysis_that_breaks_is_failed_and_in_the_log_without_its_text(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> JobState:
        raise ValueError("patient DOE^JANE")

    monkeypatch.setattr(analyse, "run", broken)
    work = GpuWork(app, partial(ModelStore, tmp_path / "models"))
    with capture_logs() as logs:
        work.run_due()
    work.stop()

    (line,) = logs
    assert (line["event"], line["log_level"], line["error"]) == ("analysis failed", "error", "ValueError")
    assert "DOE" not in str(line)
    with app.database.read() as session:
        (job,) = jobs.all_of(session, "1.2")
    assert job.state is JobState.FAILED
    assert job.reason.startswith("unexpected ValueError at test_gpu.py:")
