"""What an archive answers to a request for storage commitment, and what is made of it."""

import pytest

from dicom_ai.storage import audit, confirmations
from dicom_ai.storage.confirmations import FAILURES, FOR_NOW, Confirmation
from dicom_ai.storage.database import Database
from tests.unit.storage.test_clock_jump import ask, work

TRANSACTION = "1.2.840.1"
REASONS = {
    0x0110: "processing failure",
    0x0112: "it does not have the object",
    0x0119: "it has the UID as an object of another class",
    0x0122: "it does not take objects of this class",
    0x0131: "the transaction UID was used before",
    0x0213: "it has no resources now",
    0x9999: "no reason that the standard knows",
}
AGAIN = {0x0110, 0x0131, 0x0213}


def asked(database: Database) -> None:
    """Let an archive be asked to commit to one result."""
    with database.write() as session:
        work(session)
        ask(session)
        (sought,) = confirmations.due(session, known=["pacs"], most=1) or [None]
        assert sought is None  # it waits for its next turn
    with database.write() as session:
        session.info["clock"] = lambda: 4e9
        due = confirmations.due(session, known=["pacs"], most=1)
        confirmations.asked(session, due, transaction_uid=TRANSACTION, next_at=5e9)


@pytest.mark.parametrize("code", REASONS)
def test_a_failure_is_told_in_words_and_for_now_or_for_good(database: Database, code: int) -> None:
    asked(database)
    with database.write() as session:
        concerned = confirmations.reported(session, TRANSACTION, committed=[], failed={"9.1": code}, next_at=6e9)
        (status,) = confirmations.of_study(session, "1.2")

    assert concerned == 1
    assert status.reason == f"storage commitment failed: {REASONS[code]} (0x{code:04X})"
    assert status.state is (Confirmation.SENT if code in AGAIN else Confirmation.REFUSED)


def test_every_reason_of_the_standard_that_is_told_is_tested() -> None:
    assert set(FAILURES) == REASONS.keys() - {0x9999}
    assert FOR_NOW == AGAIN


def test_that_a_person_asked_again_stands_in_the_audit_trail(database: Database) -> None:
    asked(database)
    with database.write() as session:
        confirmations.reported(session, TRANSACTION, committed=[], failed={"9.1": 0x0112}, next_at=6e9)
        numbers = [confirmations.again(session, who="anna"), confirmations.resend(session, who="ben")]
        told = [(event.actor, event.action, event.subject, event.detail) for event in audit.events(session)]

    assert numbers == [1, 0]
    assert told[-2:] == [
        ("anna", "confirmation asked again", "destination all", {"deliveries": 1}),
        ("ben", "sent again", "destination all", {"deliveries": 0}),
    ]


def test_what_was_sent_long_ago_and_asked_for_once_is_asked_for_again(database: Database) -> None:
    """A clock that was set, or a node that was off for months, ends no question."""
    with database.write() as session:
        work(session)
        ask(session)
        session.info["clock"] = lambda: 4e9
        (due,) = confirmations.due(session, known=["pacs"], most=200)

    assert due.sop_instance_uid == "9.1"
