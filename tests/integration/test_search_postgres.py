"""Searches of studies on PostgreSQL, whose index of parts of words and whose plans are its own."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from dicom_ai.domain.browsing import Progress, Search
from dicom_ai.storage import audit, schema
from dicom_ai.storage.database import Database
from tests.integration.servers import postgres
from tests.unit.storage import test_browse
from tests.unit.storage.test_browse import walk

unwanted = test_browse.unwanted


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture
def database(server: str) -> Iterator[Database]:
    database = Database(server)
    schema.upgrade(database)
    yield database
    schema.downgrade(database, to="base")
    database.close()


def test_pages_by_part_of_a_name_and_by_state_show_every_study_once(database: Database, unwanted: list[str]) -> None:
    assert walk(database, Search(progress=Progress.UNWANTED)) == unwanted
    assert len(walk(database, Search(patient="doe jane"))) == 7
    assert len(walk(database, Search(patient="%"))) == 7
    assert walk(database, Search(progress=Progress.SENT)) == []


def test_parts_of_names_are_found_by_their_trigrams(database: Database) -> None:
    indexes = sa.inspect(database.engine).get_indexes("studies")

    assert "ix_studies_search" in [index["name"] for index in indexes]


def test_the_names_in_the_trail_are_told_once(database: Database) -> None:
    with database.write() as session:
        for actor in ("eve", "ada", "eve"):
            audit.record(session, actor, "viewed", "list of studies", {audit.STUDIES: "1.2 1.3"})

    with database.read() as session:
        assert audit.actors(session) == ("ada", "eve")
