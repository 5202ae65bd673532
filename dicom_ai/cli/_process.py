"""What the commands that stay share: the settings option, the log, and a stop by signal."""

import os
import signal
import sys
import threading
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


def begin(config: Path | None) -> "Settings":
    """Read the settings and set up the log."""
    from dicom_ai.app import configure_log
    from dicom_ai.settings import read_settings

    settings = read_settings(config)
    configure_log(settings)
    return settings


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
