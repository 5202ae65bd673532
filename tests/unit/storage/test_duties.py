from dicom_ai.storage import duties
from dicom_ai.storage.database import Database
from dicom_ai.storage.duties import Duty
from tests.unit.storage.conftest import Clock


def take(database: Database, owner: str) -> Duty | None:
    with database.write() as session:
        return duties.take(session, "alarms", owner, lease_s=60)


def done(database: Database, owner: str, mark: float | None = None) -> None:
    with database.write() as session:
        duties.done(session, "alarms", owner, mark=mark)


def test_one_owner_has_a_duty_at_a_time(database: Database) -> None:
    first, second = take(database, "a"), take(database, "b")
    done(database, "a")

    assert (first is not None, second is not None, take(database, "b") is not None) == (True, False, True)


def test_who_died_loses_the_duty_and_ends_nothing(database: Database, clock: Clock) -> None:
    take(database, "a")
    clock.advance(61)
    take(database, "b")
    done(database, "a", mark=5.0)

    assert take(database, "c") is None


def test_a_mark_starts_where_the_duty_was_first_taken_and_moves_when_it_is_done(
    database: Database, clock: Clock
) -> None:
    first = take(database, "a")
    done(database, "a", mark=clock.at + 7)
    second = take(database, "a")
    done(database, "a")
    third = take(database, "a")

    assert [duty.mark - clock.at for duty in (first, second, third) if duty and duty.mark] == [0, 7, 7]
