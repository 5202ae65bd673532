from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from dicom_ai.domain.job import Job, JobState
from dicom_ai.domain.received import ReceivedInstance
from dicom_ai.domain.result import ResultIdentity, ResultKind, ResultObject
from dicom_ai.domain.run import Request, RunState, Wanted
from dicom_ai.storage import audit, holds, jobs, outbox, results, runs, studies
from dicom_ai.storage.database import Database
from dicom_ai.storage.outbox import OutboxState
from dicom_ai.storage.runs import Patience
from tests.unit.storage.conftest import Clock

PATIENCE = Patience(study_quiet_s=600, association_stale_s=60, limit_s=3600)
CORD = Wanted("1.2.1", "cord", "m" * 64, "i" * 64, (Request("cord", False, ("pacs",), ("seg", "sr")),))
SPINE = Wanted("1.2.2", "spine", "m" * 64, "j" * 64, (Request("spine", False, ("pacs",), ("sr",)),))


def receive(database: Database, number: int = 1, series_uid: str = "1.2.1") -> None:
    with database.write() as session:
        studies.record_instance(
            session,
            ReceivedInstance(
                study_uid="1.2",
                series_uid=series_uid,
                sop_instance_uid=f"{series_uid}.{number}",
                sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                sha256=f"{number:064x}",
                size_bytes=1,
                path=f"{series_uid}/{number}",
                received_at=0.0,
            ),
        )


def routed(database: Database, *wanted: Wanted) -> int | None:
    with database.write() as session:
        run_id = runs.plan(session, "1.2", wanted)
        for series in studies.series_of(session, "1.2"):
            studies.mark_routed(session, series, facts=None)
    return run_id


def work(database: Database, queue: str = "gpu", state: JobState = JobState.DONE) -> Job:
    with database.write() as session:
        job = jobs.claim_next(session, queue, "w", 60)
        assert job is not None
        if queue == "gpu":
            assert jobs.finish(session, job, state, reason="" if state is JobState.DONE else "because")
    return job


def begin(database: Database) -> list[int]:
    with database.write() as session:
        return list(runs.begin_due_reports(session, PATIENCE))


def identity(run: int, uid: str) -> ResultIdentity:
    return ResultIdentity(ResultKind.SR, f"9.{uid}", uid, 9001, run, datetime(2026, 1, 1, tzinfo=UTC), slot="sr")


def report(database: Database, run: int, uid: str) -> int:
    """Report a run with one SR for one destination; return the delivery's id."""
    job = work(database, "io")
    with database.write() as session:
        plan = results.save_identities(session, job.run_id, {"sr": identity(run, uid)}, shadow=False)
        item = ResultObject(plan["sr"], "1.2.840.10008.5.1.4.1.1.88.34", "1.2", "", Path("x"))
        assert runs.reported(session, job, {"on": {}})
        result_id = results.written(session, job.run_id, item, path="results/x.dcm")
        outbox.add(session, result_id=result_id, run_id=job.run_id, destination="pacs")
    return result_id


def all_reasons(database: Database) -> list[str]:
    with database.read() as session:
        return [run.reason for run in runs.all_of(session, "1.2")]


def all_states(database: Database) -> list[RunState]:
    with database.read() as session:
        return [run.state for run in runs.all_of(session, "1.2")]


def test_a_study_without_a_taken_series_has_no_run(database: Database) -> None:
    receive(database)

    assert routed(database) is None


def test_routing_the_same_again_changes_nothing(database: Database) -> None:
    receive(database)
    first = routed(database, CORD)
    again = routed(database, CORD)

    assert first == again
    with database.read() as session:
        assert len(jobs.all_of(session, "1.2")) == 1


def test_a_series_and_model_is_one_job_whatever_the_number_of_rules(database: Database) -> None:
    receive(database)
    both = replace(CORD, requests=(*CORD.requests, Request("cord 2", True)))
    routed(database, CORD)
    routed(database, both)

    with database.read() as session:
        assert len(jobs.all_of(session, "1.2")) == 1


