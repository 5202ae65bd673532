"""One database, by URL: SQLite in WAL mode for one machine, PostgreSQL for more.

A session is the unit of work. Functions in the sibling modules take one and return domain values, never rows.
Time is taken with now(session), inside the transaction: a waiter's earlier clock would hide rows written meanwhile.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.errors import Unavailable

BUSY_TIMEOUT_S = 30


class Database:
    """Sessions on one database; safe to share between threads.

    url: a SQLAlchemy URL ("sqlite:////var/lib/dicom-ai/dicom-ai.db", "postgresql+psycopg://...").
    clock: where the time comes from; tests hand in their own.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        self.url = url
        self.clock = clock
        self.is_sqlite = url.startswith("sqlite")
        self.engine = _sqlite_engine(url) if self.is_sqlite else _server_engine(url)
        # SQLite polls for its write lock; threads of one process queue here instead, in turn and without sleeping.
        self._writer = threading.Lock() if self.is_sqlite else None

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session whose transaction has begun; commit at the end, roll back on any error.

        Raises Unavailable when the database does not answer or its lock does not come free.
        """
        if self._writer is not None and not self._writer.acquire(timeout=BUSY_TIMEOUT_S):
            raise Unavailable(f"database: the write lock did not come free within {BUSY_TIMEOUT_S} s")
        try:
            with self._session(read_only=False) as session:
                yield session
        finally:
            if self._writer is not None:
                self._writer.release()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session for reading one consistent state; nothing is committed."""
        with self._session(read_only=True) as session:
            yield session

    @contextmanager
    def _session(self, *, read_only: bool) -> Iterator[Session]:
        session = Session(self.engine, expire_on_commit=False, info={"clock": self.clock})
        try:
            session.connection(execution_options={"dicom_ai_read_only": read_only})  # begins, and takes the lock
            yield session
            if not read_only:
                session.commit()
        except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
            raise Unavailable(f"database: {error.orig or type(error).__name__}") from error
        except sa.exc.IntegrityError as error:
            if not _was_first(error):
                raise
            raise Unavailable("database: another transaction wrote the same row first") from None  # it quotes values
        finally:
            session.close()

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def _was_first(error: sa.exc.IntegrityError) -> bool:
    """Whether a row was refused because another transaction has written it: tried again, it is found there."""
    return getattr(error.orig, "sqlstate", "") == "23505" or "UNIQUE constraint" in str(error.orig)


def now(session: Session) -> float:
    """Return the time inside this transaction, in seconds since 1970."""
    clock: Callable[[], float] = session.info["clock"]
    return clock()


def lock_study(session: Session, study_uid: str) -> None:
    """Let one transaction at a time change a study. SQLite has one writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:uid, 0))"), {"uid": study_uid})


def _sqlite_engine(url: str) -> sa.Engine:
    engine = sa.create_engine(
        url, hide_parameters=True, pool_size=10, max_overflow=50, connect_args={"timeout": BUSY_TIMEOUT_S}
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where _begin says, not where sqlite3 guesses
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # an acknowledged image must survive a power cut
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA secure_delete=ON")  # a secret that was changed is overwritten, as Debian's SQLite does
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        read_only = connection.get_execution_options().get("dicom_ai_read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _server_engine(url: str) -> sa.Engine:
    engine = sa.create_engine(url, hide_parameters=True, pool_size=10, max_overflow=50, pool_pre_ping=True)

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.execute("SET jit = off")  # compiling a statement took two seconds, the statement two milliseconds
        connection.commit()

    return engine
