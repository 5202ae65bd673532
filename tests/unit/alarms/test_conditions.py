"""Every condition: what raises it, and what does not."""

import re
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest

from dicom_ai.alarms import conditions
from dicom_ai.alarms.conditions import CONDITIONS, Limits, Node
from dicom_ai.domain.job import JobState
from dicom_ai.domain.retries import Retries
from dicom_ai.storage import associations, decisions, holds, jobs, outbox, pauses, rules, signs
from dicom_ai.storage.alarms import Level, Seen
from dicom_ai.storage.database import Database, Session
from dicom_ai.storage.decisions import StoredDecision
from dicom_ai.storage.disk import Disk
from dicom_ai.storage.holds import HoldKind, NewHold
from dicom_ai.storage.outbox import OutboxState
from dicom_ai.storage.pauses import PauseKind, Subject
from dicom_ai.storage.watch_tables import ConfirmationRow
from tests.peers import REPOSITORY
from tests.unit.storage.conftest import Clock
from tests.unit.storage.test_runs import CORD, begin, receive, report, routed, work

HOUR_S, DAY_S = 3600, 86_400
LIMITS = Limits(
    peer_silent_h=3,
    rule_idle_days=5,
    result_overdue_h=4,
    queue_age_h=1,
    destination_down_h=0.5,
    held_h=12,
    paused_h=24,
    give_up_s=3 * DAY_S,
)
OFF = Limits(0, 0, 0, 0, 0, 0, 0, 3 * DAY_S)
HALF = Disk(total=100, free=50)
MONDAY = datetime(2026, 3, 2, 8, tzinfo=UTC).timestamp()


def seen(database: Database, *, disk: Disk = HALF, limits: Limits = LIMITS) -> dict[str, Seen]:
    """Return what is so now, by alarm name without the subject."""
    with database.read() as session:
        node = Node(session, limits, ("PACS",), disk, reserve_bytes=10)
        return {one.condition: one for condition in CONDITIONS.values() for one in condition(node)}


def association(session: Session, name: str) -> None:
    associations.opened(
        session, name, listener="L", calling_ae_title="PACS", called_ae_title="US", peer_address="192.0.2.1"
    )
    associations.delivered(session, name, "1.2")
    associations.closed(session, name)


def sends_on_working_days(database: Database, clock: Clock, *, weeks: int, leave_out: int = -1) -> None:
    """Let PACS send every hour from 8 to 17 h UTC, Monday to Friday, for some weeks; one of them may be a holiday."""
    with database.write() as session:
        for week, day, hour in product(range(weeks), range(5), range(10)):
            clock.at = MONDAY + (week * 7 + day) * DAY_S + hour * HOUR_S + 60
            if week != leave_out:
                association(session, f"{week}.{day}.{hour}")


@pytest.mark.parametrize("leave_out", [-1, 1])
def test_a_peer_that_misses_three_of_its_hours_is_silent(database: Database, clock: Clock, leave_out: int) -> None:
    sends_on_working_days(database, clock, weeks=4, leave_out=leave_out)
    monday = MONDAY + 28 * DAY_S

    found = {}
    for name, at in {"sunday": monday - DAY_S, "9 h": monday + HOUR_S, "12 h": monday + 4 * HOUR_S}.items():
        clock.at = at
        found[name] = seen(database).get("peer-silent")

    assert (found["sunday"], found["9 h"]) == (None, None)
    assert found["12 h"] is not None
    assert re.fullmatch(
        "PACS has sent nothing since 2026-03-27 17:01 UTC; in this span of past weeks it sent in at least [34] hours",
        found["12 h"].text,
    )


def test_a_new_peer_is_never_silent(database: Database, clock: Clock) -> None:
    sends_on_working_days(database, clock, weeks=1)
    clock.at += 30 * DAY_S

    assert "peer-silent" not in seen(database)


def save_rules(database: Database, state: str = "on") -> None:
    rule = {"name": "neck", "model": "cord", "state": state, "all": [{"keyword": "Modality", "equals": "MR"}]}
    with database.write() as session:
        rules.save(session, {"rule": [rule]}, author="anna", note="")


def hit(database: Database, *, taken: bool = True) -> None:
    with database.write() as session:
        decision = StoredDecision("1.2.1", "neck", "cord", taken, False, ())
        decisions.replace(session, "1.2", [decision], rules_version=1)


def test_a_rule_that_is_on_and_took_nothing_for_five_working_days_is_idle(database: Database, clock: Clock) -> None:
    clock.at = MONDAY
    save_rules(database)
    receive(database)
    hit(database)
    found = []
    for day in (7, 8):  # from Tuesday on, without the weekend: 4 whole working days, then 5
        clock.at = MONDAY + day * DAY_S
        found.append(seen(database).get("rule-idle"))

    assert found == [None, Seen("rule-idle", "neck", Level.WARNING, "rule neck has taken no series for 5 working days")]


