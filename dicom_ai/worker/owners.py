"""Who holds a job: a name that tells whether its process still lives, on the machine where it ran."""

import os
import socket
import uuid
from collections.abc import Iterable
from pathlib import Path


def new_owner() -> str:
    """Return a name for this process, never used before."""
    return f"{_here()}/{os.getpid()}/{_started(os.getpid())}/{uuid.uuid4().hex[:12]}"


def dead(owners: Iterable[str]) -> list[str]:
    """Return those whose process ran here and is gone. Of other machines nothing is known: their leases decide."""
    return [owner for owner in owners if _is_dead(owner)]


def _is_dead(owner: str) -> bool:
    here, _, rest = owner.partition("/")
    pid, _, rest = rest.partition("/")
    return here == _here() and pid.isdigit() and _started(int(pid)) != rest.partition("/")[0]


def _here() -> str:
    """Name this machine and its process table: containers may share a host name, not a table."""
    table = Path("/proc/self/ns/pid")
    number = str(table.readlink()).strip("pid:[]") if table.is_symlink() else "0"
    return f"{socket.gethostname()}+{number}".replace("/", "-")


def _started(pid: int) -> str:
    """Return when a process began, in clock ticks since boot; "" when it is gone. A number may be used again."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return ""
    fields = status.rpartition(")")[2].split()  # the name before it may contain anything
    return "" if fields[0] == "Z" else fields[19]
