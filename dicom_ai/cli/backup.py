"""dicom-ai backup: everything the node has, as one file."""

import io
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Iterator
from getpass import getuser
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from dicom_ai.cli._process import begin, config_option
from dicom_ai.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from dicom_ai.app import App

FOLDERS = ("received", "quarantine", "analyses", "results")
"""What is taken along of the data folder; parts/ holds images that were not answered yet: their senders keep them."""

LIST = "backup.json"


@click.command(name="backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@config_option
def command(file: Path, config: Path | None) -> None:
    """Write database, images, masks and results into FILE, a tar archive that only its owner can read.

    The node may run meanwhile: the database is taken in one consistent state, the files after it. A file that is there
    is not overwritten. Settings are not in it, nor are models: copy /etc/dicom-ai and your models folder too.
    """
    from dicom_ai.app import open_app
    from dicom_ai.storage import audit, schema

    app = open_app(begin(config))
    revision = schema.current(app.database)
    if revision is None:
        raise ConfigError("there is no database to back up")
    part = file.with_name(f".{file.name}.part")
    try:
        if file.exists():
            raise ConfigError(f"{file} is there already")
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:  # noqa: PTH123 - a descriptor
            rows, files = _write(app, revision, out)
            out.flush()
            os.fsync(out.fileno())
        with app.database.write() as session:
            audit.record(session, getuser(), "backed up", f"revision {revision}", {"file": str(file.absolute())})
        part.rename(file)
    except OSError as error:
        raise Unavailable(f"{file}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
        app.close()
    click.echo(f"written: {file}: revision {revision}, {rows} rows, {files} files, {file.stat().st_size} bytes")


def _write(app: "App", revision: str, out: IO[bytes]) -> tuple[int, int]:
    from dicom_ai import __version__
    from dicom_ai.storage import dump

    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:

        def table(name: str, lines: Iterator[bytes]) -> None:
            with tempfile.TemporaryFile(dir=app.files.root) as spool:
                spool.writelines(lines)
                _add(archive, f"database/{name}.jsonl", spool)

        counts = dump.dump(app.database, table)
        files = sum(_add_folder(archive, app.files.root / name, name) for name in FOLDERS)
        content = {"release": __version__, "revision": revision, "at": time.time(), "rows": counts, "files": files}
        _add(
            archive, LIST, io.BytesIO(json.dumps(content, indent=2).encode())
        )  # last: without it a backup is not whole
    return sum(counts.values()), files


def _add_folder(archive: tarfile.TarFile, folder: Path, name: str) -> int:
    number = 0
    for path in sorted(folder.rglob("*")):
        try:
            with path.open("rb") as file:
                _add(archive, f"{name}/{path.relative_to(folder)}", file)
            number += 1
        except (IsADirectoryError, FileNotFoundError):  # deleted by retention meanwhile
            continue
    return number


def _add(archive: tarfile.TarFile, name: str, file: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = file.seek(0, os.SEEK_END)
    entry.mode, entry.mtime = 0o640, int(time.time())
    file.seek(0)
    archive.addfile(entry, file)
