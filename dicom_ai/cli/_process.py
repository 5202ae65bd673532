"""What the commands that stay share: the settings option, the log, and a stop by signal."""

import ctypes
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dicom_ai.settings import Settings

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file; default: $DICOM_AI_CONFIG, then /etc/dicom-ai/dicom-ai.toml.",
)


_M_ARENA_MAX = -8  # malloc.h of glibc
MOST_HEAPS = 2


def begin(config: Path | None) -> "Settings":
    """Read the settings and set up the log and the memory."""
    from dicom_ai.app import configure_log
    from dicom_ai.settings import read_settings

    _share_heaps()
    settings = read_settings(config)
    configure_log(settings)
    return settings


def _share_heaps() -> None:
    """Let all threads share two heaps of the C library (glibc; others have no such setting).

    By itself it gives threads up to eight a core, and every association has two new threads: what they leave behind
    lies scattered, and the process grows by a megabyte a minute under load (docs/faults.md).
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, MOST_HEAPS)


def stop_event() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def leave(*, in_time: bool) -> None:
    """End the process; one whose model still runs does not wait for it, its job is back in the queue."""
    sys.stdout.flush()
    sys.stderr.flush()
    if not in_time:
        os._exit(0)
