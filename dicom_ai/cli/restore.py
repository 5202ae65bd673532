"""dicom-ai restore: a node out of its backup, on this machine or a new one."""

import json
import tarfile
from collections.abc import Iterator
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dicom_ai.cli._process import begin, config_option
from dicom_ai.cli.backup import FOLDERS, LIST
from dicom_ai.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from dicom_ai.app import App


@click.command(name="restore")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@config_option
def command(file: Path, config: Path | None) -> None:
    """Fill an empty database and data folder from FILE, a backup, and bring them to this release.

    What waited in the queue waits again; work that was being done is done anew. The database may be of the other kind:
    a backup of SQLite goes into PostgreSQL and back. Sending starts paused, because the old node may have sent what the
    backup still has as waiting: look, then dicom-ai resume all.
    """
    from dicom_ai.app import open_app

    app = open_app(begin(config))
    try:
        with tarfile.open(file) as archive:
            content = _restore(app, archive)
    except tarfile.TarError as error:
        raise ConfigError(f"{file} is no whole backup: {error}") from error
    except OSError as error:
        raise Unavailable(f"{file}: {error.strerror}") from error
    finally:
        app.close()
    rows = sum(content["rows"].values())
    click.echo(f"restored: {rows} rows, {content['files']} files of revision {content['revision']}")
    click.echo("sending is paused; dicom-ai status shows what waits, dicom-ai resume all lets it go")


def _restore(app: "App", archive: tarfile.TarFile) -> dict[str, Any]:
    from dicom_ai.storage import audit, dump, pauses, schema

    names = set(archive.getnames())
    if LIST not in names:
        raise ConfigError(f"{archive.name!r} is no whole backup: {LIST} is missing")
    content: dict[str, Any] = json.loads(b"".join(_lines(archive, LIST)))
    if any(path.is_file() for name in FOLDERS for path in (app.files.root / name).rglob("*")):
        raise ConfigError(f"{app.files.root} is not empty: restore into a new folder")
    members = [member for member in archive if member.name.split("/")[0] in FOLDERS]
    counts = dump.load(
        app.database, content["revision"], lambda table: _lines(archive, f"database/{table}.jsonl", names)
    )
    if counts != content["rows"]:
        raise ConfigError("the backup holds other rows than it lists: it is damaged")
    archive.extractall(app.files.root, members, filter="data")
    if len(members) != content["files"]:
        raise ConfigError("the backup holds other files than it lists: it is damaged")
    schema.upgrade(app.database)
    with app.database.write() as session:
        pauses.pause(
            session, pauses.Subject(pauses.PauseKind.ALL), who="dicom-ai restore", why="restored from a backup"
        )
        detail = {"file": str(archive.name), "release": content["release"]}
        audit.record(session, getuser(), "restored", f"revision {content['revision']}", detail)
    return content


def _lines(archive: tarfile.TarFile, name: str, names: set[str] | None = None) -> Iterator[bytes]:
    if names is not None and name not in names:
        return
    file = archive.extractfile(name)
    if file is None:
        raise ConfigError(f"{name} in the backup is no file")
    with file:
        yield from file
