"""The schema's version: bring a database to the tables of this release, or say that it is not there."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from dicom_ai.errors import ConfigError
from dicom_ai.storage import evidence_tables, neighbour_tables, watch_tables, web_tables  # noqa: F401 - for metadata
from dicom_ai.storage.database import Database
from dicom_ai.storage.tables import Table

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_KEY = 0x64636D6169  # any number, the same in every process: "dcmai"


def upgrade(database: Database, *, to: str = "head") -> None:
    """Bring the database to a revision, the newest by default; safe when several processes start at once."""
    _migrate(database, command.upgrade, to)


def downgrade(database: Database, *, to: str) -> None:
    """Take the database back to a revision ("base" drops everything)."""
    _migrate(database, command.downgrade, to)


def newest() -> str:
    """Return the revision that this release needs."""
    return str(ScriptDirectory(str(MIGRATIONS)).get_current_head())


def current(database: Database) -> str | None:
    """Return the revision the database is at; None when it is empty. Raises Unavailable where it does not answer."""
    with database.read() as session:
        return MigrationContext.configure(session.connection()).get_current_revision()


def require_newest(database: Database) -> None:
    """Raise ConfigError unless the database is at the revision this release needs."""
    found = current(database)
    if found != newest():
        raise ConfigError(
            f"the database is at revision {found or 'none'}, {newest()} is needed: run dicom-ai db upgrade"
        )


def drift(database: Database) -> list[Any]:
    """Return what differs between the database and the tables of this release; empty when they agree."""
    with database.read() as session:
        opts = {"compare_type": True, "include_object": _is_everywhere}
        context = MigrationContext.configure(session.connection(), opts=opts)
        return list(compare_metadata(context, Table.metadata))


def _is_everywhere(_item: Any, name: str | None, _kind: str, _reflected: bool, _compared: Any) -> bool:
    """Say whether something is the same in every database: the index for searches is not (migration 0017)."""
    return name != "ix_studies_search"


def _migrate(database: Database, action: Any, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    current(database)  # a database that does not answer is told as everywhere, not by the driver
    with database.engine.connect() as connection:
        if database.is_sqlite:  # a batch migration drops and renames tables; only outside a transaction can this change
            connection.connection.execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            if not database.is_sqlite:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
            config.attributes["connection"] = connection
            try:
                action(config, revision)
            except CommandError as error:
                raise ConfigError(f"the database cannot be brought to {revision}: {error}") from error
        connection.invalidate()  # the next user of the pool gets a connection with foreign keys checked
