from pathlib import Path

import pytest
import sqlalchemy as sa

from dicom_ai.errors import ConfigError
from dicom_ai.storage import schema
from dicom_ai.storage.database import Database
from tests.unit.storage.test_runs import CORD, receive, routed, work


def test_the_migrations_make_the_tables_of_this_release(database: Database) -> None:
    assert schema.current(database) == schema.newest()
    assert schema.drift(database) == []


def test_going_back_to_base_and_up_again_ends_at_the_same_tables(database: Database) -> None:
    schema.downgrade(database, to="base")
    schema.upgrade(database)

    assert schema.drift(database) == []


def test_an_empty_database_is_refused_with_what_to_do(tmp_path: Path) -> None:
    empty = Database(f"sqlite:///{tmp_path / 'empty.db'}")

    with pytest.raises(ConfigError, match=r"revision none, .* is needed: run dicom-ai db upgrade"):
        schema.require_newest(empty)
    empty.close()


def test_the_database_of_a_newer_release_is_refused(database: Database) -> None:
    with database.write() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(ConfigError, match=r"^the database cannot be brought to head: .*9999"):
        schema.upgrade(database)
    with pytest.raises(ConfigError, match=r"at revision 9999"):
        schema.require_newest(database)


def test_an_upgrade_keeps_studies_and_the_work_that_waits(database: Database) -> None:
    receive(database)
    routed(database, CORD)
    schema.downgrade(database, to="0002")
    schema.upgrade(database)

    assert schema.drift(database) == []
    assert work(database).series_uid == "1.2.1"
