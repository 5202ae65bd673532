"""dicom-ai support-bundle: what support needs to know, and nothing of a patient."""

import io
import json
import platform
import re
import tarfile
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dicom_ai.cli._process import begin, config_option
from dicom_ai.errors import DicomAiError, Unavailable

if TYPE_CHECKING:
    from dicom_ai.app import App

SECRET = re.compile(r"password|authorization|token|secret|database_url|broker_url", re.IGNORECASE)
HIDDEN = "(hidden)"
CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
PARTS = ("versions", "settings", "counts", "disk", "duties", "schema")


@click.command(name="support-bundle")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default="dicom-ai-support.tar.gz")
@config_option
def command(file: Path, config: Path | None) -> None:
    """Write FILE: versions, settings without secrets, numbers of rows by state, disk, and when the clock last looked.

    Nothing is copied out of a row, an image, a result or the log: only numbers leave, counted by words the program
    itself knows. Settings hold AE titles, addresses and names of destinations. Look into it before you send it.
    """
    from dicom_ai.app import open_app

    app = open_app(begin(config))
    try:
        with tarfile.open(file, "w:gz") as archive:
            for name, content in _contents(app).items():
                data = json.dumps(content, indent=2, default=str).encode()
                entry = tarfile.TarInfo(f"dicom-ai-support/{name}.json")
                entry.size, entry.mtime = len(data), int(time.time())
                archive.addfile(entry, io.BytesIO(data))
    except OSError as error:
        raise Unavailable(f"{file}: {error.strerror}") from error
    finally:
        app.close()
    click.echo(f"written: {file}: {', '.join(PARTS)}")


def _contents(app: "App") -> dict[str, Any]:
    from dicom_ai.storage.disk import disk_of

    disk = disk_of(app.files.root)
    return {
        "versions": _versions(),
        "settings": without_secrets(app.settings.model_dump(mode="json")),
        "counts": _database(app, _counts),
        "disk": {"total_bytes": disk.total, "free_bytes": disk.free, "reserve_bytes": app.files.reserve_bytes},
        "duties": _database(app, _duties),
        "schema": _database(app, _schema),
    }


def without_secrets(value: Any, name: str = "") -> Any:
    """Return settings with what is secret hidden, by the names of keys and in URLs."""
    if isinstance(value, dict):
        return {key: without_secrets(item, key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(item, name) for item in value]
    if isinstance(value, str):
        return HIDDEN if value and SECRET.search(name) else CREDENTIALS.sub(f"{HIDDEN}@", value)
    return value


def _versions() -> dict[str, Any]:
    from dicom_ai import __version__

    packages = {item.name: item.version for item in metadata.distributions()}
    return {"dicom_ai": __version__, "python": platform.python_version(), "system": platform.platform(), **packages}


def _database(app: "App", look: Any) -> Any:
    """Return what a look at the database says; a database that cannot be looked at is an answer too."""
    try:
        return look(app)
    except DicomAiError as error:
        return {"not available": type(error).__name__}


def _counts(app: "App") -> dict[str, Any]:
    from dicom_ai.alarms.conditions import CONDITIONS
    from dicom_ai.domain.job import JobKind, JobState
    from dicom_ai.domain.result import ResultKind
    from dicom_ai.domain.run import RunState
    from dicom_ai.storage import holdings, tally
    from dicom_ai.storage.confirmations import Confirmation, Way
    from dicom_ai.storage.holds import LAPSED, Decision, HoldKind
    from dicom_ai.storage.outbox import OutboxState

    enums = (JobKind, JobState, ResultKind, RunState, Confirmation, Way, Decision, HoldKind, OutboxState)
    names = ("KEPT", "OWN", "ASKED", "CONFLICT", "DELETING", "DELETED", "SPARE", "AGAIN")
    standings = {getattr(holdings, name) for name in names}
    words = {word.value for enum in enums for word in enum} | standings | set(CONDITIONS) | {LAPSED}
    with app.database.read() as session:
        return {"rows": tally.rows(session), "by_state": tally.by_words(session, words)}


def _duties(app: "App") -> dict[str, Any]:
    from dicom_ai.alarms import watch
    from dicom_ai.pipeline import confirm
    from dicom_ai.storage import duties

    with app.database.read() as session:
        found = {name: duties.find(session, name) for name in (watch.DUTY, confirm.DUTY)}
    return {name: duty.done_at if duty else None for name, duty in found.items()}


def _schema(app: "App") -> dict[str, Any]:
    from dicom_ai.storage import schema

    found = schema.current(app.database)
    known = found is None or re.fullmatch(r"\d{4}", found)
    return {
        "revision": found if known else "unknown",
        "newest": schema.newest(),
        "differences": len(schema.drift(app.database)),
    }
