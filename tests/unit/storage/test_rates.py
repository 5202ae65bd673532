from itertools import count

from dicom_ai.storage import decisions, pauses, rates
from dicom_ai.storage.database import Database
from dicom_ai.storage.decisions import StoredDecision
from dicom_ai.storage.pauses import PauseKind, Subject
from dicom_ai.storage.rates import Rate
from tests.unit.storage.conftest import Clock

HOUR_S = 3600
STUDIES = count(1)
CORD = Subject(PauseKind.RULE, "cord")


def take(database: Database, series: int, *, shadow: bool = False, taken: bool = True) -> None:
    """Let rule cord take so many series of a study of their own."""
    study_uid = f"1.2.{next(STUDIES)}"
    uids = [f"{study_uid}.{number}" for number in range(series)]
    with database.write() as session:
        found = [StoredDecision(uid, "cord", "cord", taken, shadow, ()) for uid in uids]
        decisions.replace(session, study_uid, found, rules_version=1)


def rate(database: Database, *, more_than: int = 0) -> Rate | None:
    with database.read() as session:
        return rates.rate_of(session, "cord", more_than=more_than)


def test_the_last_hour_is_told_from_the_busiest_one_before(database: Database, clock: Clock) -> None:
    for series in (2, 5, 3):
        take(database, series)
        clock.advance(2 * HOUR_S)
    take(database, 4)
    clock.advance(HOUR_S / 2)
    take(database, 2)

    assert rate(database) == Rate(last_hour=6, busiest_hour=5)


def test_few_series_are_not_looked_into(database: Database) -> None:
    take(database, 3)

    assert rate(database, more_than=3) is None


def test_what_is_not_taken_or_in_shadow_does_not_count(database: Database) -> None:
    take(database, 3, shadow=True)
    take(database, 3, taken=False)

    assert rate(database) is None


def test_what_is_older_than_two_weeks_is_forgotten(database: Database, clock: Clock) -> None:
    take(database, 50)
    clock.advance((rates.RECENT_DAYS * 24 + 2) * HOUR_S)
    take(database, 3)

    assert rate(database) == Rate(last_hour=3, busiest_hour=0)


def test_what_came_before_a_person_resumed_the_rule_counts_as_usual(database: Database, clock: Clock) -> None:
    take(database, 40)
    with database.write() as session:
        pauses.pause(session, CORD, who=pauses.BRAKE, why="40 series")
    clock.advance(60)
    with database.write() as session:
        pauses.resume(session, CORD, who="anna", why="a second scanner")
    clock.advance(60)
    take(database, 30)

    assert rate(database) == Rate(last_hour=30, busiest_hour=40)
