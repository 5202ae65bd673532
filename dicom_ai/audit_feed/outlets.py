"""Where messages go: a file that is rotated, or syslog. deliver() returns when they are there, or raises."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from dicom_ai import syslog
from dicom_ai.errors import Unavailable
from dicom_ai.syslog import Facility, Severity

MESSAGE_ID = "DICOM+RFC3881"
"""MSGID of RFC 5424, by which an audit record repository knows the format (PS3.15 A.6)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message. at: when what it tells of happened, in seconds since 1970. text: XML in one line."""

    at: float
    text: str


class Outlet(Protocol):
    """A place for messages."""

    def deliver(self, messages: Sequence[Message], *, at: float) -> None:
        """Bring messages there, in order. at: now. Raises Unavailable or ConfigError where not all arrived."""


@dataclass(frozen=True, slots=True)
class RotatedFile:
    """A file with a message a line. largest_bytes: it is rotated when larger; None: when a new day (UTC) begins."""

    path: Path
    largest_bytes: int | None = None

    def deliver(self, messages: Sequence[Message], *, at: float) -> None:
        """Append and bring to the disk."""
        try:
            self._rotate(at)
            self._append("".join(f"{message.text}\n" for message in messages).encode())
            os.utime(self.path, (at, at))
        except OSError as error:
            raise Unavailable(f"audit file {self.path}: {error.strerror or type(error).__name__}") from error

    def _append(self, content: bytes) -> None:
        is_new = not self.path.exists()
        self.path.touch(mode=0o640)
        with self.path.open("r+b") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a crash cut the last line; its message comes again
                    file.write(b"\n")
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            _sync_folder(self.path.parent)

    def _rotate(self, at: float) -> None:
        if not self.path.exists():
            return
        stat = self.path.stat()
        last = datetime.fromtimestamp(stat.st_mtime, UTC)
        if self.largest_bytes is None:
            full, suffix = last.date() != datetime.fromtimestamp(at, UTC).date(), f"{last:%Y-%m-%d}"
        else:
            full, suffix = stat.st_size >= self.largest_bytes, f"{last:%Y-%m-%dT%H%M%SZ}"
        if full:
            self.path.rename(_free_name(self.path, suffix))
            _sync_folder(self.path.parent)


@dataclass(frozen=True, slots=True)
class Syslog:
    """A server that takes syslog: security messages, of severity notice."""

    server: syslog.Server

    def deliver(self, messages: Sequence[Message], *, at: float) -> None:
        """Send over one connection."""
        framed = [
            syslog.Message(Facility.AUTHPRIV, Severity.NOTICE, MESSAGE_ID, message.text, message.at)
            for message in messages
        ]
        syslog.send(framed, self.server)


def _free_name(path: Path, suffix: str) -> Path:
    """Return a name for a full file that none has yet."""
    found, number = path.with_name(f"{path.name}.{suffix}"), 1
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}.{suffix}.{number}")
    return found


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
