"""Small file systems, and volumes that come and go. They need the right to mount: root, or a namespace of one's own."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.skip import Skipped

MS_BIND = 4096
MNT_DETACH = 2


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount an empty file system of so many megabytes on a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("tmpfs", folder, "tmpfs", 0, f"size={megabytes}m,mode=0700")
    try:
        yield folder
    finally:
        _unmount(folder)


class Volume:
    """A volume on a mount point; its content stays while it is away."""

    def __init__(self, folder: Path, mount_point: Path) -> None:
        self._folder, self._mount_point = folder, mount_point
        self._attached = False
        folder.mkdir(parents=True)
        mount_point.mkdir(parents=True)

    def attach(self) -> None:
        """Mount it."""
        _mount(str(self._folder), self._mount_point, "", MS_BIND, "")
        self._attached = True

    def detach(self) -> None:
        """Take it away, open files or not: what is under the mount point is seen instead."""
        if self._attached:
            _unmount(self._mount_point)
            self._attached = False


def fill(folder: Path, *, leave_bytes: int = 0) -> Path:
    """Fill the file system of a folder with one file, but for some bytes; return the file."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        for _ in range(100):
            disk = os.statvfs(folder)
            size = file.seek(0, os.SEEK_END) + disk.f_bavail * disk.f_frsize - leave_bytes
            with suppress(OSError):  # others write too: what is free may be less by now, and then nothing is taken
                os.posix_fallocate(file.fileno(), 0, size)
                return ballast
    raise OSError("others write faster than the disk can be filled")


def _mount(source: str, target: Path, kind: str, flags: int, options: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    names = (source.encode(), str(target).encode(), kind.encode())
    if libc.mount(*names, ctypes.c_ulong(flags), options.encode()):
        raise Skipped(f"mounting is not allowed here: {os.strerror(ctypes.get_errno())} (run it as root)")


def _unmount(target: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(str(target).encode(), MNT_DETACH):
        raise OSError(ctypes.get_errno(), f"cannot unmount {target}")
