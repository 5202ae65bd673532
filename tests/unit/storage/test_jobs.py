import pytest
import sqlalchemy as sa

from dicom_ai.domain.job import NEXT, Job, JobKind, JobState
from dicom_ai.domain.retries import Retries
from dicom_ai.errors import Unavailable
from dicom_ai.storage import jobs
from dicom_ai.storage.database import Database
from dicom_ai.storage.jobs import NewJob
from dicom_ai.storage.tables import RunRow, StudyRow
from tests.unit.storage.conftest import Clock

RETRIES = Retries(first_s=30, longest_s=3600, maximum=5, give_up_s=1000)


@pytest.fixture
def run_id(database: Database) -> int:
    with database.write() as session:
        session.add(
            StudyRow(
                study_uid="1.2", patient_id="", accession="", study_date="", first_received_at=0, last_received_at=0
            )
        )
        session.flush()
        run = RunRow(study_uid="1.2", number=1, state="collecting", input_digest="", reason="")
        run.created_at = run.changed_at = 0.0
        session.add(run)
        session.flush()
        return run.id


def new(run_id: int, name: str = "a", priority: int = 0) -> NewJob:
    return NewJob(JobKind.ANALYSE, run_id=run_id, study_uid="1.2", identity=(name,), model="cord", priority=priority)


def queue(database: Database, *items: NewJob) -> list[int]:
    with database.write() as session:
        return [jobs.enqueue(session, item) for item in items]


def claim(database: Database, owner: str = "w1") -> Job:
    with database.write() as session:
        job = jobs.claim_next(session, "gpu", owner, 60)
    assert job is not None
    return job


def due(database: Database) -> bool:
    with database.write() as session:
        return bool(jobs.take_due(session, token_gap_s=0))


def state(database: Database, job_id: int) -> JobState:
    with database.read() as session:
        return next(job.state for job in jobs.all_of(session, "1.2") if job.id == job_id)


def test_the_same_work_is_queued_once(database: Database, run_id: int) -> None:
    first, second = queue(database, new(run_id), new(run_id))

    assert first == second


def test_superseded_work_that_is_wanted_again_gets_a_new_job(database: Database, run_id: int) -> None:
    (first,) = queue(database, new(run_id))
    with database.write() as session:
        jobs.supersede(session, [first], reason="newer images")
    second, third = queue(database, new(run_id), new(run_id))

    assert first != second == third


def test_the_highest_priority_goes_first_and_then_the_oldest(database: Database, run_id: int) -> None:
    queued = queue(database, new(run_id, "a"), new(run_id, "b", priority=5), new(run_id, "c", priority=5))

    assert [claim(database).id for _ in queued] == [queued[1], queued[2], queued[0]]


def test_what_is_urgent_goes_first_but_nothing_waits_for_ever(database: Database, run_id: int, clock: Clock) -> None:
    ids = {}
    arrivals = (
        ("routine 0:00", 0, 0),
        ("routine 0:10", 10, 0),
        ("urgent 0:20", 20, 120),
        ("spine rule 0:30", 30, 10),
        ("urgent 1:50", 110, 120),
        ("urgent 2:05", 125, 120),
    )
    started = clock.at
    for name, minute, priority in arrivals:
        clock.at = started + 60 * minute
        (ids[name],) = queue(database, new(run_id, name, priority))
    names = {job_id: name for name, job_id in ids.items()}

    # A point is worth a minute: an urgent study goes before routine ones that came at most two hours earlier.
    assert [names[claim(database).id] for _ in arrivals] == [
        "urgent 0:20",
        "urgent 1:50",
        "routine 0:00",
        "urgent 2:05",
        "routine 0:10",
        "spine rule 0:30",
    ]


def test_a_claimed_job_cannot_be_claimed_again(database: Database, run_id: int) -> None:
    queue(database, new(run_id))
    claim(database)

    with database.write() as session:
        assert jobs.claim_next(session, "gpu", "w2", 60) is None


def test_an_attempt_counts_before_any_work_is_done(database: Database, run_id: int) -> None:
    queue(database, new(run_id))

    assert claim(database).attempts == 1


def test_a_job_whose_worker_stopped_showing_life_is_claimed_by_another(
    database: Database, run_id: int, clock: Clock
) -> None:
    queue(database, new(run_id))
    dead = claim(database, "dead")
    clock.advance(61)
    with database.write() as session:
        assert jobs.sweep(session, maximum_lost=2).requeued == (dead.id,)
    second = claim(database, "w2")

    assert (second.id, second.attempts) == (dead.id, 2)


def test_the_worker_that_lost_its_job_cannot_finish_it(database: Database, run_id: int, clock: Clock) -> None:
    queue(database, new(run_id))
    slow = claim(database, "w1")
    clock.advance(61)
    with database.write() as session:
        jobs.sweep(session, maximum_lost=2)
    again = claim(database, "w1")
    with database.write() as session:
        assert not jobs.finish(session, slow, JobState.FAILED, reason="too late")
        assert not jobs.heartbeat(session, slow, 60)
        assert jobs.finish(session, again, JobState.DONE)
    with database.read() as session:
        assert jobs.finishes(session) == {again.id: 1}
    assert state(database, again.id) is JobState.DONE


