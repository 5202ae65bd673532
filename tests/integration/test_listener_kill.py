"""kill -9 of a real `dicom-ai listen` at many moments: what it acknowledged is on disk byte for byte, and indexed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_ai.dimse import scu
from dicom_ai.errors import DicomAiError
from dicom_ai.settings import Storage
from tests.integration.listening import CALLED, CALLING, as_sent, associated, listening, mr_files
from tests.integration.servers import postgres
from tests.integration.sizes import SIZES
from tests.peers import free_port

IMAGES = 200
MOMENTS = 20

SETTINGS = """
[node]
ae_title = "{called}"
address = "127.0.0.1"
port = {port}
[storage]
data_dir = "{folder}"
database_url = "{database_url}"
reserve_bytes = 0
[[peers]]
ae_title = "{calling}"
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return mr_files(tmp_path_factory.mktemp("images"), IMAGES)


@pytest.fixture(params=SIZES)
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The database of each size: SQLite in the data folder, or a PostgreSQL server."""
    if request.param == "sqlite":
        yield ""
    else:
        with postgres() as url:
            yield url


def start(folder: Path, port: int, database_url: str = "") -> subprocess.Popen[bytes]:
    """Start the process and wait until it answers C-ECHO."""
    settings = folder / "settings.toml"
    data = folder / "data"
    text = SETTINGS.format(called=CALLED, calling=CALLING, port=port, folder=data, database_url=database_url)
    settings.write_text(text)
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dicom_ai", "listen", "--config", str(settings)],
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    peer = scu.RemoteAe("127.0.0.1", port, CALLED, CALLING)
    for _ in range(600):
        try:
            scu.c_echo(peer, timeouts=scu.Timeouts(acse_s=2))
            return process
        except DicomAiError:
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
    raise AssertionError("the listener did not start")


def send_until_it_dies(port: int, images: list[Path], answered: list[Path], seen: threading.Semaphore) -> None:
    """Send images one after the other; note each that was answered with Success."""
    with associated(port) as association:
        for path in images:
            status = association.send_c_store(path)
            if "Status" not in status:
                return
            if status.Status == 0x0000:
                answered.append(path)
                seen.release()


def test_no_acknowledged_image_is_lost_by_kill_at_twenty_moments(tmp_path: Path, images: list[Path], database_url: str):
    """One store lives through all the kills; each round sends its tenth of the images, and is killed within."""
    port = free_port()
    acknowledged: list[Path] = []
    step = IMAGES // MOMENTS
    for moment in range(MOMENTS):
        process = start(tmp_path, port, database_url)
        seen = threading.Semaphore(0)
        batch = images[moment * step :]
        sender = threading.Thread(target=send_until_it_dies, args=(port, batch, acknowledged, seen))
        sender.start()
        for _ in range(step):
            assert seen.acquire(timeout=30)
        time.sleep(0.0004 * moment)  # an image takes a few milliseconds: the kills fall all over that time
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        sender.join(timeout=60)

    storage = Storage(data_dir=tmp_path / "data", database_url=database_url, reserve_bytes=0)
    with listening(tmp_path / "data", storage=storage) as running:
        rows = {row.sop_instance_uid: row for row in running.instances()}
        kept = {uid: as_sent(running.files.path(row.path)) for uid, row in rows.items()}

        assert len(set(acknowledged)) >= IMAGES - step
        assert all(as_sent(path) in kept.values() for path in acknowledged)
        assert sorted(row.path for row in rows.values()) == running.kept()
        assert running.parts() == []
        assert {row.standing for row in rows.values()} == {"kept"}
        assert not list((tmp_path / "data").glob("quarantine/*"))


def test_sigterm_finishes_what_is_in_flight(tmp_path: Path, images: list[Path]):
    port = free_port()
    process = start(tmp_path, port)
    answered: list[Path] = []
    seen = threading.Semaphore(0)
    sender = threading.Thread(target=send_until_it_dies, args=(port, images, answered, seen))
    sender.start()
    assert seen.acquire(timeout=30)

    process.terminate()

    assert process.wait(timeout=30) == 0
    sender.join(timeout=30)
    assert len(answered) == IMAGES
