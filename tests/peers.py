"""Real peers for tests: found or skipped with the reason; under CI=true a missing one is a failure."""

import os
import shutil
import socket
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def need_program(name: str, *, package: str = "") -> str:
    """Return the path of a program, or skip (fail under CI=true) with what to install."""
    found = shutil.which(name) or next((str(p) for p in _elsewhere(name) if p.exists()), None)
    if found:
        return found
    return _absent(f"{name} is not installed (Debian package {package or name})")


def need_data(*parts: str) -> Path:
    """Return a path inside the shared data folder, or skip with the reason.

    The data are never committed, and a machine without them is a fair place to run the tests, CI included.
    """
    root = Path(os.environ.get("DICOM_AI_DATA", REPOSITORY.parent / "shared" / "data"))
    path = root.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no data at {path}; set DICOM_AI_DATA")
    return path


def free_port() -> int:
    """Return a TCP port that is free on loopback now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _elsewhere(name: str) -> list[Path]:
    return [Path("/usr/sbin") / name, *sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]


def _absent(reason: str) -> str:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
