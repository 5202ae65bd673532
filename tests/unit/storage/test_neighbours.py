"""Versions of destinations and peers in the database of an earlier release."""

from pathlib import Path

from dicom_ai.sections import Neighbours
from dicom_ai.storage import neighbours, schema
from dicom_ai.storage.database import Database
from tests.unit.storage.old_secrets import NEW, OLD, contents, keep_old_versions


def test_an_upgrade_takes_secrets_out_of_every_version_and_keeps_the_one_in_force(database: Database) -> None:
    keep_old_versions(database)
    schema.upgrade(database)

    with database.read() as session:
        newest, older = neighbours.in_force(session, Neighbours()), neighbours.version(session, 1)
    assert [one.neighbours.destinations[0].parameters["authorization"] for one in (newest, older)] == [NEW, NEW]
    assert "Bearer" not in contents(database)


def test_an_upgrade_leaves_no_old_secret_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "node.db"
    database = Database(f"sqlite:///{file}")
    schema.upgrade(database)
    keep_old_versions(database)
    schema.upgrade(database)
    database.close()  # the last to close it moves what it wrote into the file

    assert NEW.encode() in file.read_bytes()
    assert OLD.encode() not in file.read_bytes()


def test_going_back_gives_the_versions_the_secret_in_force(database: Database) -> None:
    keep_old_versions(database)
    schema.upgrade(database)
    schema.downgrade(database, to="0018")

    assert contents(database).count(NEW) == 2
