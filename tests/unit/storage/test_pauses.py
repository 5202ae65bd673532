"""Pauses: what they hold, that they end, and that they are written down."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicom_ai.domain.result import ResultIdentity, ResultKind, ResultObject
from dicom_ai.domain.run import Request, Wanted
from dicom_ai.storage import audit, outbox, pauses, results, runs, studies
from dicom_ai.storage.database import Database
from dicom_ai.storage.pauses import PauseKind, Subject
from tests.unit.storage.conftest import Clock
from tests.unit.storage.test_runs import receive

ALL = Subject(PauseKind.ALL)


@pytest.fixture
def waiting(database: Database) -> Database:
    """A run of models cord and spine on one series: two SEGs and the SR wait for the archive.

    Rule neck asked for the cord, rule back for the spine, and rule trial, in shadow, for the cord too.
    """
    receive(database)
    neck, trial = Request("neck", False, ("pacs",), ("seg", "sr")), Request("trial", True)
    back = Request("back", False, ("pacs",), ("seg", "sr"))
    wanted = [Wanted("1.2.1", "cord", "m", "i", (neck, trial)), Wanted("1.2.1", "spine", "m", "i", (back,))]
    with database.write() as session:
        run_id = runs.plan(session, "1.2", wanted) or 0
        for series in studies.series_of(session, "1.2"):
            studies.mark_routed(session, series, facts=None)
        for number, slot in enumerate(("seg:cord:1.2.1", "seg:spine:1.2.1", "sr"), 1):
            kind = ResultKind(slot.partition(":")[0])
            identity = ResultIdentity(
                kind, f"9.{number}", f"9.{number}.1", 9000, 1, datetime(2026, 1, 1, tzinfo=UTC), slot=slot
            )
            results.save_identities(session, run_id, {slot: identity}, shadow=False)
            item = ResultObject(identity, "1.1", "1.2", "", Path("x"))
            result = results.written(session, run_id, item, path=f"r/{number}.dcm")
            outbox.add(session, result_id=result, run_id=run_id, destination="pacs")
    return database


def pause(database: Database, subject: Subject) -> bool:
    with database.write() as session:
        return pauses.pause(session, subject, who="anna", why="new scanner")


def resume(database: Database, subject: Subject) -> bool:
    with database.write() as session:
        return pauses.resume(session, subject, who="ben", why="")


def due(database: Database) -> list[str]:
    """Take the turn and give it back; return the files that would have been sent."""
    with database.write() as session:
        turn = outbox.claim(session, "s", known=("pacs",), lease_s=60)
        if turn is None:
            return []
        outbox.end(session, turn)
    return [item.path for item in turn.deliveries]


@pytest.mark.parametrize(
    ("subject", "left"),
    [
        (ALL, []),
        (Subject(PauseKind.DESTINATION, "pacs"), []),
        (Subject(PauseKind.DESTINATION, "research"), ["r/1.dcm", "r/2.dcm", "r/3.dcm"]),
        (Subject(PauseKind.MODEL, "cord"), ["r/2.dcm"]),
        (Subject(PauseKind.MODEL, "spine"), ["r/1.dcm"]),
        (Subject(PauseKind.RULE, "neck"), ["r/2.dcm"]),
        (Subject(PauseKind.RULE, "trial"), ["r/1.dcm", "r/2.dcm", "r/3.dcm"]),
    ],
    ids=lambda value: value.text if isinstance(value, Subject) else "",
)
def test_a_pause_holds_what_speaks_of_its_subject_and_nothing_else(
    waiting: Database, subject: Subject, left: list[str]
) -> None:
    pause(waiting, subject)

    assert due(waiting) == left


def test_what_a_pause_held_goes_when_it_ends(waiting: Database) -> None:
    pause(waiting, ALL)
    resume(waiting, ALL)

    assert due(waiting) == ["r/1.dcm", "r/2.dcm", "r/3.dcm"]


def test_what_two_pauses_hold_waits_for_both(waiting: Database) -> None:
    pause(waiting, ALL)
    pause(waiting, Subject(PauseKind.MODEL, "cord"))
    resume(waiting, ALL)

    assert due(waiting) == ["r/2.dcm"]


def test_a_paused_destination_rings_for_nobody(waiting: Database) -> None:
    pause(waiting, ALL)

    with waiting.write() as session:
        assert outbox.take_due(session, known=("pacs",), token_gap_s=10) == 0


def test_the_days_of_a_pause_do_not_count_against_delivery(waiting: Database, clock: Clock) -> None:
    pause(waiting, ALL)
    clock.advance(1_000_000)
    resume(waiting, ALL)

    with waiting.write() as session:
        turn = outbox.claim(session, "s", known=("pacs",), lease_s=60)
        assert turn is not None
        assert {item.queued_at for item in turn.deliveries} == {clock()}


def test_a_pause_says_who_why_since_when_and_how_much_it_holds(waiting: Database, clock: Clock) -> None:
    pause(waiting, Subject(PauseKind.MODEL, "cord"))

    with waiting.read() as session:
        (found,) = pauses.all_of(session)
    assert (found.who, found.why, found.since, found.held) == ("anna", "new scanner", clock(), 2)


def test_the_first_pause_counts_and_only_a_pause_can_be_ended(waiting: Database) -> None:
    assert [pause(waiting, ALL), pause(waiting, ALL)] == [True, False]
    assert [resume(waiting, ALL), resume(waiting, ALL)] == [True, False]


def test_pause_and_resume_stand_in_the_audit_trail(waiting: Database) -> None:
    pause(waiting, Subject(PauseKind.RULE, "neck"))
    resume(waiting, Subject(PauseKind.RULE, "neck"))

    with waiting.read() as session:
        found = [(event.actor, event.action, event.subject) for event in audit.events(session)]
    assert found == [("anna", "paused", "rule neck"), ("ben", "resumed", "rule neck")]


NECK, CERVICAL = Subject(PauseKind.RULE, "neck"), Subject(PauseKind.RULE, "cervical")


def rename(database: Database, old: str, new: str) -> bool:
    with database.write() as session:
        return pauses.rename_rule(session, old, new, who="anna")


def paused(database: Database) -> list[str]:
    with database.read() as session:
        return [one.text for one in pauses.all_of(session)]


def test_the_pause_of_a_rule_that_is_named_anew_goes_on_and_holds_what_was_made_before(waiting: Database) -> None:
    pause(waiting, NECK)
    rename(waiting, "neck", "cervical")

    assert paused(waiting) == ["rule cervical (before: neck)"]
    assert due(waiting) == ["r/2.dcm"]
    assert resume(waiting, CERVICAL)
    assert due(waiting) == ["r/1.dcm", "r/2.dcm", "r/3.dcm"]
    with waiting.read() as session:
        (told,) = [event for event in audit.events(session) if event.action == "pause renamed"]
    assert (told.actor, told.subject, told.detail) == ("anna", "rule cervical", {"before": "neck"})


def test_the_pause_holds_what_the_rule_makes_under_its_new_name(waiting: Database) -> None:
    pause(waiting, Subject(PauseKind.RULE, "throat"))
    rename(waiting, "throat", "neck")

    assert due(waiting) == ["r/2.dcm"]


def test_a_rule_that_gets_its_old_name_back_is_still_paused_and_is_resumed_by_any_name(waiting: Database) -> None:
    pause(waiting, NECK)
    rename(waiting, "neck", "cervical")
    rename(waiting, "cervical", "neck")
    back = paused(waiting)
    rename(waiting, "neck", "cervical")

    assert back == ["rule neck (before: cervical)"]
    assert resume(waiting, NECK)
    assert paused(waiting) == []


def test_a_new_name_that_is_paused_itself_leaves_one_pause(waiting: Database) -> None:
    pause(waiting, NECK)
    pause(waiting, CERVICAL)
    rename(waiting, "neck", "cervical")

    assert paused(waiting) == ["rule cervical (before: neck)"]


def test_a_rule_that_is_not_paused_is_not_paused_by_a_new_name(waiting: Database) -> None:
    assert not rename(waiting, "neck", "cervical")
    assert paused(waiting) == []