def test_a_late_image_before_the_report_supersedes_the_job_within_the_same_run(database: Database) -> None:
    receive(database)
    routed(database, CORD)
    receive(database, 2)
    routed(database, replace(CORD, input_digest="k" * 64))

    with database.read() as session:
        assert [job.state for job in jobs.all_of(session, "1.2")] == [JobState.SUPERSEDED, JobState.QUEUED]
    assert all_states(database) == [RunState.COLLECTING]


def test_a_report_begins_when_the_study_is_quiet_and_every_analysis_has_ended(database: Database, clock: Clock) -> None:
    receive(database)
    receive(database, series_uid="1.2.2")
    run_id = routed(database, CORD, SPINE)
    work(database)
    clock.advance(600)
    assert begin(database) == []

    work(database, state=JobState.REFUSED)
    assert begin(database) == [run_id]
    with database.read() as session:
        task = runs.report_task(session, run_id or 0)
    assert task is not None
    assert task.complete
    assert [(member.series_uid, member.state) for member in task.members] == [
        ("1.2.1", JobState.DONE),
        ("1.2.2", JobState.REFUSED),
    ]


def test_no_report_begins_before_the_study_is_quiet(database: Database, clock: Clock) -> None:
    receive(database)
    routed(database, CORD)
    work(database)
    clock.advance(599)

    assert begin(database) == []


def test_a_rule_may_choose_a_shorter_quiet_time(database: Database, clock: Clock) -> None:
    receive(database)
    run_id = routed(database, CORD)
    work(database)
    with database.write() as session:
        studies.release_routing(session, "1.2", quiet_s=60)
    clock.advance(60)

    assert begin(database) == [run_id]


def test_no_report_begins_while_a_series_waits_for_routing(database: Database, clock: Clock) -> None:
    receive(database)
    routed(database, CORD)
    work(database)
    receive(database, series_uid="1.2.2")
    clock.advance(10_000)

    assert begin(database) == []


def test_after_the_limit_a_report_is_made_with_what_there_is(database: Database, clock: Clock) -> None:
    receive(database)
    receive(database, series_uid="1.2.2")
    run_id = routed(database, CORD, SPINE)
    work(database)
    clock.advance(600 + 3600)

    assert begin(database) == [run_id]
    with database.read() as session:
        task = runs.report_task(session, run_id or 0)
    assert task is not None
    assert not task.complete
    assert [member.series_uid for member in task.members] == ["1.2.1"]
    assert [member.series_uid for member in task.missing] == ["1.2.2"]


def test_what_a_partial_report_lacked_makes_a_full_one_when_it_is_done(database: Database, clock: Clock) -> None:
    receive(database)
    receive(database, series_uid="1.2.2")
    routed(database, CORD, SPINE)
    work(database)
    clock.advance(600 + 3600)
    begin(database)
    report(database, 1, "1")
    with database.write() as session:
        assert runs.reopen_partial(session) == []
    work(database)
    with database.write() as session:
        (second,) = runs.reopen_partial(session)

    assert begin(database) == [second]
    with database.read() as session:
        task = runs.report_task(session, second)
    assert task is not None
    assert (task.number, task.complete, len(task.members)) == (2, True, 2)
    assert all_reasons(database) == ["first images", "analyses that a partial report lacked have ended"]


def test_a_late_image_after_the_report_makes_a_new_run_that_keeps_the_unchanged_analysis(
    database: Database, clock: Clock
) -> None:
    receive(database)
    receive(database, series_uid="1.2.2")
    routed(database, CORD, SPINE)
    work(database)
    work(database)
    clock.advance(600)
    begin(database)
    report(database, 1, "1")
    receive(database, 2, series_uid="1.2.2")
    routed(database, CORD, replace(SPINE, input_digest="k" * 64))

    assert all_states(database) == [RunState.SUPERSEDED, RunState.COLLECTING]
    with database.read() as session:
        assert [job.state for job in jobs.all_of(session, "1.2") if job.series_uid] == [
            JobState.DONE,
            JobState.SUPERSEDED,
            JobState.QUEUED,
        ]
        assert outbox.counts(session) == {OutboxState.CANCELLED: 1}


