"""The two sizes of a node for tests: SQLite and PostgreSQL, both with a broker between processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicom_ai.settings import Brakes, Models, Node, Settings, Storage, Timing, Workers
from tests.integration.servers import postgres, redis_server

QUICK = Timing(
    series_quiet_s=0.2,
    study_quiet_s=0.4,
    report_limit_s=60,
    association_stale_s=5,
    clock_s=0.2,
    lease_s=2,
    token_gap_s=1,
    retry_first_s=0.2,
    retry_longest_s=1,
)
"""Waits of a fraction of a second where the node's own are minutes."""

SIZES = ("sqlite", "postgresql")


@contextmanager
def settings_of(size: str, folder: Path) -> Iterator[Settings]:
    """Yield the settings of a node of this size with its servers running and its data in a folder."""
    with redis_server() as broker_url:
        if size == "sqlite":
            yield _settings(folder, "", broker_url)
        else:
            with postgres() as database_url:
                yield _settings(folder, database_url, broker_url)


def as_toml(settings: Settings, path: Path) -> Path:
    """Write what these tests set to a settings file."""
    timing = "\n".join(f"{name} = {value}" for name, value in settings.timing.model_dump().items())
    path.write_text(
        f"""
[node]
address = "127.0.0.1"
port = 0
[storage]
data_dir = "{settings.storage.data_dir}"
database_url = "{settings.storage.database_url}"
reserve_bytes = 0
[workers]
broker_url = "{settings.workers.broker_url}"
[models]
device = "cpu"
threads = 1
[brakes]
max_study_age_days = 0
[timing]
{timing}
"""
    )
    return path


def settings_with(folder: Path, broker_url: str) -> Settings:
    """Return the settings of a node on SQLite with a broker that the test starts and stops."""
    return _settings(folder, "", broker_url)


def _settings(folder: Path, database_url: str, broker_url: str) -> Settings:
    return Settings(
        node=Node(address="127.0.0.1", port=0),
        storage=Storage(data_dir=folder, database_url=database_url, reserve_bytes=0),
        workers=Workers(broker_url=broker_url),
        models=Models(device="cpu", threads=1),
        timing=QUICK,
        brakes=Brakes(max_study_age_days=0),
    )
