"""The wall clock is set: what waits goes on waiting as long as it would have."""

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.run import Request, RunState, Wanted
from dicom_ai.storage import clock_jump, duties, jobs, runs, studies
from dicom_ai.storage.database import Database
from dicom_ai.storage.tables import DestinationRow, JobRow, OutboxRow, ResultRow, RunRow, SeriesRow, StudyRow
from dicom_ai.storage.watch_tables import ConfirmationRow
from tests.unit.storage.conftest import Clock
from tests.unit.storage.test_studies import IMAGE

HOUR_S, DAY_S = 3600, 86_400
LEASE_S = 60


def work(session: Session) -> None:
    """Keep an image, plan and claim its analysis, and let a result wait for its next try in ten minutes."""
    studies.record_instance(session, IMAGE)
    wanted = [Wanted("1.2.1", "cord", "m", "i", (Request("cord", shadow=False),))]
    run_id = runs.plan(session, "1.2", wanted)
    jobs.claim_next(session, "gpu", "me", LEASE_S)
    at = session.info["clock"]()
    result = {"run_id": run_id, "shadow": False, "slot": "sr", "kind": "SR", "study_uid": "1.2", "series_uid": "9"}
    session.add(ResultRow(id=1, sop_instance_uid="9.1", series_number=1, created_at="", path="x", **result))
    session.add(DestinationRow(name="pacs", failures=1, last_error="", lease_until=at + LEASE_S, owner="me"))
    waiting = {"state": "waiting", "attempts": 1, "queued_at": at, "next_at": at + 600, "last_error": ""}
    session.flush()
    session.add(OutboxRow(result_id=1, run_id=run_id, destination="pacs", **waiting))
    session.flush()


def ask(session: Session) -> None:
    """Let the result be sent and not found at its destination; it is asked for again in ten minutes."""
    at = session.info["clock"]()
    delivery = session.scalars(sa.select(OutboxRow)).one()
    delivery.state, delivery.sent_at = "sent", at
    times = {"next_at": at + 600, "changed_at": at}
    session.add(ConfirmationRow(outbox_id=delivery.id, state="sent", way="c-find", tries=1, reason="", **times))


def times(database: Database) -> dict[str, Any]:
    columns = (JobRow.lease_until, OutboxRow.next_at, OutboxRow.queued_at, DestinationRow.lease_until)
    columns = (*columns, StudyRow.last_received_at, SeriesRow.last_received_at)
    with database.read() as session:
        return {str(column): session.scalar(sa.select(column)) for column in columns}


def test_an_hour_back_every_wait_is_as_long_as_before(database: Database, clock: Clock) -> None:
    with database.write() as session:
        work(session)
    began = clock.at
    clock.advance(-HOUR_S)
    with database.write() as session:
        clock_jump.went_back(session, HOUR_S)

    assert times(database) == {
        "JobRow.lease_until": began - HOUR_S + LEASE_S,
        "OutboxRow.next_at": began - HOUR_S + 600,
        "OutboxRow.queued_at": began - HOUR_S,
        "DestinationRow.lease_until": began - HOUR_S + LEASE_S,
        "StudyRow.last_received_at": began - HOUR_S,
        "SeriesRow.last_received_at": began - HOUR_S,
    }


def test_an_hour_back_an_archive_is_asked_for_what_it_took_when_it_would_have_been(
    database: Database, clock: Clock
) -> None:
    with database.write() as session:
        work(session)
        ask(session)
    clock.advance(-HOUR_S)
    with database.write() as session:
        clock_jump.went_back(session, HOUR_S)

    with database.read() as session:
        assert session.scalar(sa.select(ConfirmationRow.next_at)) == clock.at + 600
        assert session.scalar(sa.select(OutboxRow.sent_at)) == clock.at


