"""A database file of the test's own, with a clock the test turns."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicom_ai.storage import schema
from dicom_ai.storage.database import Database


@dataclass
class Clock:
    """A clock that stands still until it is turned."""

    at: float = 1_000_000.0

    def __call__(self) -> float:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path, clock: Clock) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'node.db'}", clock=clock)
    schema.upgrade(database)
    yield database
    database.close()
