"""Holds: what they cover, how they end, and that they are written down."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicom_ai.domain.result import ResultIdentity, ResultKind, ResultObject
from dicom_ai.domain.run import Request, RunState, Wanted
from dicom_ai.storage import audit, holds, outbox, results, runs, studies, withdrawals
from dicom_ai.storage.database import Database
from dicom_ai.storage.holds import Decision, Hold, HoldKind, NewHold
from dicom_ai.storage.runs import Patience
from tests.unit.storage.conftest import Clock
from tests.unit.storage.test_runs import receive

NECK = Request("neck", False, ("pacs", "copy"), ("seg", "sr"))
WANTED = Wanted("1.2.1", "cord", "m", "i", (NECK,))
SEG, SR = "9.1.1", "9.2.1"
SOON = Patience(study_quiet_s=0, association_stale_s=180, limit_s=0)


@pytest.fixture
def waiting(database: Database) -> Database:
    """A run whose SEG and SR wait for the destinations pacs and copy."""
    receive(database)
    with database.write() as session:
        run_id = runs.plan(session, "1.2", [WANTED]) or 0
        for series in studies.series_of(session, "1.2"):
            studies.mark_routed(session, series, facts=None)
        for kind, uid, slot in ((ResultKind.SEG, SEG, "seg:cord:1.2.1"), (ResultKind.SR, SR, "sr")):
            identity = ResultIdentity(kind, uid[:-2], uid, 9000, 1, datetime(2026, 1, 1, tzinfo=UTC), slot=slot)
            results.save_identities(session, run_id, {slot: identity}, shadow=False)
            result = results.written(
                session, run_id, ResultObject(identity, "1.1", "1.2", "", Path("x")), path=f"{kind}.dcm"
            )
            for destination in ("pacs", "copy"):
                outbox.add(session, result_id=result, run_id=run_id, destination=destination)
    return database


def hold(database: Database, new: NewHold) -> int:
    with database.write() as session:
        return holds.hold(session, new, who="node")


def decide(database: Database, hold_id: int, decision: Decision) -> Hold:
    with database.write() as session:
        return holds.decide(session, hold_id, decision, who="anna", why="looked at it")


def due(database: Database) -> set[tuple[str, str]]:
    """Take the turn at every destination and give it back; return what would have been sent where."""
    found: set[tuple[str, str]] = set()
    with database.write() as session:
        for destination in ("pacs", "copy"):
            turn = outbox.claim(session, "s", known=(destination,), lease_s=60)
            if turn is not None:
                found |= {(destination, item.sop_instance_uid) for item in turn.deliveries}
                outbox.end(session, turn)
    return found


EVERYTHING = {("pacs", SEG), ("pacs", SR), ("copy", SEG), ("copy", SR)}


def test_a_hold_of_a_study_keeps_all_its_results(waiting: Database) -> None:
    hold(waiting, NewHold(HoldKind.PATIENTS, "1.2", "two patients"))

    assert due(waiting) == set()


def test_a_hold_of_a_destination_lets_the_other_one_have_its_results(waiting: Database) -> None:
    hold(waiting, NewHold(HoldKind.DESTINATION, "1.2", "study unknown there", destination="pacs"))

    assert due(waiting) == {("copy", SEG), ("copy", SR)}


def test_a_hold_of_a_result_lets_the_others_go(waiting: Database) -> None:
    with waiting.read() as session:
        result_id, _ = results.find(session, SEG, Path())
    hold(waiting, NewHold(HoldKind.FINDING, "1.2", "no such area", result_id=result_id))

    assert due(waiting) == {("pacs", SR), ("copy", SR)}


def test_a_hold_of_another_study_or_run_keeps_nothing(waiting: Database) -> None:
    hold(waiting, NewHold(HoldKind.FINDING, "1.3", "no such area"))

    assert due(waiting) == EVERYTHING


def test_a_notice_keeps_nothing_and_is_shown_until_it_is_seen(waiting: Database) -> None:
    notice = hold(waiting, NewHold(HoldKind.CORRECTION, "1.2", "birth date changed", blocks=False))

    assert due(waiting) == EVERYTHING
    with waiting.read() as session:
        assert [item.id for item in holds.open_now(session)] == [notice]
    decide(waiting, notice, Decision.SEEN)
    with waiting.read() as session:
        assert holds.open_now(session) == ()


def test_a_release_gives_the_results_their_whole_time_again(waiting: Database, clock: Clock) -> None:
    held = hold(waiting, NewHold(HoldKind.FINDING, "1.2", "no such area", run_id=1))
    clock.advance(400_000)  # longer than sending is tried
    before = decide(waiting, held, Decision.RELEASE)

    assert before.held == 4
    with waiting.write() as session:
        turn = outbox.claim(session, "s", known=("pacs",), lease_s=60)
    assert turn is not None
    assert {item.queued_at for item in turn.deliveries} == {clock()}


def test_what_is_discarded_never_leaves(waiting: Database) -> None:
    held = hold(waiting, NewHold(HoldKind.DESTINATION, "1.2", "study unknown there", destination="pacs"))
    decide(waiting, held, Decision.DISCARD)

    assert due(waiting) == {("copy", SEG), ("copy", SR)}
    with waiting.read() as session:
        assert outbox.counts(session)[outbox.OutboxState.CANCELLED] == 2


def test_the_same_doubt_is_one_hold_with_the_newest_reason(waiting: Database, clock: Clock) -> None:
    first = hold(waiting, NewHold(HoldKind.DESTINATION, "1.2", "study unknown there", destination="pacs"))
    clock.advance(60)
    second = hold(waiting, NewHold(HoldKind.DESTINATION, "1.2", "other PatientID there", destination="pacs"))

    with waiting.read() as session:
        (found,) = holds.open_now(session)
    assert first == second == found.id
    assert (found.reason, found.since) == ("other PatientID there", clock() - 60)


def test_a_newer_run_ends_the_holds_of_the_one_it_replaces(waiting: Database, clock: Clock) -> None:
    clock.advance(1000)
    with waiting.write() as session:
        runs.begin_due_reports(session, SOON)  # run 1 reports, so that the next wish makes run 2
    held = hold(waiting, NewHold(HoldKind.FINDING, "1.2", "no such area", run_id=1))
    with waiting.write() as session:
        runs.plan(session, "1.2", [Wanted("1.2.1", "cord", "m", "other images", (NECK,))])
        found = holds.find(session, held)

    assert found is not None
    assert found.decision == holds.LAPSED
    with waiting.read() as session:
        told = [event for event in audit.events(session) if event.action == "run superseded"]
    assert [(event.subject, event.detail) for event in told] == [("run 1", {"cancelled_deliveries": 4})]


def test_a_cause_that_is_gone_ends_its_hold(waiting: Database) -> None:
    hold(waiting, NewHold(HoldKind.DESTINATION, "1.2", "study unknown there", destination="pacs"))
    with waiting.write() as session:
        holds.settle(session, HoldKind.DESTINATION, "1.2", destination="pacs", why="the archive knows it now")

    assert due(waiting) == EVERYTHING


def test_no_report_begins_while_its_whole_study_is_held(waiting: Database, clock: Clock) -> None:
    held = hold(waiting, NewHold(HoldKind.CONFLICT, "1.2", "other pixels under a known UID"))
    clock.advance(1000)
    with waiting.write() as session:
        assert runs.begin_due_reports(session, SOON) == []
    decide(waiting, held, Decision.FIRST)
    with waiting.write() as session:
        assert runs.begin_due_reports(session, SOON) == [1]
        assert runs.all_of(session, "1.2")[0].state is RunState.REPORTING


@pytest.mark.parametrize(
    ("kind", "decision"), [(HoldKind.CONFLICT, Decision.RELEASE), (HoldKind.FINDING, Decision.FIRST)]
)
def test_a_decision_the_kind_does_not_know_is_refused(waiting: Database, kind: HoldKind, decision: Decision) -> None:
    held = hold(waiting, NewHold(kind, "1.2", "why"))

    with pytest.raises(ValueError, match="is decided by"):
        decide(waiting, held, decision)


def test_a_hold_is_decided_once_and_both_ends_are_in_the_audit_trail(waiting: Database) -> None:
    held = hold(waiting, NewHold(HoldKind.FINDING, "1.2", "no such area", detail={"PatientID": "P1"}))
    decide(waiting, held, Decision.RELEASE)

    with pytest.raises(ValueError, match=f"no open hold {held}"):
        decide(waiting, held, Decision.RELEASE)
    with waiting.read() as session:
        trail = [event for event in audit.events(session) if event.action in ("held", "hold ended")]
    assert [(event.actor, event.action) for event in trail] == [("node", "held"), ("anna", "hold ended")]
    assert not any("P1" in str(event.detail) for event in trail)


def run_of(database: Database) -> int:
    with database.read() as session:
        (run,) = runs.all_of(session, "1.2")
    return run.id


def test_a_hold_ends_when_all_it_held_was_withdrawn(waiting: Database) -> None:
    run_id = run_of(waiting)
    hold(waiting, NewHold(HoldKind.DESTINATION, "1.2", "unknown there", run_id=run_id, destination="pacs"))
    with waiting.write() as session:
        before = holds.lapse_empty(session)
        withdrawals.withdraw_study(session, "1.2", why="recalled", who="anna")
        after = holds.lapse_empty(session)

    with waiting.read() as session:
        (ended,) = holds.of_study(session, "1.2")
    assert (before, after) == (0, 1)
    assert (ended.decision, ended.who, ended.why) == ("lapsed", "node", "nothing of it is to be sent any more")


def test_a_hold_of_a_report_that_goes_nowhere_waits_for_a_person(database: Database) -> None:
    receive(database)
    with database.write() as session:
        run_id = runs.plan(session, "1.2", [WANTED]) or 0
        holds.hold(session, NewHold(HoldKind.FINDING, "1.2", "doubtful", run_id=run_id), who="node")

        assert holds.lapse_empty(session) == 0