def test_a_heartbeat_keeps_a_long_job(database: Database, run_id: int, clock: Clock) -> None:
    queue(database, new(run_id))
    job = claim(database)
    for _ in range(5):
        clock.advance(50)
        with database.write() as session:
            assert jobs.heartbeat(session, job, 60)
            assert jobs.sweep(session, maximum_lost=2).requeued == ()


def test_a_job_that_took_its_worker_down_twice_is_parked_with_the_reason(
    database: Database, run_id: int, clock: Clock
) -> None:
    (job_id,) = queue(database, new(run_id))
    for _ in range(2):
        claim(database)
        clock.advance(61)
        with database.write() as session:
            swept = jobs.sweep(session, maximum_lost=2)
    with database.read() as session:
        (job,) = jobs.all_of(session, "1.2")

    assert swept.parked == (job_id,)
    assert (job.state, job.reason) == (
        JobState.FAILED,
        "parked after taking down 2 workers; the last time: its worker stopped",
    )


def test_an_orderly_stop_does_not_count_as_lost(database: Database, run_id: int) -> None:
    queue(database, new(run_id))
    for _ in range(3):
        claim(database, "w1")
        with database.write() as session:
            assert jobs.release(session, "w1") == 1
    with database.read() as session:
        (job,) = jobs.all_of(session, "1.2")

    assert (job.state, job.lost, job.attempts) == (JobState.QUEUED, 0, 3)


def test_a_worker_known_to_be_dead_need_not_be_waited_for(database: Database, run_id: int) -> None:
    queue(database, new(run_id))
    job = claim(database, "dead")
    with database.write() as session:
        assert jobs.sweep(session, maximum_lost=2, dead_owners=["dead"]).requeued == (job.id,)


def test_a_retry_waits_its_time(database: Database, run_id: int, clock: Clock) -> None:
    queue(database, new(run_id))
    with database.write() as session:
        job = jobs.claim_next(session, "gpu", "w1", 60)
        assert job is not None
        assert jobs.retry(session, job, RETRIES, reason="no room") is JobState.QUEUED
        assert jobs.claim_next(session, "gpu", "w1", 60) is None
    clock.advance(36)  # 30 s, give or take a fifth

    assert claim(database).attempts == 2


def test_what_waits_for_the_world_is_looked_at_every_five_minutes(
    database: Database, run_id: int, clock: Clock
) -> None:
    queue(database, new(run_id))
    waits_s = []
    for _ in range(8):
        job, since = claim(database), clock.at
        with database.write() as session:
            jobs.wait(session, job, RETRIES, reason="disk full")
        while not due(database):
            clock.advance(1)
        waits_s.append(clock.at - since)

    assert 24 <= waits_s[0] <= 37
    assert waits_s == sorted(waits_s)
    assert waits_s[-3:] == [300] * 3


def test_a_worker_that_could_not_be_seen_gets_one_lease_more(database: Database, run_id: int, clock: Clock) -> None:
    """The database was away for longer than a lease: nobody could show life, the dead least of all."""
    queue(database, new(run_id, "a"), new(run_id, "b"))
    alive, dead = claim(database, "alive"), claim(database, "dead")
    clock.advance(600)
    with database.write() as session:
        assert jobs.spare(session, 60, dead_owners=["dead"]) == 1
        assert jobs.sweep(session, maximum_lost=2, dead_owners=["dead"]).requeued == (dead.id,)
    clock.advance(61)
    with database.write() as session:
        assert jobs.sweep(session, maximum_lost=2).requeued == (alive.id,)


def test_a_token_goes_out_once_per_gap(database: Database, run_id: int, clock: Clock) -> None:
    queue(database, new(run_id, "a"), new(run_id, "b"))
    with database.write() as session:
        assert jobs.take_due(session, token_gap_s=10) == {"gpu": 2}
        assert jobs.take_due(session, token_gap_s=10) == {}
    clock.advance(10)
    with database.write() as session:
        assert jobs.take_due(session, token_gap_s=10) == {"gpu": 2}


def test_only_the_moves_of_the_table_are_made(database: Database, run_id: int) -> None:
    queue(database, new(run_id))
    job = claim(database)
    with database.write() as session:
        jobs.finish(session, job, JobState.DONE)

    assert JobState.QUEUED not in NEXT[JobState.DONE]
    with pytest.raises(ValueError, match=r"^a job does not go from done to queued$"), database.write() as session:
        jobs.requeue(session, job.id)


def test_a_failed_job_gets_another_chance(database: Database, run_id: int) -> None:
    queue(database, new(run_id))
    job = claim(database)
    with database.write() as session:
        jobs.finish(session, job, JobState.FAILED, reason="broke")
        jobs.requeue(session, job.id)

    assert state(database, job.id) is JobState.QUEUED


def test_no_table_holds_a_second_row_for_a_key(database: Database, run_id: int) -> None:
    (job_id,) = queue(database, new(run_id))

    with (
        pytest.raises(Unavailable, match=r"^database: another transaction wrote the same row first$"),
        database.write() as session,
    ):
        session.execute(
            sa.text(
                "INSERT INTO jobs SELECT id + 1, kind, queue, key, run_id, study_uid, series_uid, model, rule,"
                " input_digest, priority, state, reason, attempts, lost, owner, lease_until, available_at, token_at,"
                " created_at, finished_at FROM jobs"
            )
        )
    assert state(database, job_id) is JobState.QUEUED