def test_a_rule_is_idle_from_when_it_was_turned_on(database: Database, clock: Clock) -> None:
    clock.at = MONDAY
    save_rules(database, "shadow")
    clock.at = MONDAY + 30 * DAY_S
    shadow = seen(database)
    save_rules(database)
    clock.at += 5 * DAY_S

    assert "rule-idle" not in shadow
    assert "rule-idle" not in seen(database)


def test_a_study_that_a_rule_took_is_overdue_until_a_result_arrived(database: Database, clock: Clock) -> None:
    receive(database)
    hit(database)
    routed(database, CORD)
    early = seen(database)
    clock.advance(5 * HOUR_S)
    late = seen(database)
    make_report(database, clock)
    waits = seen(database)
    with database.write() as session:
        turn = outbox.claim(session, "s", known=("pacs",), lease_s=60)
        assert turn is not None
        outbox.begin_attempt(session, turn)
        for delivery in turn.deliveries:
            outbox.sent(session, delivery.id)

    assert ["result-overdue" in found for found in (early, late, waits, seen(database))] == [False, True, True, False]
    assert late["result-overdue"].text == "1 studies that a rule took have no result 4 hours after their last image"


def test_a_study_no_rule_took_is_not_overdue(database: Database, clock: Clock) -> None:
    receive(database)
    hit(database, taken=False)
    clock.advance(5 * HOUR_S)

    assert "result-overdue" not in seen(database)


def test_a_paused_result_is_not_overdue_but_the_pause_is_after_a_day(database: Database, clock: Clock) -> None:
    receive(database)
    hit(database)
    routed(database, CORD)
    make_report(database, clock)
    with database.write() as session:
        pauses.pause(session, Subject(PauseKind.DESTINATION, "pacs"), who="anna", why="")
    clock.advance(25 * HOUR_S)

    found = seen(database)
    assert "result-overdue" not in found
    assert found["paused"].subject == "destination pacs"
    assert found["paused"].text == "sending of destination pacs has been paused for 25 hours; 1 results wait"


def test_a_rule_that_the_node_paused_asks_a_person_at_once(database: Database) -> None:
    with database.write() as session:
        pauses.pause(session, Subject(PauseKind.RULE, "neck"), who="anna", why="a new protocol")
        pauses.pause(session, Subject(PauseKind.RULE, "cord"), who=pauses.BRAKE, why="it took 400 series")

    found = seen(database)["rule-flood"]
    assert (found.subject, found.level) == ("cord", Level.SERIOUS)
    assert found.text == "sending of rule cord is paused: it took 400 series"


def test_work_that_waits_an_hour_is_old(database: Database, clock: Clock) -> None:
    receive(database)
    clock.advance(2 * HOUR_S)
    unrouted = seen(database)["queue-old"]
    routed(database, CORD)
    queued = seen(database)
    clock.advance(2 * HOUR_S)

    assert (unrouted.subject, "queue-old" in queued) == ("routing", False)
    assert seen(database)["queue-old"].text == "1 wait in queue gpu, the oldest for 2.0 hours"


def make_report(database: Database, clock: Clock) -> None:
    """Analyse and report what was routed; one SR waits for pacs. Takes ten minutes."""
    work(database)
    clock.advance(601)
    begin(database)
    report(database, 1, "9.1.1")


def failing(database: Database, clock: Clock, state: OutboxState | None = None) -> None:
    """Let every result for pacs fail, for now or for good."""
    routed(database, CORD)
    make_report(database, clock)
    with database.write() as session:
        turn = outbox.claim(session, "s", known=("pacs",), lease_s=60)
        assert turn is not None
        outbox.begin_attempt(session, turn)
        for delivery in turn.deliveries:
            if state is None:
                outbox.postpone(session, delivery.id, unknown=False, next_at=0, error="no route")
            else:
                outbox.stop(session, delivery.id, state, error="0xA900")
        outbox.end(session, turn)


def test_a_destination_that_takes_nothing_is_down_and_becomes_critical(database: Database, clock: Clock) -> None:
    receive(database)
    failing(database, clock)
    found = []
    for hours in (0.4, 0.2, 36):
        clock.advance(hours * HOUR_S)
        one = seen(database).get("destination-down")
        found.append((one.level, one.text) if one else None)

    said = "destination pacs takes nothing: 1 results wait, the oldest for"
    assert found == [None, (Level.SERIOUS, f"{said} 0.6 hours"), (Level.CRITICAL, f"{said} 36.6 hours")]


