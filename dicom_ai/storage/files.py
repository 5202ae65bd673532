"""The file store: bytes that are safe on disk once kept. Paths are made of digests, never of what a peer sent.

A part is written in the folder parts/, synchronised, and renamed to its place, whose folder is synchronised then: a
reader, and a start after a crash, sees a whole file or none.
"""

import errno
import hashlib
import os
import shutil
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

from dicom_ai.errors import StorageFull, Unavailable

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
CHECK_EVERY_BYTES = 64 << 20
"""How much a part may grow before the free space is looked at again."""

LOCKS = 64
RECEIVED = "received"


def free_bytes(folder: Path) -> int:
    """Return how many bytes an ordinary user may still write to the disk of a folder."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def unavailable(error: OSError) -> Unavailable:
    """Return what an error of the disk means: full, or away."""
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    kind = StorageFull if error.errno in FULL else Unavailable
    return kind(f"file store: {reason}")


class FileStore:
    """A folder of kept files.

    root: made when it is absent. reserve_bytes: free space that must remain; below it nothing new is begun.
    free: how the free space is found out; tests hand in their own.
    """

    def __init__(self, root: Path, *, reserve_bytes: int = 0, free: Callable[[Path], int] = free_bytes) -> None:
        self.root = root
        self.reserve_bytes = reserve_bytes
        self._free = free
        self._parts = root / "parts"
        self._locks = tuple(threading.Lock() for _ in range(LOCKS))
        self._parts.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, relative: str) -> Path:
        """Return where a kept file lies. Raises ValueError for a path that leads out of the store."""
        path = self.root / relative
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise ValueError("a path that leads out of the file store")
        return path

    @property
    def present(self) -> bool:
        """Whether the folder of received objects is there; it goes with a volume that is not mounted any more."""
        return (self.root / RECEIVED).is_dir()

    def check_space(self) -> None:
        """Raise StorageFull when the free space is below the reserve."""
        try:
            free = self._free(self._parts)
        except OSError as error:
            raise Unavailable(f"file store: {os.strerror(error.errno or 0)}") from error
        if free < self.reserve_bytes:
            raise StorageFull(f"file store: {free} bytes are free, {self.reserve_bytes} are kept in reserve")

    def new_part(self) -> "PartFile":
        """Return a part to write to. What goes wrong with it is raised when it is kept."""
        return PartFile(self._parts / f"{uuid.uuid4().hex}.part", check_space=self.check_space)

    def keep(self, part: "PartFile", relative: str) -> bool:
        """Make a part durable under a path relative to the store; return whether a file was there before.

        Raises StorageFull or Unavailable, and then nothing of the part is left.
        """
        target = self.path(relative)
        try:
            part.finish()
            self._make_folder(target.parent)
            was_there = target.exists()
            part.move_to(target)
            _synchronise_folder(target.parent)
        except OSError as error:
            part.discard()
            raise unavailable(error) from error
        except Unavailable:
            part.discard()
            raise
        return was_there

    def save(self, data: bytes, relative: str) -> Path:
        """Make bytes durable under a path relative to the store, and return where they lie."""
        part = self.new_part()
        part.write(memoryview(data))
        self.keep(part, relative)
        return self.path(relative)

    def withdraw(self, relative: str) -> None:
        """Remove a kept file that nothing refers to; harmless where there is none."""
        self.path(relative).unlink(missing_ok=True)

    def lock(self, relative: str) -> threading.Lock:
        """Return the lock for those who keep and record the same path at the same time."""
        return self._locks[hash(relative) % LOCKS]

    def remove_parts(self) -> int:
        """Remove what a killed process left unfinished; return how many parts. Only while nobody writes any."""
        parts = list(self._parts.iterdir())
        for part in parts:
            part.unlink(missing_ok=True)
        return len(parts)

    def kept(self, folder: str) -> Iterator[str]:
        """Yield the relative path of every kept file under a folder of the store."""
        for directory, _, names in os.walk(self.root / folder):
            for name in names:
                yield os.path.relpath(Path(directory) / name, self.root)

    def quarantine(self, relative: str) -> str:
        """Move a kept file that cannot be used out of the way, without deleting it; return its new relative path."""
        aside = f"quarantine/{Path(relative).name}"
        self._make_folder(self.path(aside).parent)
        shutil.move(self.path(relative), self.path(aside))
        return aside

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, each durable in its parent."""
        missing = []
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for made in reversed(missing):
            made.mkdir(exist_ok=True, mode=0o700)
            _synchronise_folder(made.parent)


class PartFile:
    """A file on its way into the store. Writing never raises: the first trouble is remembered, the rest dropped."""

    def __init__(self, path: Path, *, check_space: Callable[[], None]) -> None:
        self.path = path
        self.size_bytes = 0
        self.header_bytes = 0
        self._check_space = check_space
        self._digest = hashlib.sha256()
        self._trouble: Exception | None = None
        self._next_check = 0
        self._descriptor = -1
        try:
            self._descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._trouble = unavailable(error)
        self._removal = weakref.finalize(self, _remove, self._descriptor, path)

    @property
    def sha256(self) -> str:
        """The hex digest of what was written after the header."""
        return self._digest.hexdigest()

    @property
    def trouble(self) -> Exception | None:
        """What has gone wrong so far."""
        return self._trouble

    def write_header(self, data: bytes) -> None:
        """Write the bytes that go before the data set and are not part of its digest."""
        self.header_bytes += len(data)
        self._append(memoryview(data))

    def write(self, data: memoryview) -> None:
        """Write the next bytes."""
        if self._trouble is None:
            self._digest.update(data)
            self._append(data)

    def finish(self) -> None:
        """Bring every byte to the disk. Raises what went wrong, StorageFull or Unavailable."""
        if self._trouble is not None:
            raise self._trouble
        os.fsync(self._descriptor)

    def move_to(self, target: Path) -> None:
        """Give the finished file its name; from then on discard() leaves it alone."""
        self.path.replace(target)
        self._removal.detach()
        os.close(self._descriptor)

    def discard(self) -> None:
        """Remove the file; harmless when it was done, or the file moved to its place."""
        self._removal()

    def _append(self, data: memoryview) -> None:
        if self._trouble is not None:
            return
        try:
            if self.size_bytes >= self._next_check:
                self._check_space()
                self._next_check = self.size_bytes + CHECK_EVERY_BYTES
            while data:
                written = os.write(self._descriptor, data)
                self.size_bytes += written
                data = data[written:]
        except OSError as error:
            self._fail(unavailable(error))
        except Unavailable as error:
            self._fail(error)

    def _fail(self, trouble: Exception) -> None:
        """Remember the trouble and give the space back at once."""
        self._trouble = trouble
        self.discard()


def instance_path(study_uid: str, series_uid: str, sop_instance_uid: str, sha256: str) -> str:
    """Return the relative path of a received object: the digests of its UIDs, and the start of that of its bytes.

    Two objects with one UID and different bytes have different paths; the same object always has the same.
    """
    study, series, sop = (
        hashlib.sha256(uid.encode()).hexdigest()[:32] for uid in (study_uid, series_uid, sop_instance_uid)
    )
    return f"{RECEIVED}/{study[:2]}/{study}/{series}/{sop}-{sha256[:32]}.dcm"


def instance_folders() -> Iterator[str]:
    """Yield every folder that instance_path() can begin with, there or not."""
    return (f"{RECEIVED}/{number:02x}" for number in range(256))


def _remove(descriptor: int, path: Path) -> None:
    if descriptor >= 0:
        os.close(descriptor)
    path.unlink(missing_ok=True)


def _synchronise_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
