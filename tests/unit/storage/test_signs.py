from dicom_ai.storage import associations, signs
from dicom_ai.storage.database import Database
from tests.unit.storage.conftest import Clock


def deliver(database: Database, who: str) -> None:
    with database.write() as session:
        associations.opened(session, who, listener="L", calling_ae_title=who, called_ae_title="US", peer_address="x")
        associations.delivered(session, who, "1.2")


def test_the_first_sender_since_a_time_is_known(database: Database, clock: Clock) -> None:
    deliver(database, "EARLIER")
    clock.advance(10)
    since = clock.at
    with database.read() as session:
        before = signs.sender_since(session, since)
    clock.advance(1)
    deliver(database, "PACS")
    clock.advance(1)
    deliver(database, "SCANNER")
    with database.read() as session:
        after = signs.sender_since(session, since)

    assert (before, after) == (None, "PACS")
