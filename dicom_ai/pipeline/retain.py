"""What need not be kept any more goes: images, results and masks; rows, headers and the audit trail stay.

Safe to call at any time by any number of processes, and to kill at any moment: what was begun is finished next time.
"""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from dicom_ai.errors import Unavailable
from dicom_ai.storage import retention
from dicom_ai.storage.database import Database
from dicom_ai.storage.files import FileStore
from dicom_ai.storage.retention import Limits

AT_ONCE = 500
"""Files removed in one transaction: receiving waits for it."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Removed:
    """What a look removed: images, result folders of runs, and folders of masks."""

    images: int
    runs: int
    analyses: int


def run(database: Database, files: FileStore, limits: Limits) -> Removed:
    """Remove what may go; return how much that was. Raises Unavailable when disk or database do not answer."""
    try:
        with database.read() as session:
            due = retention.due(session, limits)
        images = sum(_remove_images(database, files, study_uid, limits) for study_uid in due)
        runs = sum(_remove_results(database, folder, limits) for folder in _numbered(files.root / "results"))
        analyses = sum(_remove_masks(database, folder, limits) for folder in _numbered(files.root / "analyses"))
    except OSError as error:
        raise Unavailable(f"retention: {error.strerror}") from error
    if images or runs or analyses:
        log.info("retention", images=images, result_folders=runs, mask_folders=analyses)
    return Removed(images, runs, analyses)


def _remove_images(database: Database, files: FileStore, study_uid: str, limits: Limits) -> int:
    with database.write() as session:
        retention.begin(session, study_uid, limits)
    removed = 0
    while count := _remove_some(database, files, study_uid):
        removed += count
    if removed:
        log.info("images deleted", study_uid=study_uid, images=removed)
    return removed


def _remove_some(database: Database, files: FileStore, study_uid: str) -> int:
    """Remove files while the transaction holds off who receives the same images."""
    with database.write() as session:
        paths = retention.going(session, study_uid, most=AT_ONCE)
        for path in paths:
            files.withdraw(path)
        retention.gone(session, paths)
    for folder in {files.path(path).parent for path in paths}:
        for empty in (folder, folder.parent):
            with suppress(OSError):  # not empty: other images are kept there, or are coming
                empty.rmdir()
    return len(paths)


def _remove_results(database: Database, folder: Path, limits: Limits) -> bool:
    with database.write() as session:
        if not retention.release_results(session, _number(folder), limits):
            return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def _remove_masks(database: Database, folder: Path, limits: Limits) -> bool:
    with database.write() as session:
        if not retention.release_analysis(session, _number(folder), limits):
            return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def _numbered(folder: Path) -> list[Path]:
    """Return the folders named after a row: "12" or "12-1"."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if path.name.partition("-")[0].isdigit())


def _number(folder: Path) -> int:
    return int(folder.name.partition("-")[0])
