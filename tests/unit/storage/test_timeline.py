"""What happened to a study, told once each and in order."""

from itertools import count
from pathlib import Path

from dicom_ai.domain.browsing import Moment
from dicom_ai.storage import audit, decisions, schema, timeline
from dicom_ai.storage.database import Database
from dicom_ai.storage.decisions import StoredDecision
from tests.unit.storage.test_runs import receive


def decision(series: int, *, taken: bool) -> StoredDecision:
    return StoredDecision(f"1.2.{series}", "cord", "spinal-cord", taken, False, ())


def routings(database: Database) -> list[Moment]:
    with database.read() as session:
        return [moment for moment in timeline.of_study(session, "1.2") if moment.what.startswith("routed")]


def test_a_routing_is_told_once_however_long_it_takes_and_a_later_one_with_what_is_new(tmp_path: Path) -> None:
    seconds = count(1_000_000.0, 0.7)  # a clock that goes on while decisions are written
    database = Database(f"sqlite:///{tmp_path / 'node.db'}", clock=lambda: next(seconds))
    schema.upgrade(database)
    receive(database)
    first = [decision(1, taken=True), decision(2, taken=False), decision(3, taken=False)]
    with database.write() as session:
        decisions.replace(session, "1.2", first, rules_version=1)
    once = routings(database)
    with database.write() as session:
        decisions.replace(session, "1.2", [*first, decision(4, taken=True)], rules_version=2)
    twice = routings(database)
    database.close()

    assert [(moment.what, moment.detail) for moment in once] == [("routed by rules version 1", "1 taken")]
    assert twice[:1] == once
    assert [(moment.what, moment.detail) for moment in twice[1:]] == [("routed by rules version 2", "1 taken")]


def test_images_come_from_a_peer_and_an_archive_is_asked_by_a_step(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'node.db'}")
    schema.upgrade(database)
    receive(database)
    with database.write() as session:
        audit.record(session, "MR1", "images received", "study 1.2")
        audit.record(session, "reporter", "queried", "study 1.2")
        audit.record(session, "anna", "asked for", "study 1.2")
        told = [moment.what for moment in timeline.of_study(session, "1.2")]
    database.close()

    assert {"images received from MR1", "archive asked by reporter", "asked for by anna"} <= set(told)
