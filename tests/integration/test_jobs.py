"""Jobs under kill -9 and under load, on SQLite and on PostgreSQL, with worker processes and a real broker."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

from dicom_ai.app import App, open_app, prepare
from dicom_ai.dicom.headers import read_paths
from dicom_ai.domain.job import JobState
from dicom_ai.domain.received import ReceivedInstance
from dicom_ai.domain.run import Request, Wanted
from dicom_ai.errors import Unavailable
from dicom_ai.node import WorkPart
from dicom_ai.settings import Settings
from dicom_ai.storage import jobs, runs, schema, studies
from dicom_ai.worker.celery_app import MEMORY, Bell
from dicom_ai.worker.clock import Clock
from tests import builders
from tests.integration.models_that_fail import CRASHES, HANGS, FailingModels
from tests.integration.servers import redis_server
from tests.integration.sizes import SIZES, as_toml, settings_of, settings_with
from tests.peers import REPOSITORY, free_port


@pytest.fixture(params=SIZES)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    with settings_of(request.param, tmp_path / "data") as settings:
        yield settings


@pytest.fixture
def app(settings: Settings) -> Iterator[App]:
    app = open_app(settings)
    prepare(app)
    yield app
    app.close()


@contextmanager
def worker(settings: Settings, folder: Path, *, seconds: float) -> Iterator[subprocess.Popen]:
    """Run a worker process of queue gpu until the block ends."""
    config = as_toml(settings, folder / "node.toml")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.gpu_worker", str(config), str(seconds)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout:
            process.stdout.close()


@contextmanager
def clock(app: App) -> Iterator[None]:
    ticking = Clock(app, Bell(app.settings.workers.broker_url).ring)
    ticking.start()
    try:
        yield
    finally:
        ticking.stop()


def queue(app: App, analyses: int, *, tmp_path: Path, models: Sequence[str] = ()) -> str:
    """Put one small series in the node and ask for so many analyses of it, or for these; return the study UID."""
    paths = builders.write(builders.mr_series(np.full((4, 8, 8), 1000, np.uint16)), tmp_path / "in")
    (series,) = read_paths(paths).series
    for number, instance in enumerate(series.instances):
        assert instance.path is not None
        relative = f"received/{number}.dcm"
        app.files.save(instance.path.read_bytes(), relative)
        with app.database.write() as session:
            studies.record_instance(
                session,
                ReceivedInstance(
                    study_uid=series.study_uid,
                    series_uid=series.series_uid,
                    sop_instance_uid=instance.sop_instance_uid,
                    sop_class_uid=instance.sop_class_uid,
                    transfer_syntax_uid=instance.transfer_syntax_uid,
                    sha256=f"{number:064x}",
                    size_bytes=1,
                    path=relative,
                    received_at=0.0,
                ),
            )
    request = (Request("cord", shadow=True),)
    names = models or [f"model-{number}" for number in range(analyses)]
    wanted = [Wanted(series.series_uid, name, "m", "i", request) for name in names]
    with app.database.write() as session:
        runs.plan(session, series.study_uid, wanted)
        for kept in studies.series_of(session, series.study_uid):
            studies.mark_routed(session, kept, facts=None)
    return series.study_uid


def states(app: App) -> dict[JobState, int]:
    with app.database.read() as session:
        return {state: number for state, number in jobs.counts(session).items()}


def wait_for(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def analysed(app: App) -> int:
    return states(app).get(JobState.DONE, 0)


def test_the_migrations_make_the_tables_of_this_release(app: App) -> None:
    assert schema.drift(app.database) == []

    schema.downgrade(app.database, to="base")
    schema.upgrade(app.database)

    assert schema.drift(app.database) == []


def test_a_job_whose_worker_is_killed_is_finished_once_by_another(app: App, settings: Settings, tmp_path: Path) -> None:
    study_uid = queue(app, 1, tmp_path=tmp_path)
    with clock(app):
        with worker(settings, tmp_path, seconds=60) as doomed:
            wait_for(lambda: states(app) == {JobState.RUNNING: 1})
            doomed.kill()
            doomed.wait(30)
        with worker(settings, tmp_path, seconds=0):
            wait_for(lambda: analysed(app) == 1)

    with app.database.read() as session:
        (job,) = [job for job in jobs.all_of(session, study_uid) if job.model]
        assert (job.attempts, job.lost) == (2, 1)
        assert jobs.finishes(session)[job.id] == 1
    assert [path.name for path in app.analyses.iterdir()] == [f"{job.id}-2"]


def test_an_orderly_stop_puts_the_job_back_without_counting_it_as_lost(
    app: App, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_uid = queue(app, 1, tmp_path=tmp_path)
    with clock(app):
        with worker(settings, tmp_path, seconds=2):
            wait_for(lambda: states(app) == {JobState.RUNNING: 1})
        wait_for(lambda: analysed(app) == 1 or states(app) == {JobState.QUEUED: 1})
        with worker(settings, tmp_path, seconds=0):
            wait_for(lambda: analysed(app) == 1)

    with app.database.read() as session:
        (job,) = [job for job in jobs.all_of(session, study_uid) if job.model]
        assert job.lost == 0


def test_three_hundred_jobs_are_each_done_once_by_two_workers(app: App, settings: Settings, tmp_path: Path) -> None:
    queue(app, 300, tmp_path=tmp_path)
    with worker(settings, tmp_path, seconds=0), worker(settings, tmp_path, seconds=0), clock(app):
        wait_for(lambda: analysed(app) >= 300, seconds=180)

    with app.database.read() as session:
        finishes = jobs.finishes(session)
    assert {number for number in finishes.values()} == {1}
    assert len(list(app.analyses.iterdir())) == 300


BAD_AND_GOOD = (HANGS, CRASHES, "cord")


def check_bad_and_good(app: App, study_uid: str) -> None:
    """Assert that both bad models were parked after two processes, with the reason, and the good one is done."""
    with app.database.read() as session:
        ended = {job.model: job for job in jobs.all_of(session, study_uid) if job.model}
    assert (ended["cord"].state, ended["cord"].lost) == (JobState.DONE, 0)
    for model, reason in ((HANGS, "running hangs took longer than 1 s"), (CRASHES, "signal SIGSEGV")):
        assert (ended[model].state, ended[model].attempts, ended[model].lost) == (JobState.FAILED, 2, 2)
        assert ended[model].reason.startswith("parked after taking down 2 workers; the last time: ")
        assert reason in ended[model].reason


def ended(app: App, number: int) -> bool:
    return states(app).get(JobState.DONE, 0) + states(app).get(JobState.FAILED, 0) >= number


def test_models_that_hang_or_crash_are_parked_and_the_worker_goes_on(tmp_path: Path) -> None:
    with redis_server() as broker_url:
        settings = settings_with(tmp_path / "data", broker_url)
        app = open_app(settings)
        prepare(app)
        study_uid = queue(app, 0, tmp_path=tmp_path, models=BAD_AND_GOOD)
        with worker(settings, tmp_path, seconds=0) as process, clock(app):
            wait_for(lambda: ended(app, len(BAD_AND_GOOD)))
            assert process.poll() is None
        check_bad_and_good(app, study_uid)
        app.close()


def test_models_that_hang_or_crash_are_parked_in_a_node_of_one_process_too(tmp_path: Path) -> None:
    app = open_app(settings_with(tmp_path / "data", MEMORY))
    prepare(app)
    study_uid = queue(app, 0, tmp_path=tmp_path, models=BAD_AND_GOOD)
    part = WorkPart(app, open_models=FailingModels)
    part.start()
    with clock(app):
        wait_for(lambda: ended(app, len(BAD_AND_GOOD)))
        assert part.alive
    assert part.stop()
    check_bad_and_good(app, study_uid)
    app.close()


def test_a_broker_that_was_away_does_not_stop_the_work(tmp_path: Path) -> None:
    port = free_port()
    settings = settings_with(tmp_path / "data", f"redis://127.0.0.1:{port}/0")
    app = open_app(settings)
    prepare(app)
    with ExitStack() as stack:
        broker = stack.enter_context(ExitStack())
        broker.enter_context(redis_server(port))
        stack.enter_context(worker(settings, tmp_path, seconds=0))
        stack.enter_context(clock(app))
        broker.close()
        with pytest.raises(Unavailable, match="broker"):
            Bell(settings.workers.broker_url).ring("gpu")
        queue(app, 3, tmp_path=tmp_path)
        stack.enter_context(redis_server(port))
        wait_for(lambda: analysed(app) >= 3, seconds=90)
    app.close()