def test_a_year_forward_no_lease_and_no_quiet_time_is_over_and_nothing_is_given_up(
    database: Database, clock: Clock
) -> None:
    with database.write() as session:
        work(session)
    year_s = 365 * 24 * HOUR_S
    clock.advance(year_s)
    with database.write() as session:
        clock_jump.went_forward(session, year_s)

    after = times(database)
    assert after["JobRow.lease_until"] == after["DestinationRow.lease_until"] == clock.at + LEASE_S
    assert after["OutboxRow.queued_at"] == after["StudyRow.last_received_at"] == clock.at
    with database.write() as session:
        assert jobs.sweep(session, maximum_lost=1) == jobs.Swept((), ())


@pytest.mark.parametrize("jump_s", [12 * HOUR_S, -12 * HOUR_S])
def test_a_report_waits_for_an_analysis_as_long_as_without_the_jump(
    database: Database, clock: Clock, jump_s: float
) -> None:
    """Forward, it would be reported at once with what there is; back, only after half a day more."""
    patience = runs.Patience(study_quiet_s=10, association_stale_s=5, limit_s=100)
    with database.write() as session:
        work(session)
        session.execute(sa.update(SeriesRow).values(routed_revision=SeriesRow.revision))
    clock.advance(jump_s)
    with database.write() as session:
        (clock_jump.went_forward if jump_s > 0 else clock_jump.went_back)(session, abs(jump_s))

    found = []
    for _ in range(2):
        clock.advance(100)
        with database.write() as session:
            runs.begin_due_reports(session, patience)
            found.append(session.scalars(sa.select(RunRow.state)).one())
    assert found == [RunState.COLLECTING, RunState.REPORTING]


def test_a_year_back_a_duty_is_taken_from_one_who_died_with_it_after_a_lease(database: Database, clock: Clock) -> None:
    """Else nobody would raise alarms, or ask archives, for a year."""
    year_s = 365 * DAY_S
    with database.write() as session:
        assert duties.take(session, "watch", "dead", lease_s=LEASE_S)
    clock.advance(-year_s)
    with database.write() as session:
        clock_jump.went_back(session, year_s)

    found = []
    for _ in range(2):
        clock.advance(0.6 * LEASE_S)
        with database.write() as session:
            found.append(duties.take(session, "watch", "alive", lease_s=LEASE_S) is not None)
    assert found == [False, True]


def test_what_is_long_over_stays_where_it_is(database: Database, clock: Clock) -> None:
    with database.write() as session:
        studies.record_instance(session, IMAGE)
    before = times(database)
    clock.advance(10 * 24 * HOUR_S)
    with database.write() as session:
        assert clock_jump.went_forward(session, HOUR_S) == 0
        assert clock_jump.went_back(session, HOUR_S) == 0

    assert times(database) == before


def may_delete(database: Database) -> bool:
    with database.write() as session:
        return clock_jump.may_delete(session)


def test_nothing_is_deleted_within_a_day_after_the_clock_went_forward_also_by_a_process_started_since(
    database: Database, clock: Clock
) -> None:
    assert may_delete(database)
    clock.advance(365 * DAY_S)
    with database.write() as session:
        clock_jump.went_forward(session, 365 * DAY_S)
    found = [may_delete(database)]
    for _ in range(25):
        clock.advance(HOUR_S)
        found.append(may_delete(database))

    assert found == [False] * 24 + [True] * 2


def test_a_node_that_was_off_for_more_than_a_day_deletes_nothing_on_its_first(database: Database, clock: Clock) -> None:
    """Whether the clock was set meanwhile cannot be known; a night off is no reason."""
    assert may_delete(database)
    clock.advance(DAY_S / 2)
    assert may_delete(database)
    clock.advance(4 * DAY_S)

    assert not may_delete(database)
    clock.advance(DAY_S)
    assert may_delete(database)


def test_a_clock_that_was_put_right_again_keeps_things_for_a_day_not_for_a_year(
    database: Database, clock: Clock
) -> None:
    may_delete(database)
    for step in (365 * DAY_S, -365 * DAY_S):
        clock.advance(step)
        with database.write() as session:
            (clock_jump.went_forward if step > 0 else clock_jump.went_back)(session, abs(step))

    assert not may_delete(database)
    clock.advance(DAY_S)
    assert may_delete(database)
