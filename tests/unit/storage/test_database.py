import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from dicom_ai.errors import Unavailable
from dicom_ai.storage import audit
from dicom_ai.storage.database import Database, now
from tests.unit.storage.conftest import Clock


def number_of_events(database: Database) -> int:
    with database.read() as session:
        return len(audit.events(session))


def test_a_write_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write() as session:
        audit.record(session, "a", "b", "c")
        raise RuntimeError

    assert number_of_events(database) == 0


def test_what_a_reader_changes_is_not_kept(database: Database) -> None:
    with database.read() as session:
        audit.record(session, "a", "b", "c")
        session.flush()

    assert number_of_events(database) == 0


def test_sqlite_keeps_an_acknowledged_commit_through_a_power_cut(database: Database) -> None:
    with database.read() as session:
        settings = {name: session.scalar(sa.text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")}

    assert settings == {"journal_mode": "wal", "synchronous": 2}  # 2: FULL


def test_time_is_taken_after_the_lock_was_waited_for(database: Database, clock: Clock) -> None:
    """A waiter with an earlier clock would not see what is due because of a row written meanwhile."""
    seen: list[float] = []
    waiting = threading.Event()

    def wait_for_the_lock() -> None:
        waiting.set()
        with database.write() as session:
            seen.append(now(session))

    with database.write():
        waiter = threading.Thread(target=wait_for_the_lock)
        waiter.start()
        waiting.wait()
        time.sleep(0.05)
        clock.advance(100)
    waiter.join()

    assert seen == [1_000_100.0]


def test_many_threads_write_in_turn(database: Database) -> None:
    def write_some() -> None:
        for _ in range(10):
            with database.write() as session:
                audit.record(session, "a", "b", "c")

    threads = [threading.Thread(target=write_some) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert number_of_events(database) == 160


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    missing = Database(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")

    with pytest.raises(Unavailable, match="unable to open"), missing.read():
        pass


def test_a_writer_that_keeps_the_lock_makes_the_next_one_give_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_ai.storage.database.BUSY_TIMEOUT_S", 0.01)
    told = r"^database: the write lock did not come free within 0\.01 s$"

    with database.write(), pytest.raises(Unavailable, match=told), database.write():
        pass


def test_a_database_error_does_not_quote_values(database: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError) as caught, database.write() as session:
        session.execute(sa.text("INSERT INTO audit (id, actor) VALUES (1, :name)"), {"name": "DOE^JANE"})

    assert "DOE" not in str(caught.value)
