"""Whole folders kept at once: analyses and results are written aside, made durable, and then given their name."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicom_ai.storage.files import unavailable


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `final`, durable and whole, at the end; on an error nothing is left of it.

    A folder that a killed attempt left under the same name is replaced. Raises StorageFull or Unavailable when the disk
    fails.
    """
    aside = _made(final)
    try:
        yield aside
        _synchronise(aside)
        if final.exists():
            shutil.rmtree(final)
        aside.rename(final)
        _synchronise_entry(final.parent)
    except OSError as error:
        raise unavailable(error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def attempt_name(job_id: int, attempt: int) -> str:
    """Return the folder name of what one attempt at a job made; no two attempts write to the same place."""
    return f"{job_id}-{attempt}"


def _made(final: Path) -> Path:
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    except OSError as error:
        raise unavailable(error) from error


def _synchronise(folder: Path) -> None:
    for path in folder.rglob("*"):
        _synchronise_entry(path)
    _synchronise_entry(folder)


def _synchronise_entry(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
