import pytest
import sqlalchemy as sa

from dicom_ai.domain.trail import TrailSearch
from dicom_ai.storage import audit, schema
from dicom_ai.storage.database import Database
from tests.unit.storage.test_runs import CORD, receive, routed


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"])
def test_the_trail_cannot_be_changed(database: Database, statement: str) -> None:
    with database.write() as session:
        audit.record(session, "anna", "paused", "rule cord")

    with pytest.raises(sa.exc.IntegrityError, match="append-only"), database.write() as session:
        session.execute(sa.text(statement))

    with database.read() as session:
        assert [(event.actor, event.action, event.subject) for event in audit.events(session)] == [
            ("anna", "paused", "rule cord")
        ]


def found(database: Database, **wanted: object) -> list[str]:
    with database.read() as session:
        return [event.actor for event in audit.search(session, TrailSearch(**wanted), most=10)]  # type: ignore[arg-type]


def test_an_event_is_found_by_the_study_it_names_or_lists_or_whose_run_it_is_about(database: Database) -> None:
    receive(database)
    routed(database, CORD)
    with database.write() as session:
        audit.record(session, "ada", "viewed", "study 1.2")
        audit.record(session, "bob", "viewed", "list of studies", {"studies": "1.1 1.2 1.2"})
        audit.record(session, "reporter", "report failed", "run 1")
        audit.record(session, "eve", "viewed", "study 1.22")

    assert found(database, study_uid="1.2") == ["reporter", "bob", "ada"]
    assert found(database, study_uid="1.1") == ["bob"]


def test_the_end_of_a_span_is_not_in_it(database: Database, clock) -> None:
    for actor in ("ada", "bob", "eve"):
        with database.write() as session:
            audit.record(session, actor, "paused", "all")
        clock.advance(10)

    assert found(database, begin=1_000_010.0, end=1_000_020.0) == ["bob"]


def test_everybody_and_every_action_of_the_trail_are_told_once(database: Database) -> None:
    with database.write() as session:
        for actor, action in (("eve", "paused"), ("ada", "viewed"), ("eve", "viewed")):
            audit.record(session, actor, action, "all")

    with database.read() as session:
        assert (audit.actors(session), audit.actions(session)) == (("ada", "eve"), ("paused", "viewed"))


def test_an_older_trail_is_found_by_study_after_the_upgrade(database: Database) -> None:
    schema.downgrade(database, to="0012")
    with database.write() as session:
        detail = '{"studies": "1.1 1.2"}'
        session.execute(
            sa.text("INSERT INTO audit (at, actor, action, subject, detail) VALUES (1, 'ada', 'viewed', :on, :what)"),
            {"on": "list of studies", "what": detail},
        )
    schema.upgrade(database)

    assert found(database, study_uid="1.2") == ["ada"]
