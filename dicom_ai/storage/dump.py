"""All rows of a database as text, and back: between machines, and between SQLite and PostgreSQL.

Tables are read as they are, whatever the release: a dump goes back into a database of the revision it was taken at,
which is upgraded afterwards.
"""

import json
from collections.abc import Callable, Iterator

import sqlalchemy as sa

from dicom_ai.errors import ConfigError
from dicom_ai.storage import schema
from dicom_ai.storage.database import Database

VERSION_TABLE = "alembic_version"
AT_ONCE = 500


def dump(database: Database, write: Callable[[str, Iterator[bytes]], None]) -> dict[str, int]:
    """Hand every table to write, as lines of JSON, out of one consistent state; return table -> rows."""
    counts = {}
    with database.engine.connect() as connection:
        if database.is_sqlite:
            connection = connection.execution_options(dicom_ai_read_only=True)
        else:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        for table in _tables(connection):
            counts[table.name] = connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            rows = connection.execution_options(yield_per=AT_ONCE).execute(sa.select(table))
            write(table.name, (json.dumps(dict(row._mapping)).encode() + b"\n" for row in rows))
    return counts


def load(database: Database, revision: str, read: Callable[[str], Iterator[bytes]]) -> dict[str, int]:
    """Make the tables of a revision in an empty database and fill them; return table -> rows.

    Raises ConfigError where the database is not empty, or this release does not know the revision.
    """
    if schema.current(database) is not None:
        raise ConfigError("the database is not empty: restore into a new one")
    schema.upgrade(database, to=revision)
    counts = {}
    with database.engine.begin() as connection:
        for table in _tables(connection):
            counts[table.name] = _fill(connection, table, read(table.name))
            _continue_numbers(connection, table)
    return counts


def _tables(connection: sa.Connection) -> list[sa.Table]:
    metadata = sa.MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name != VERSION_TABLE]


def _fill(connection: sa.Connection, table: sa.Table, lines: Iterator[bytes]) -> int:
    number = 0
    batch: list[dict[str, object]] = []
    for line in lines:
        batch.append(json.loads(line))
        number += 1
        if len(batch) == AT_ONCE:
            connection.execute(sa.insert(table), batch)
            batch = []
    if batch:
        connection.execute(sa.insert(table), batch)
    return number


def _continue_numbers(connection: sa.Connection, table: sa.Table) -> None:
    """Let PostgreSQL number on after the rows that came with their numbers; SQLite does so by itself."""
    if connection.dialect.name != "postgresql":
        return
    for column in table.primary_key.columns:
        sequence = connection.scalar(
            sa.text("SELECT pg_get_serial_sequence(:table, :column)"), {"table": table.name, "column": column.name}
        )
        highest = connection.scalar(sa.select(sa.func.max(column))) if sequence else None
        if highest:
            connection.execute(
                sa.text("SELECT setval(:sequence, :highest)"), {"sequence": sequence, "highest": highest}
            )
