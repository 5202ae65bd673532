from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicom_ai.domain.result import ResultIdentity, ResultKind, ResultObject
from dicom_ai.domain.run import Request, Wanted
from dicom_ai.storage import outbox, results, runs, studies
from dicom_ai.storage.database import Database
from dicom_ai.storage.outbox import OutboxState, Turn
from tests.unit.storage.conftest import Clock
from tests.unit.storage.test_runs import receive

KNOWN = ("pacs", "research")


@pytest.fixture
def deliveries(database: Database) -> dict[str, int]:
    """One SR queued for two destinations; destination -> delivery id."""
    receive(database)
    wanted = Wanted("1.2.1", "cord", "m", "i", (Request("cord", False, KNOWN, ("sr",)),))
    with database.write() as session:
        run_id = runs.plan(session, "1.2", [wanted]) or 0
        for series in studies.series_of(session, "1.2"):
            studies.mark_routed(session, series, facts=None)
        identity = ResultIdentity(ResultKind.SR, "9.1", "9.1.1", 9001, 1, datetime(2026, 1, 1, tzinfo=UTC), slot="sr")
        results.save_identities(session, run_id, {"sr": identity}, shadow=False)
        result = results.written(session, run_id, ResultObject(identity, "1.1", "1.2", "", Path("x")), path="r/x.dcm")
        for name in KNOWN:
            outbox.add(session, result_id=result, run_id=run_id, destination=name)
    return {"pacs": 1, "research": 2}


def claim(database: Database, owner: str = "s1", known: tuple[str, ...] = KNOWN) -> Turn | None:
    with database.write() as session:
        return outbox.claim(session, owner, known=known, lease_s=60)


def test_one_sender_at_a_time_works_for_a_destination(database: Database, deliveries: dict[str, int]) -> None:
    turns = [claim(database), claim(database), claim(database)]

    assert [turn.destination if turn else None for turn in turns] == ["pacs", "research", None]


def test_a_sender_that_died_loses_its_turn(database: Database, deliveries: dict[str, int], clock: Clock) -> None:
    first = claim(database, "dead", known=("pacs",))
    clock.advance(61)
    second = claim(database, "s2", known=("pacs",))

    assert first is not None
    assert second is not None
    with database.write() as session:
        assert not outbox.beat(session, first, 60)
        assert outbox.beat(session, second, 60)


def test_what_was_on_its_way_when_the_sender_died_is_sent_again_as_a_repetition(
    database: Database, deliveries: dict[str, int], clock: Clock
) -> None:
    first = claim(database, known=("pacs",))
    assert first is not None
    with database.write() as session:
        outbox.begin_attempt(session, first)
    clock.advance(61)
    second = claim(database, known=("pacs",))

    assert second is not None
    assert [(item.id, item.attempts, item.repeated) for item in first.deliveries] == [(1, 0, False)]
    assert [(item.id, item.attempts, item.repeated) for item in second.deliveries] == [(1, 1, True)]


def test_a_destination_in_trouble_does_not_delay_another(
    database: Database, deliveries: dict[str, int], clock: Clock
) -> None:
    turn = claim(database, known=("pacs",))
    assert turn is not None
    with database.write() as session:
        outbox.postpone(session, 1, unknown=False, next_at=clock() + 30, error="no answer")
        outbox.end(session, turn)
    other = claim(database)

    assert other is not None
    assert other.destination == "research"
    assert claim(database) is None
    clock.advance(30)
    again = claim(database)
    assert again is not None
    assert again.destination == "pacs"


def test_a_destination_that_is_not_configured_keeps_its_objects_waiting(
    database: Database, deliveries: dict[str, int]
) -> None:
    assert claim(database, known=()) is None
    with database.read() as session:
        assert outbox.counts(session) == {OutboxState.WAITING: 2}


def test_nothing_leaves_while_images_of_its_study_wait_for_routing(
    database: Database, deliveries: dict[str, int]
) -> None:
    receive(database, 2)

    assert claim(database) is None
    with database.write() as session:
        assert outbox.take_due(session, known=KNOWN, token_gap_s=10) == 0


def test_a_refused_object_is_not_sent_again_unless_told(database: Database, deliveries: dict[str, int]) -> None:
    with database.write() as session:
        outbox.stop(session, 1, OutboxState.REFUSED, error="0x0122")
    assert claim(database, known=("pacs",)) is None

    with database.write() as session:
        outbox.again(session, 1)
    assert claim(database, known=("pacs",)) is not None
    told = r"^delivery 2 is waiting: only a refused or failed one is sent again$"
    with pytest.raises(ValueError, match=told), database.write() as session:
        outbox.again(session, 2)


def test_an_object_on_its_way_is_cancelled_if_it_did_not_arrive_and_its_run_was_replaced(
    database: Database, deliveries: dict[str, int], clock: Clock
) -> None:
    turn = claim(database, known=("pacs",))
    assert turn is not None
    changed = Wanted("1.2.1", "cord", "m", "other", (Request("cord", False, KNOWN, ("sr",)),))
    with database.write() as session:
        outbox.begin_attempt(session, turn)
        session.execute(runs.sa.update(runs.RunRow).values(state="reported"))
        runs.plan(session, "1.2", [changed])
        outbox.postpone(session, 1, unknown=False, next_at=clock(), error="no answer")

    with database.read() as session:
        assert outbox.counts(session) == {OutboxState.CANCELLED: 2}


def test_the_status_says_what_waits_and_why(database: Database, deliveries: dict[str, int]) -> None:
    with database.write() as session:
        outbox.postpone(session, 1, unknown=False, next_at=0, error="no answer")
        outbox.sent(session, 2)
    with database.read() as session:
        pacs, research = outbox.statuses(session)

    assert (pacs.name, pacs.pending, pacs.failures, pacs.last_error) == ("pacs", 1, 1, "no answer")
    assert (research.name, research.pending, research.failures) == ("research", 0, 0)
    assert research.last_sent_at is not None
