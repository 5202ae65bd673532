"""Eight senders at the rate the machine can take, then peers that are silent, slow, and abort in mid-image.

Starts a node of its own (`dicom-ai serve`, SQLite) in a folder that is removed, sends for so many minutes, and checks
every acknowledged image in index and file. Prints the table of docs/faults.md and draws rate and memory as SVG.

python -m benchmarks.load --minutes 30 --plot docs/images/load.svg
"""

import argparse
import hashlib
import itertools
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import sqlalchemy as sa

from benchmarks.wire_sender import CALLED, CALLING, Connection, Images, send
from dicom_ai.storage.database import Database
from dicom_ai.storage.tables import InstanceRow
from tests.integration.listening import as_sent
from tests.peers import REPOSITORY, free_port
from tests.unit.inference.models import model_folder, threshold_graph

SAMPLE_S = 5.0
SETTINGS = """
[node]
ae_title = "{called}"
address = "127.0.0.1"
port = {port}
[storage]
data_dir = "{folder}/data"
[models]
directory = "{folder}/models"
device = "cpu"
threads = 1
[rules]
seed = "{folder}/rules.toml"
[brakes]
max_study_age_days = 0
[web]
port = {web_port}
[[peers]]
ae_title = "{calling}"
"""
RULE = """
[[rule]]
name = "never"
model = "bright"
destinations = []
outputs = ["sr"]
state = "on"
all = [{ keyword = "Modality", equals = "XX" }]
"""


@dataclass(frozen=True)
class Sample:
    """The node at a moment: images acknowledged so far, and the memory of all its processes."""

    at_s: float
    images: int
    memory_mb: float


@dataclass(frozen=True)
class Phase:
    """What the eight senders reached, and the node used, while one more peer behaved as named."""

    name: str
    images: int
    seconds: float
    processor_s: float
    refused: int

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds

    @property
    def processor_ms_an_image(self) -> float:
        """What an image costs the node, whatever else the machine does meanwhile."""
        return 1e3 * self.processor_s / self.images


class Watch:
    """Counts what the books of the senders say, and looks at the node's memory, until it is stopped."""

    def __init__(self, node: psutil.Process, books: Path) -> None:
        self.node, self._books = node, books
        self._stopped = threading.Event()
        self._begin = time.monotonic()
        self.samples: list[Sample] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(SAMPLE_S):
            self.samples.append(Sample(time.monotonic() - self._begin, acknowledged(self._books), memory(self.node)))


def acknowledged(books: Path) -> int:
    """Return how many images the senders were told are stored."""
    return sum(_lines(book) for book in books.glob("*.txt")) - refused(books)


def refused(books: Path) -> int:
    """Return how many images were answered with something else."""
    return sum(book.read_bytes().count(b"!") for book in books.glob("*.txt"))


def memory(node: psutil.Process) -> float:
    """Return the resident memory of a process and its children, in MB."""
    total = 0
    for process in (node, *node.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / 1e6


def processor(node: psutil.Process) -> float:
    """Return the processor time that a process and its children have used, in seconds."""
    total = 0.0
    for process in (node, *node.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(partial(file.read, 1 << 20), b""))


@contextmanager
def node(folder: Path, port: int) -> Iterator[psutil.Process]:
    """Run `dicom-ai serve` with a rule that takes nothing."""
    model_folder(folder / "models" / "bright", threshold_graph(500.0), options='activation = "sigmoid"')
    (folder / "rules.toml").write_text(RULE)
    values = {"called": CALLED, "calling": CALLING, "port": port, "folder": folder, "web_port": free_port()}
    config = folder / "node.toml"
    config.write_text(SETTINGS.format(**values))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dicom_ai", "serve", "--rules-on", "--config", str(config)],
            cwd=REPOSITORY,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=log,
        )
        try:
            _wait(lambda: _accepts(port))
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)


def _wait(ready: Callable[[], bool]) -> None:
    until = time.monotonic() + 90
    while not ready():
        if time.monotonic() > until:
            raise TimeoutError("the node did not start")
        time.sleep(0.2)


def _accepts(port: int) -> bool:
    try:
        connection = Connection(port)
        connection.associate()
        connection.close()
    except OSError:
        return False
    return True


def silent(port: int, until: float) -> None:
    """Open connections that never say a word, one that stops in the middle of a PDU, and an idle association."""
    idle = Connection(port)
    idle.associate()
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    sockets[0].sendall(b"\x01\x00\x00")
    time.sleep(max(until - time.monotonic(), 0))
    for one in sockets:
        one.close()
    with suppress(OSError):
        idle.close()


def slow(port: int, until: float) -> None:
    """Send one image at 500 bytes a second."""
    connection = Connection(port)
    connection.associate()
    (image,) = Images(98, side=128).study(1, 1)
    with suppress(OSError):
        connection.store_slowly(image, bytes_per_s=500, until=until)


def aborting(port: int, until: float) -> None:
    """Abort in the middle of images, again and again."""
    (image,) = Images(99, side=128).study(1, 1)
    number = 0
    while time.monotonic() < until:
        connection = Connection(port)
        connection.associate()
        connection.abort_within(image, 0.1 + 0.8 * (number % 9) / 8)
        number += 1
        time.sleep(0.05)


def phase(name: str, watch: Watch, books: Path, seconds: float, peer: Callable[[float], None] | None = None) -> Phase:
    """Let the senders go on for some time beside a peer; return what they reached."""
    images, complaints, used_s, begin = acknowledged(books), refused(books), processor(watch.node), time.monotonic()
    until = begin + seconds
    if peer is not None:
        threading.Thread(target=peer, args=(until,), daemon=True).start()
    time.sleep(seconds)
    seconds, processor_s = time.monotonic() - begin, processor(watch.node) - used_s
    return Phase(name, acknowledged(books) - images, seconds, processor_s, refused(books) - complaints)


