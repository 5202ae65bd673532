import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from dicom_ai.app import App, open_app, prepare
from dicom_ai.domain.job import Job, JobState
from dicom_ai.domain.received import ReceivedInstance
from dicom_ai.domain.run import Request, Wanted
from dicom_ai.errors import Unavailable
from dicom_ai.settings import Settings, Storage, Timing
from dicom_ai.storage import jobs, runs, studies
from dicom_ai.storage.tables import JobRow
from dicom_ai.worker.clock import Clock

QUICK = Timing(series_quiet_s=0.001, study_quiet_s=0.001, token_gap_s=100, lease_s=60, maximum_lost=1, clock_s=0.01)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = open_app(Settings(storage=Storage(data_dir=tmp_path, reserve_bytes=0), timing=QUICK))
    prepare(app)
    yield app
    app.close()


def receive(app: App) -> None:
    with app.database.write() as session:
        studies.record_instance(
            session,
            ReceivedInstance(
                study_uid="1.2",
                series_uid="1.2.1",
                sop_instance_uid="1.2.1.1",
                sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                sha256="a" * 64,
                size_bytes=1,
                path="x",
                received_at=0.0,
            ),
        )


def route(app: App) -> None:
    with app.database.write() as session:
        runs.plan(session, "1.2", [Wanted("1.2.1", "cord", "m", "i", (Request("cord", shadow=True),))])
        for series in studies.series_of(session, "1.2"):
            studies.mark_routed(session, series, facts=None)


def rung(app: App) -> dict[str, int]:
    rings: dict[str, int] = {}
    Clock(app, lambda queue, times: rings.update({queue: times})).tick()
    return rings


def test_a_quiet_node_rings_for_nothing(app: App) -> None:
    assert rung(app) == {}


def test_a_quiet_series_rings_for_routing(app: App) -> None:
    receive(app)

    assert rung(app) == {"io": 1}


def test_a_queued_analysis_rings_once_per_gap(app: App) -> None:
    receive(app)
    route(app)

    assert rung(app) == {"gpu": 1}
    assert rung(app) == {}


def test_a_finished_analysis_rings_for_its_report(app: App) -> None:
    receive(app)
    route(app)
    with app.database.write() as session:
        job = jobs.claim_next(session, "gpu", "w", 60)
        assert job is not None
        jobs.finish(session, job, JobState.DONE)

    assert rung(app) == {"io": 1}


def analysed_by_another_machine(app: App) -> Job:
    receive(app)
    route(app)
    with app.database.write() as session:
        job = jobs.claim_next(session, "gpu", "w", 60)
    assert job is not None
    return job


def run_out(app: App) -> None:
    """Let every lease run out."""
    with app.database.write() as session:
        session.execute(sa.update(JobRow).values(lease_until=app.database.clock() - 1))


def state(app: App) -> JobState:
    with app.database.read() as session:
        return jobs.all_of(session, "1.2")[0].state


def test_a_lease_that_ran_out_is_swept(app: App) -> None:
    analysed_by_another_machine(app)
    clock = Clock(app, lambda queue, times: None)
    clock.tick()
    run_out(app)

    clock.tick()

    assert state(app) is JobState.FAILED


def test_a_lease_that_ran_out_while_the_clock_saw_no_database_takes_no_worker_for_dead(app: App) -> None:
    """Longer than a lease nobody could show life; one loss would park this job."""
    job = analysed_by_another_machine(app)
    run_out(app)

    Clock(app, lambda queue, times: None).tick()

    assert state(app) is JobState.RUNNING
    with app.database.write() as session:
        assert jobs.finish(session, job, JobState.DONE)


def test_a_broker_that_is_away_does_not_stop_the_clock(app: App) -> None:
    rings = []

    def ring(queue: str, times: int) -> None:
        rings.append(queue)
        raise Unavailable("broker: connection refused")

    receive(app)
    clock = Clock(app, ring)
    clock.start()
    while len(rings) < 1:
        pass
    clock.stop()

    assert rings[0] == "io"


def test_a_wall_clock_that_was_set_back_keeps_nothing_waiting(app: App) -> None:
    """A year ahead by mistake, an image comes, and the clock is put right."""
    wall = app.database.clock
    clock = Clock(app, lambda queue, times: None)
    app.database.clock = lambda: wall() + 365 * 86_400
    clock.tick()
    receive(app)
    app.database.clock = wall

    clock.tick()

    with app.database.read() as session:
        last = studies.last_received_at(session)
    assert last is not None
    assert last <= wall()


def test_a_clock_that_starts_before_the_last_image_was_set_back_while_the_node_was_stopped(app: App) -> None:
    wall = app.database.clock
    app.database.clock = lambda: wall() + 86_400
    receive(app)
    app.database.clock = wall

    Clock(app, lambda queue, times: None).tick()

    with app.database.read() as session:
        last = studies.last_received_at(session)
    assert last is not None
    assert last <= wall()


def test_a_wall_clock_that_was_set_is_in_the_log(app: App) -> None:
    clock, ahead_s = Clock(app, lambda queue, times: None), [0.0]
    app.database.clock = lambda: time.time() + ahead_s[0]
    clock.tick()
    ahead_s[0] = 3600.0
    with capture_logs() as logs:
        clock.tick()

    (line,) = [line for line in logs if line["event"] == "the wall clock was set"]
    assert (line["moved_s"], line["log_level"]) == (3600, "warning")


def test_workers_that_stopped_are_in_the_log_with_their_jobs(app: App) -> None:
    job = analysed_by_another_machine(app)
    clock = Clock(app, lambda queue, times: None)
    clock.tick()
    app.database.clock = lambda: time.time() + 3600
    clock._ahead_s = None  # this clock did not see it
    with capture_logs() as logs:
        clock.tick()

    (line,) = [line for line in logs if line["event"] == "workers stopped"]
    assert (line["requeued"], line["parked"]) == ([], [job.id])


@pytest.mark.parametrize(
    ("error", "level", "event", "told"),
    [
        (Unavailable("broker: away"), "warning", "the clock could not look", {"reason": "broker: away"}),
        (ValueError("DOE^JANE"), "error", "the clock failed", {"error": "ValueError"}),
    ],
)
def test_a_tick_that_fails_is_in_the_log_and_the_clock_goes_on(
    app: App, error: Exception, level: str, event: str, told: dict[str, str]
) -> None:
    receive(app)
    rung_twice = threading.Semaphore(0)

    def ring(queue: str, times: int) -> None:
        rung_twice.release()
        raise error

    clock = Clock(app, ring)
    with capture_logs() as logs:
        clock.start()
        assert all(rung_twice.acquire(timeout=20) for _ in range(2))
        clock.stop()

    line = next(line for line in logs if line["event"] == event)
    assert line["log_level"] == level
    assert told.items() <= line.items()
    assert "DOE" not in str(logs)
