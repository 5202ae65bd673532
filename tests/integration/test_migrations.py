"""Roll-back and upgrade with work in the queue, step by step, on both kinds of database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from dicom_ai.storage import outbox, schema
from dicom_ai.storage.database import Database
from tests.integration.servers import postgres
from tests.integration.sizes import SIZES
from tests.unit.storage.test_runs import CORD, begin, receive, report, routed, work

EARLIEST = "0002"
"""So far back; before it the audit trail could be changed."""

Shape = dict[str, frozenset[str]]


@contextmanager
def database_of(size: str, folder: Path) -> Iterator[Database]:
    """Yield an empty database of this kind."""
    if size == "sqlite":
        yield from opened(f"sqlite:///{folder / 'node.db'}")
    else:
        with postgres() as url:
            yield from opened(url)


def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def shape(database: Database) -> Shape:
    """Return columns and indexes by table."""
    found = sa.inspect(database.engine)
    return {
        table: frozenset(
            [column["name"] for column in found.get_columns(table)]
            + [str(index["name"]) for index in found.get_indexes(table)]
        )
        for table in found.get_table_names()
    }


def an_analysis_waits(database: Database) -> None:
    receive(database)
    routed(database, CORD)


def an_analysis_is_done(database: Database) -> None:
    assert work(database).series_uid == CORD.series_uid


def a_result_waits(database: Database) -> None:
    an_analysis_waits(database)
    work(database)
    with database.write() as session:
        session.execute(sa.text("UPDATE studies SET last_received_at = 0"))
    (run_id,) = begin(database)
    report(database, run_id, "1.9")


def a_result_is_taken(database: Database) -> None:
    with database.write() as session:
        turn = outbox.claim(session, "sender", known=("pacs",), lease_s=60)
    assert turn is not None
    assert len(turn.deliveries) == 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("waits", "goes_on"), [(an_analysis_waits, an_analysis_is_done), (a_result_waits, a_result_is_taken)]
)
def test_a_release_goes_back_step_by_step_and_up_again_and_what_waited_goes_on(
    tmp_path: Path, size: str, waits: Callable[[Database], None], goes_on: Callable[[Database], None]
) -> None:
    revisions = [one.revision for one in ScriptDirectory(str(schema.MIGRATIONS)).walk_revisions()][::-1]
    with database_of(size, tmp_path) as database:
        on_the_way_up: dict[str, Shape] = {}
        for revision in revisions:
            schema.upgrade(database, to=revision)
            on_the_way_up[revision] = shape(database)
        waits(database)
        back = [revision for revision in revisions[:-1] if revision >= EARLIEST]
        differing = []
        for revision in back[::-1]:
            schema.downgrade(database, to=revision)
            if shape(database) != on_the_way_up[revision]:
                differing.append(revision)
        schema.upgrade(database)

        assert differing == []
        assert schema.drift(database) == []
        goes_on(database)
