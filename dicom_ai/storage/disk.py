"""The disk: how full it is, and the day it will be full."""

import os
from dataclasses import dataclass
from pathlib import Path

WARNINGS = (0.85, 0.75)
"""Shares of the disk in use from which on a person is warned, the highest first."""

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Disk:
    """Space in bytes: all of it, and what an ordinary user may still write."""

    total: int
    free: int

    @property
    def used(self) -> float:
        """The share in use, 0 to 1."""
        return 1 - self.free / self.total if self.total else 1.0

    def warning(self, *, reserve_bytes: int) -> str:
        """Return what a person should know; "" while there is space enough."""
        if self.free < reserve_bytes:
            return f"the disk is full: {self.free} bytes are free, below the reserve; images are refused (A700)"
        for share in WARNINGS:
            if self.used >= share:
                return f"the disk is {self.used:.0%} full, over {share:.0%}: dicom-ai storage says of what"
        return ""

    def full_at(self, *, reserve_bytes: int, growth_per_day: float, at: float) -> float | None:
        """Return when only the reserve is left, in seconds since 1970; None where it does not grow."""
        if growth_per_day <= 0:
            return None
        return at + max(self.free - reserve_bytes, 0) / growth_per_day * DAY_S


def disk_of(folder: Path) -> Disk:
    """Return the disk a folder lies on."""
    found = os.statvfs(folder)
    return Disk(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


def size_of(folder: Path) -> int:
    """Return the bytes of all files under a folder; 0 where there is none. Files that go meanwhile do not count."""
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(directory) / name).lstat().st_size
            except FileNotFoundError:
                continue
    return total