def test_a_sent_object_is_named_as_the_predecessor_and_an_unsent_one_is_not(database: Database, clock: Clock) -> None:
    receive(database)
    routed(database, CORD)
    work(database)
    clock.advance(600)
    begin(database)
    delivery = report(database, 1, "1")
    with database.read() as session:
        assert results.predecessors(session, "1.2") == {}
    with database.write() as session:
        outbox.sent(session, delivery)
    with database.read() as session:
        assert results.predecessors(session, "1.2") == {"sr": ("1.2", "9.1", "1")}


def test_a_late_image_that_no_rule_takes_makes_no_new_report(database: Database, clock: Clock) -> None:
    receive(database)
    routed(database, CORD)
    work(database)
    clock.advance(600)
    begin(database)
    report(database, 1, "1")
    receive(database, series_uid="1.2.9")
    routed(database, CORD)

    assert all_states(database) == [RunState.REPORTED]


def test_a_report_that_was_superseded_while_it_was_written_counts_for_nothing(database: Database, clock: Clock) -> None:
    receive(database)
    routed(database, CORD)
    work(database)
    clock.advance(600)
    begin(database)
    job = work(database, "io")
    receive(database, 2)
    routed(database, replace(CORD, input_digest="k" * 64))

    with database.write() as session:
        assert not runs.reported(session, job, {})
    assert all_states(database) == [RunState.SUPERSEDED, RunState.COLLECTING]
    assert all_reasons(database) == ["first images", "newer images or rules replaced it"]


def test_a_second_try_of_a_report_finds_the_identities_of_the_first(database: Database, clock: Clock) -> None:
    receive(database)
    run_id = routed(database, CORD) or 0
    with database.write() as session:
        first = results.save_identities(session, run_id, {"sr": identity(1, "1")}, shadow=False)
    with database.write() as session:
        second = results.save_identities(session, run_id, {"sr": identity(1, "2")}, shadow=False)

    assert second == first


def test_a_report_that_was_parked_ends_its_run(database: Database, clock: Clock) -> None:
    receive(database)
    run_id = routed(database, CORD)
    work(database)
    clock.advance(600)
    begin(database)
    work(database, "io")
    clock.advance(61)
    with database.write() as session:
        jobs.sweep(session, maximum_lost=1)
        assert runs.settle_parked(session) == [run_id]

    assert all_states(database) == [RunState.REPORTED]
    assert all_reasons(database) == ["its report was parked"]
    with database.read() as session:
        last = audit.events(session)[-1]
    assert (last.actor, last.action, last.subject) == ("clock", "report parked", f"run {run_id}")


def test_a_fourth_report_of_a_study_waits_for_a_person(database: Database, clock: Clock) -> None:
    receive(database)
    states = []
    for number in range(1, 5):
        routed(database, replace(CORD, input_digest=f"{number:064x}"))
        clock.advance(601)
        work(database)
        assert begin(database)
        report(database, number, f"9.9.{number}")
        with database.write() as session:
            runs.hold_version(session, number, most=3)
            turn = outbox.claim(session, "s", known=("pacs",), lease_s=60)
            states.append(turn is not None)
            for delivery in turn.deliveries if turn else ():
                outbox.sent(session, delivery.id)
            if turn:
                outbox.end(session, turn)
    with database.read() as session:
        (held,) = holds.open_now(session)

    assert states == [True, True, True, False]
    assert (held.kind, held.run_id, held.held) == (holds.HoldKind.VERSIONS, 4, 1)
    assert held.reason == "3 reports of this study have left already; more need a person's word"