@pytest.mark.parametrize("state", [OutboxState.REFUSED, OutboxState.FAILED])
def test_results_that_will_not_arrive_alarm_for_some_days(database: Database, clock: Clock, state: OutboxState) -> None:
    receive(database)
    failing(database, clock, state)
    now = seen(database)["result-refused"]
    clock.advance(7 * DAY_S)

    assert now.text == "destination pacs refused 1 results of the last days, or they were given up"
    assert "result-refused" not in seen(database)


def test_results_a_destination_does_not_vouch_for_alarm(database: Database, clock: Clock) -> None:
    receive(database)
    failing(database, clock)
    with database.write() as session:
        session.add(
            ConfirmationRow(
                outbox_id=1, state="refused", way="c-find", tries=1, next_at=0, changed_at=clock.at, reason="not found"
            )
        )

    assert seen(database)["result-unconfirmed"].text == (
        "destination pacs took 1 results of the last days and does not vouch for them"
    )


def test_a_model_that_fell_back_to_the_cpu_has_lost_its_device(database: Database) -> None:
    found = []
    for device in ("CUDA:0", "CPU", "refused: no such file", "CUDA:0"):
        with database.write() as session:
            signs.note_devices(session, "host", {"cord": device}, wanted="auto")
        found.append(seen(database).get("device-lost"))

    assert [one and one.level for one in found] == [None, Level.SERIOUS, Level.CRITICAL, None]
    assert found[1] == Seen(
        "device-lost", "cord on host", Level.SERIOUS, "model cord runs on CPU; it ran on CUDA:0 before"
    )


def test_a_cpu_that_was_asked_for_is_no_loss(database: Database) -> None:
    for wanted, device in (("auto", "CUDA:0"), ("cpu", "CPU")):
        with database.write() as session:
            signs.note_devices(session, "host", {"cord": device}, wanted=wanted)

    assert "device-lost" not in seen(database)


def test_a_failed_analysis_alarms_for_a_day(database: Database, clock: Clock) -> None:
    receive(database)
    routed(database, CORD)
    work(database, state=JobState.FAILED)
    now = seen(database)["job-failed"]
    clock.advance(DAY_S + 1)

    assert now.text == "1 analyses by cord failed within a day"
    assert "job-failed" not in seen(database)


def test_work_that_is_held_up_twice_in_a_row_alarms_with_what_to_mend_until_it_is(
    database: Database, clock: Clock
) -> None:
    receive(database)
    routed(database, CORD)
    retries = Retries(first_s=30, longest_s=3600, maximum=5, give_up_s=1000)
    found = []
    for _ in range(2):
        with database.write() as session:
            job = jobs.claim_next(session, "gpu", "w", 60)
            assert job is not None
            jobs.wait(session, job, retries, reason="file store: No space left on device")
        found.append(seen(database).get("work-held-up"))
        clock.advance(300)
    work(database)

    text = "1 analyses or reports wait until this is mended: file store: No space left on device"
    assert found == [None, Seen("work-held-up", "", Level.SERIOUS, text)]
    assert "work-held-up" not in seen(database)


def test_what_waits_for_a_person_alarms_after_half_a_day(database: Database, clock: Clock) -> None:
    with database.write() as session:
        holds.hold(session, NewHold(HoldKind.FINDING, "1.2", "the area is outside physiology"), who="reporter")
    early = seen(database)
    clock.advance(13 * HOUR_S)

    assert "held" not in early
    assert seen(database)["held"].text == "1 holds and notices wait for a person, the oldest for 13 hours"


@pytest.mark.parametrize(("free", "level"), [(26, None), (25, Level.WARNING), (15, Level.SERIOUS), (9, Level.CRITICAL)])
def test_a_disk_alarms_at_three_levels(database: Database, free: int, level: Level | None) -> None:
    found = seen(database, disk=Disk(100, free)).get("disk")

    assert (found.level if found else None) == level


def test_a_limit_of_zero_switches_a_condition_off(database: Database, clock: Clock) -> None:
    receive(database)
    hit(database)
    save_rules(database)
    failing(database, clock)
    with database.write() as session:
        pauses.pause(session, Subject(PauseKind.ALL), who="anna", why="")
    clock.advance(30 * DAY_S)

    assert set(seen(database, limits=OFF)) == set()
    assert {"rule-idle", "destination-down", "paused"} <= set(seen(database))


def test_no_alarm_names_a_study(database: Database, clock: Clock) -> None:
    receive(database)
    hit(database)
    save_rules(database)
    failing(database, clock)
    clock.advance(10 * DAY_S)

    assert [one for one in seen(database).values() if "1.2" in one.text + one.subject] == []


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_has_its_section_in_the_runbook(condition: str) -> None:
    file, _, anchor = conditions.runbook(condition).partition("#")

    assert f"\n## {anchor}\n" in (REPOSITORY / Path(file)).read_text(encoding="utf-8")
