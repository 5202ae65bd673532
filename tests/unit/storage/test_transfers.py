"""The audit trail of what travels: a row per study and peer, whatever the number of images and associations."""

from dicom_ai.domain.destination import Destination
from dicom_ai.domain.result import ResultKind
from dicom_ai.storage import associations, audit, transfers
from dicom_ai.storage.database import Database
from dicom_ai.storage.outbox import Delivery
from tests.unit.storage.conftest import Clock

PACS = Destination("pacs", "c_store", {})


def deliver(database: Database, association: str, study_uid: str, *, images: int = 1, own: bool = False) -> None:
    with database.write() as session:
        if not associations.is_known(session, association):
            names = {"listener": "L", "calling_ae_title": "MR1", "called_ae_title": "US", "peer_address": "192.0.2.7"}
            associations.opened(session, association, **names)
        for _ in range(images):
            associations.delivered(session, association, study_uid, own=own)


def tell(database: Database) -> int:
    with database.write() as session:
        return transfers.tell_received(session, "clock")


def rows(database: Database) -> list[tuple[str, str, str, audit.Detail]]:
    with database.read() as session:
        return [(one.actor, one.action, one.subject, one.detail) for one in audit.events(session)]


def test_images_one_an_association_are_one_row_when_the_sender_pauses(database: Database, clock: Clock) -> None:
    for number in range(30):
        deliver(database, f"a{number}", "1.2")
        clock.advance(20)
        assert tell(database) == 0
    clock.advance(60)

    assert (tell(database), tell(database)) == (1, 0)
    detail = {"address": "192.0.2.7", "images": 30, "associations": 30}
    assert rows(database) == [("MR1", "images received", "study 1.2", detail)]


def test_what_comes_later_over_the_same_association_is_told_alone(database: Database, clock: Clock) -> None:
    deliver(database, "a", "1.2", images=5)
    clock.advance(60)
    tell(database)
    deliver(database, "a", "1.2", images=2)
    deliver(database, "a", "1.3", images=4)
    clock.advance(60)
    tell(database)

    told = [(subject, detail["images"]) for _, _, subject, detail in rows(database)]
    assert told == [("study 1.2", 5), ("study 1.2", 2), ("study 1.3", 4)]


def test_what_the_node_made_and_got_back_is_told_and_is_no_delivery_of_the_study(
    database: Database, clock: Clock
) -> None:
    deliver(database, "a", "1.2", images=2, own=True)
    with database.read() as session:
        delivering = associations.delivering(session, "1.2", stale_s=180)
    clock.advance(60)
    tell(database)

    assert not delivering
    assert [detail["images"] for *_, detail in rows(database)] == [2]


def delivery(number: int, study_uid: str, attempts: int = 0) -> Delivery:
    return Delivery(number, ResultKind.SEG, "1.9", f"1.9.{number}", "a.dcm", attempts, 0.0, False, study_uid)


def test_results_are_told_by_study_once_when_they_set_out_and_when_they_arrive(database: Database) -> None:
    first, again = [delivery(1, "1.2"), delivery(2, "1.2"), delivery(3, "1.3")], [delivery(1, "1.2", attempts=1)]
    with database.write() as session:
        transfers.begun(session, "pacs", first)
        transfers.begun(session, "pacs", again)
        transfers.sent(session, "pacs", first)

    told = [(action, subject, detail["objects"]) for _, action, subject, detail in rows(database)]
    assert told == [
        ("sending begun", "study 1.2", 2),
        ("sending begun", "study 1.3", 1),
        ("results sent", "study 1.2", 2),
        ("results sent", "study 1.3", 1),
    ]


def test_the_same_question_is_told_once_an_hour(database: Database, clock: Clock) -> None:
    def ask(purpose: str) -> None:
        with database.write() as session:
            transfers.queried(session, "sender", PACS, ["1.2", "1.2"], purpose=purpose)

    ask("how many")
    clock.advance(600)
    ask("how many")
    ask("who")
    clock.advance(3001)
    ask("how many")

    assert [detail["purpose"] for *_, detail in rows(database)] == ["how many", "who", "how many"]