def lost(folder: Path, books: Path) -> int:
    """Return how many acknowledged images are not in the index, or not in their file as they were sent."""
    database = Database(f"sqlite:///{folder / 'data' / 'dicom-ai.db'}")
    with database.read() as session:
        rows = session.execute(sa.select(InstanceRow.sop_instance_uid, InstanceRow.path)).all()
    database.close()
    paths = {uid: folder / "data" / path for uid, path in rows}
    count = 0
    for book in books.glob("*.txt"):
        for line in book.read_text().splitlines():
            uid, digest = line.split()
            if uid != "!":
                count += not _is_kept(paths.get(uid), digest)
    return count


def _is_kept(path: Path | None, digest: str) -> bool:
    if path is None or not path.exists():
        return False
    return hashlib.sha256(as_sent(path)).hexdigest()[:32] == digest


def growth(samples: list[Sample]) -> float:
    """Return by how much memory grew over the second half, as a share: mean of its last quarter to its first."""
    half = samples[len(samples) // 2 :]
    quarter = max(len(half) // 4, 1)
    first, last = half[:quarter], half[-quarter:]
    return sum(one.memory_mb for one in last) / len(last) / (sum(one.memory_mb for one in first) / len(first)) - 1


def plot(samples: list[Sample], path: Path) -> None:
    """Draw rate and memory over time as SVG."""
    times = [one.at_s / 60 for one in samples]
    rates = [0.0] + [
        (after.images - before.images) / (after.at_s - before.at_s) for before, after in itertools.pairwise(samples)
    ]
    memories = [one.memory_mb for one in samples]
    panels = _panel(times, rates, 0, "images acknowledged per second") + _panel(times, memories, 210, "memory, MB")
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 420" font-family="sans-serif" font-size="12">\n'
        f'<rect width="720" height="420" fill="white"/>\n{panels}</svg>\n'
    )


def _panel(times: list[float], values: list[float], top: int, title: str) -> str:
    most, longest = max(values) * 1.1 or 1.0, max(times)
    points = " ".join(
        f"{60 + 640 * at / longest:.1f},{top + 180 - 140 * value / most:.1f}"
        for at, value in zip(times, values, strict=True)
    )
    lines = [f'<text x="60" y="{top + 24}" font-weight="bold">{title}</text>']
    for share in (0.0, 0.5, 1.0):
        y = top + 180 - 140 * share
        lines.append(f'<line x1="60" x2="700" y1="{y}" y2="{y}" stroke="#ddd"/>')
        lines.append(f'<text x="52" y="{y + 4}" text-anchor="end">{most * share:.0f}</text>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = 60 + 640 * share
        lines.append(f'<text x="{x}" y="{top + 198}" text-anchor="middle">{longest * share:.0f} min</text>')
    lines.append(f'<polyline points="{points}" fill="none" stroke="#1f6f8b" stroke-width="1.5"/>')
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run it; exit with 1 when an image was lost or refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30, help="of the eight senders alone")
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--side", type=int, default=128, help="rows and columns of an image")
    parser.add_argument("--phase-s", type=float, default=60, help="how long each bad peer is there")
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dicom-ai-load-"))
    books = folder / "books"
    books.mkdir()
    port = free_port()
    try:
        with node(folder, port) as process:
            watch, phases = _run(arguments, process, port, books)
        missing = lost(folder, books)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for one in phases:
        print(f"{one.name:45} {one.images:8} images  {one.rate:7.1f}/s  ", end="")
        print(f"{one.processor_ms_an_image:6.1f} ms of processor each  {one.refused} refused")
    print(f"acknowledged {watch.samples[-1].images} or more, lost {missing}")
    alone = [sample for sample in watch.samples if sample.at_s <= arguments.minutes * 60]
    memories = [sample.memory_mb for sample in alone]
    print(f"memory {memories[0]:.0f} MB at first, {max(memories):.0f} at most, {memories[-1]:.0f} at last; ", end="")
    print(f"second half {growth(alone):+.1%}")
    if arguments.plot:
        plot(watch.samples, arguments.plot)
    return 1 if missing or any(one.refused for one in phases) else 0


def _run(arguments: argparse.Namespace, process: psutil.Process, port: int, books: Path) -> tuple[Watch, list[Phase]]:
    peers: tuple[tuple[str, Callable[[int, float], None] | None], ...] = (
        ("alone again", None),
        ("beside a silent peer", silent),
        ("beside a slow peer", slow),
        ("beside one that aborts in mid-image", aborting),
        ("alone at the end", None),
    )
    until = time.monotonic() + arguments.minutes * 60 + arguments.phase_s * len(peers)
    spawn = multiprocessing.get_context("spawn")
    options = {"until": until, "side": arguments.side, "images_per_study": 60}
    senders = [
        spawn.Process(target=send, args=(port, number), kwargs={**options, "book": books / f"{number}.txt"})
        for number in range(arguments.senders)
    ]
    for sender in senders:
        sender.start()
    watch = Watch(process, books)
    phases = [phase(f"{arguments.senders} senders", watch, books, arguments.minutes * 60)]
    for name, peer in peers:
        phases.append(phase(name, watch, books, arguments.phase_s, partial(peer, port) if peer else None))
    for sender in senders:
        sender.join()
    watch.stop()
    if any(sender.exitcode for sender in senders):
        raise SystemExit("a sender ended with an error")
    return watch, phases


if __name__ == "__main__":
    sys.exit(main())
