"""kill -9 of a process that deletes images: no row says kept without its file, and the next look finishes the rest."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import sqlalchemy as sa

from dicom_ai.domain.received import ReceivedInstance
from dicom_ai.pipeline import retain
from dicom_ai.storage import schema, studies
from dicom_ai.storage.database import Database
from dicom_ai.storage.files import FileStore, instance_path
from dicom_ai.storage.retention import Limits
from dicom_ai.storage.tables import InstanceRow, SeriesRow

KILLS, STUDIES, IMAGES = 6, 20, 60
AT_ONCE = Limits(unwanted_s=1e-6, analysed_s=0, results_s=0)
DELETE = """
import sys
from pathlib import Path
from dicom_ai.pipeline import retain
from dicom_ai.storage.database import Database
from dicom_ai.storage.files import FileStore
from dicom_ai.storage.retention import Limits
database, files = Database(sys.argv[1]), FileStore(Path(sys.argv[2]))
retain.AT_ONCE = 7
print("go", flush=True)
retain.run(database, files, Limits(unwanted_s=1e-6, analysed_s=0, results_s=0))
print("done", flush=True)
"""


def fill(database: Database, files: FileStore) -> None:
    """Keep images of studies that no rule wanted."""
    for study in range(STUDIES):
        with database.write() as session:
            for number in range(IMAGES):
                uid, sha256 = f"1.2.{study}.1.{number}", f"{number:064x}"
                path = instance_path(f"1.2.{study}", f"1.2.{study}.1", uid, sha256)
                files.path(path).parent.mkdir(parents=True, exist_ok=True)
                files.path(path).write_bytes(b"image")
                studies.record_instance(
                    session,
                    ReceivedInstance(f"1.2.{study}", f"1.2.{study}.1", uid, "1.2", "1.2", sha256, 5, path, 0.0),
                )
            session.execute(sa.update(SeriesRow).values(routed_revision=SeriesRow.revision))


def paths(database: Database, *standings: str) -> set[str]:
    with database.read() as session:
        return set(session.scalars(sa.select(InstanceRow.path).where(InstanceRow.standing.in_(standings))))


def test_a_killed_deletion_leaves_nothing_between(tmp_path: Path) -> None:
    database, files = Database(f"sqlite:///{tmp_path / 'node.db'}"), FileStore(tmp_path / "data")
    schema.upgrade(database)
    fill(database, files)
    moments = random.Random(3)
    interrupted = 0
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", DELETE, database.url, str(files.root)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        time.sleep(moments.uniform(0.0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        on_disk = set(files.kept("received"))
        assert paths(database, "kept") <= on_disk
        assert on_disk <= paths(database, "kept", "deleting")
        interrupted += bool(paths(database, "kept", "deleting"))

    retain.run(database, files, AT_ONCE)
    assert interrupted > 0
    assert list(files.kept("received")) == []
    assert len(paths(database, "deleted")) == STUDIES * IMAGES
    database.close()
