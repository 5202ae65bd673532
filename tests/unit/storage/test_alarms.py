from collections.abc import Sequence

from dicom_ai.storage import alarms, audit
from dicom_ai.storage.alarms import Alarm, Level, Seen
from dicom_ai.storage.database import Database
from tests.unit.storage.conftest import Clock

DISK = Seen("disk", "", Level.WARNING, "the disk is 76 % full")
FULL = Seen("disk", "", Level.CRITICAL, "the disk is full")
PACS = Seen("destination-down", "pacs", Level.SERIOUS, "destination pacs takes nothing")
DAY_S = 86_400


def look(database: Database, *seen: Seen) -> Sequence[Seen]:
    with database.write() as session:
        return alarms.look(session, seen, judged=("disk", "destination-down"), linger_s=600)


def open_now(database: Database) -> Sequence[Alarm]:
    with database.read() as session:
        return alarms.open_now(session)


def tell(database: Database, channel: str = "email", *, error: str = "") -> list[tuple[str, bool]]:
    """Tell a channel what it must be told; return each alarm's name and whether it is over."""
    with database.write() as session:
        due = alarms.to_tell(session, channel, repeat_s=DAY_S)
        alarms.told(session, channel, due, error=error)
    return [(alarm.name, alarm.closed_at is not None) for alarm in due]


def acknowledge(database: Database, name: str) -> int:
    with database.write() as session:
        return alarms.acknowledge(session, name, who="anna", why="on it")


def test_the_worst_alarm_comes_first(database: Database) -> None:
    look(database, DISK, PACS)

    assert [alarm.name for alarm in open_now(database)] == ["destination-down:pacs", "disk"]


def test_an_alarm_is_told_once_and_repeated_after_a_day(database: Database, clock: Clock) -> None:
    look(database, DISK)
    told = [tell(database), tell(database)]
    clock.advance(DAY_S)

    assert [*told, tell(database)] == [[("disk", False)], [], [("disk", False)]]


def test_every_channel_is_told_on_its_own(database: Database) -> None:
    look(database, DISK)

    assert [tell(database, "email"), tell(database, "syslog")] == [[("disk", False)], [("disk", False)]]


def test_what_could_not_be_told_is_told_at_the_next_look_and_shown(database: Database) -> None:
    look(database, DISK)
    tell(database, error="no route")

    assert open_now(database)[0].errors == ("email: no route",)
    assert tell(database) == [("disk", False)]
    assert open_now(database)[0].errors == ()


def test_an_acknowledged_alarm_is_not_repeated(database: Database, clock: Clock) -> None:
    look(database, DISK)
    tell(database)
    acknowledge(database, "disk")
    clock.advance(DAY_S)

    assert tell(database) == []
    assert open_now(database)[0].acknowledged_by == "anna"


def test_an_acknowledged_alarm_that_gets_worse_is_told_again(database: Database) -> None:
    look(database, DISK)
    tell(database)
    acknowledge(database, "disk")
    news = look(database, FULL)

    assert list(news) == [FULL]
    assert tell(database) == [("disk", False)]
    assert open_now(database)[0].acknowledged_by == ""


def test_an_alarm_is_over_when_it_was_not_seen_for_ten_minutes_and_that_is_told(
    database: Database, clock: Clock
) -> None:
    look(database, DISK)
    tell(database)
    clock.advance(599)
    look(database)
    still = [alarm.name for alarm in open_now(database)]
    clock.advance(1)
    look(database)

    assert (still, list(open_now(database))) == (["disk"], [])
    assert [tell(database), tell(database)] == [[("disk", True)], []]


def test_what_nobody_was_told_of_is_not_told_to_be_over(database: Database, clock: Clock) -> None:
    look(database, DISK)
    clock.advance(600)
    look(database)

    assert tell(database) == []


def test_an_alarm_that_comes_back_is_a_new_one(database: Database, clock: Clock) -> None:
    look(database, DISK)
    acknowledge(database, "disk")
    clock.advance(600)
    look(database)

    assert list(look(database, DISK)) == [DISK]
    assert tell(database) == [("disk", False)]


def test_who_took_note_stands_in_the_audit_trail(database: Database) -> None:
    look(database, DISK, PACS)

    taken = [acknowledge(database, name) for name in ("destination-down:pacs", "all", "x")]

    assert taken == [1, 1, 0]
    with database.read() as session:
        events = [(event.actor, event.action, event.subject) for event in audit.events(session)]
    assert events == [
        ("anna", "alarm acknowledged", "alarm destination-down:pacs"),
        ("anna", "alarm acknowledged", "alarm disk"),
    ]
