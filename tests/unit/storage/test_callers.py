"""Who called: let in, C-ECHO, rejected; a crowd of strangers is not remembered for ever."""

from dicom_ai.domain.throttle import Throttle
from dicom_ai.storage import audit, callers
from dicom_ai.storage.callers import Contact, Rejection
from dicom_ai.storage.database import Database
from tests.unit.storage.conftest import Clock

REASON = "calling AE title or address is not a configured peer"


def test_a_peer_that_is_let_in_verifies_and_is_rejected_from_elsewhere(database: Database, clock: Clock) -> None:
    start = clock.at
    with database.write() as session:
        callers.verified(session, "PACS", "192.0.2.7")
        clock.advance(5)
        callers.called(session, "PACS", "192.0.2.7")
        elsewhere = Rejection("PACS", "192.0.2.8", REASON)
        callers.rejected(session, elsewhere)
        callers.tell_rejected(session, elsewhere, times=3)

    with database.read() as session:
        assert callers.contacts(session) == (
            Contact("PACS", "192.0.2.7", start + 5, start, None, ""),
            Contact("PACS", "192.0.2.8", None, None, start + 5, REASON),
        )
        (event,) = audit.events(session)
    assert (event.actor, event.action, event.subject) == ("listener", "association rejected", "node 192.0.2.8")
    assert event.detail == {"calling_ae_title": "PACS", "because": REASON, "times": 3}


def test_of_many_strangers_those_that_called_last_are_remembered_and_no_peer_is_forgotten(
    database: Database, clock: Clock
) -> None:
    with database.write() as session:
        callers.called(session, "PACS", "192.0.2.7")
    for number in range(callers.MOST_STRANGERS + 20):
        clock.advance(1)
        with database.write() as session:
            callers.rejected(session, Rejection(f"SCAN{number}", "192.0.2.66", REASON))

    with database.read() as session:
        names = {contact.calling_ae_title for contact in callers.contacts(session)}
    assert names == {"PACS", *(f"SCAN{number}" for number in range(20, callers.MOST_STRANGERS + 20))}


def test_a_crowd_is_told_of_as_more_callers_than_are_told_apart(database: Database) -> None:
    throttle = Throttle(60.0, others=callers.OTHERS, most=1)
    for number in range(3):
        throttle.take(Rejection(f"SCAN{number}", "192.0.2.66", REASON), 0.0)
    with database.write() as session:
        for who, times in throttle.due(60.0).items():
            callers.tell_rejected(session, who, times=times)
        (event,) = audit.events(session)

    assert event.subject == "node unknown"
    assert event.detail == {"calling_ae_title": "", "because": "more callers than are told apart", "times": 1}


def test_an_ae_title_that_no_database_takes_is_noted(database: Database) -> None:
    with database.write() as session:
        callers.rejected(session, Rejection("A\0B", "192.0.2.7", REASON))

    with database.read() as session:
        assert [contact.calling_ae_title for contact in callers.contacts(session)] == ["AB"]
