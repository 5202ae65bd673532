"""A backup is a node: what it had and what waited is there again, on the other kind of database too."""

import io
import json
import re
import shutil
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dicom_ai.cli import backup, db, restore
from dicom_ai.errors import ConfigError
from dicom_ai.storage import audit, pauses, schema
from dicom_ai.storage.database import Database
from tests.integration.servers import postgres
from tests.unit.storage.test_runs import CORD, receive, routed, work


def settings(folder: Path, url: str = "") -> Path:
    path = folder.with_suffix(".toml")
    path.write_text(f'[storage]\ndata_dir = "{folder}"\nreserve_bytes = 0\ndatabase_url = "{url}"\n')
    return path


def run(command: object, *arguments: object) -> Result:
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(command, words, standalone_mode=False)  # type: ignore[arg-type]


def node_with_work(folder: Path) -> Path:
    """A node with one image, and an analysis of it that waits; return its settings."""
    config = settings(folder)
    run(db.command, "upgrade", "--config", config)
    database = Database(f"sqlite:///{folder / 'dicom-ai.db'}")
    receive(database)
    routed(database, CORD)
    database.close()
    (folder / "received" / "1").mkdir(parents=True)
    (folder / "received" / "1" / "x").write_bytes(b"an image")
    return config


def assert_same(database: Database, folder: Path) -> None:
    assert (folder / "received" / "1" / "x").read_bytes() == b"an image"
    assert schema.drift(database) == []
    with database.read() as session:
        assert [event.action for event in audit.events(session)] == ["rules saved", "paused", "restored"]
        assert [(one.who, one.why) for one in pauses.all_of(session)] == [
            ("dicom-ai restore", "restored from a backup")
        ]
    assert work(database).series_uid == "1.2.1"
    receive(database, 2)  # numbers go on after those that came with the backup
    database.close()


def test_a_restored_node_goes_on_with_what_waited(tmp_path: Path) -> None:
    config = node_with_work(tmp_path / "old")
    run(backup.command, tmp_path / "b.tar", "--config", config)
    done = run(restore.command, tmp_path / "b.tar", "--config", settings(tmp_path / "new"))

    restored, paused = done.output.splitlines()
    assert re.fullmatch(rf"restored: \d+ rows, 1 files of revision {schema.newest()}", restored)
    assert paused == "sending is paused; dicom-ai status shows what waits, dicom-ai resume all lets it go"
    assert (tmp_path / "b.tar").stat().st_mode & 0o077 == 0
    assert_same(Database(f"sqlite:///{tmp_path / 'new' / 'dicom-ai.db'}"), tmp_path / "new")


def test_a_node_moves_from_sqlite_to_postgresql(tmp_path: Path) -> None:
    config = node_with_work(tmp_path / "old")
    run(backup.command, tmp_path / "b.tar", "--config", config)
    with postgres() as url:
        done = run(restore.command, tmp_path / "b.tar", "--config", settings(tmp_path / "new", url))

        assert done.exception is None
        assert_same(Database(url), tmp_path / "new")


def test_nothing_is_restored_over_a_node_and_no_backup_over_another(tmp_path: Path) -> None:
    config = node_with_work(tmp_path / "old")
    run(backup.command, tmp_path / "b.tar", "--config", config)
    errors = [
        run(restore.command, tmp_path / "b.tar", "--config", config).exception,
        run(backup.command, tmp_path / "b.tar", "--config", config).exception,
    ]

    shutil.rmtree(tmp_path / "old" / "received")
    errors.append(run(restore.command, tmp_path / "b.tar", "--config", config).exception)

    assert [type(error) for error in errors] == [ConfigError] * 3
    assert [str(error) for error in errors] == [
        f"{tmp_path / 'old'} is not empty: restore into a new folder",
        f"{tmp_path / 'b.tar'} is there already",
        "the database is not empty: restore into a new one",
    ]


def test_a_node_without_a_database_has_no_backup(tmp_path: Path) -> None:
    error = run(backup.command, tmp_path / "b.tar", "--config", settings(tmp_path / "new")).exception

    assert isinstance(error, ConfigError)
    assert str(error) == "there is no database to back up"
    assert not (tmp_path / "b.tar").exists()


def test_half_a_backup_is_refused(tmp_path: Path) -> None:
    config = node_with_work(tmp_path / "old")
    run(backup.command, tmp_path / "b.tar", "--config", config)
    with tarfile.open(tmp_path / "b.tar") as whole, tarfile.open(tmp_path / "half.tar", "w") as half:
        for member in whole.getmembers()[:-1]:
            half.addfile(member, whole.extractfile(member))
    error = run(restore.command, tmp_path / "half.tar", "--config", settings(tmp_path / "new")).exception

    assert isinstance(error, ConfigError)
    assert str(error) == f"'{tmp_path / 'half.tar'}' is no whole backup: backup.json is missing"
    assert not (tmp_path / "new" / "received" / "1").exists()


def no_tar(path: Path) -> None:
    path.write_bytes(b"no archive" * 100)


def no_list(path: Path) -> None:
    """Put a folder where the list should be."""
    with tarfile.open(path, "w") as archive:
        folder = tarfile.TarInfo("backup.json")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)


def other_list(path: Path, **changes: object) -> None:
    """Let the list say something else than the backup holds."""
    with tarfile.open(path) as whole:
        members = {member.name: (member, whole.extractfile(member).read()) for member in whole}  # type: ignore[union-attr]
    member, said = members["backup.json"]
    written = json.dumps(json.loads(said) | changes).encode()
    member.size = len(written)
    members["backup.json"] = (member, written)
    with tarfile.open(path, "w") as archive:
        for one, content in members.values():
            archive.addfile(one, io.BytesIO(content))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (no_tar, "{file} is no whole backup: "),
        (no_list, "backup.json in the backup is no file"),
        (partial(other_list, rows={"jobs": 7}), "the backup holds other rows than it lists: it is damaged"),
        (partial(other_list, files=2), "the backup holds other files than it lists: it is damaged"),
    ],
)
def test_a_damaged_backup_says_what_is_wrong(tmp_path: Path, damage: Callable[[Path], None], told: str) -> None:
    config = settings(tmp_path / "old")
    run(db.command, "upgrade", "--config", config)
    run(backup.command, tmp_path / "b.tar", "--config", config)
    damage(tmp_path / "b.tar")
    error = run(restore.command, tmp_path / "b.tar", "--config", settings(tmp_path / "new")).exception

    assert isinstance(error, ConfigError)
    assert str(error).startswith(told.format(file=tmp_path / "b.tar"))


def test_a_release_is_rolled_back_and_upgraded_again_with_work_in_the_queue(tmp_path: Path) -> None:
    config = node_with_work(tmp_path / "old")
    before = f"{int(schema.newest()) - 1:04d}"

    assert run(db.command, "downgrade", before, "--config", config).output.endswith(f"-> {before}\n")
    assert (
        run(db.command, "upgrade", "--config", config).output == f"database: revision {before} -> {schema.newest()}\n"
    )
    database = Database(f"sqlite:///{tmp_path / 'old' / 'dicom-ai.db'}")
    assert work(database).series_uid == "1.2.1"
    database.close()


def test_a_backup_stands_in_the_trail_of_the_node_it_was_made_of(tmp_path: Path) -> None:
    config = node_with_work(tmp_path / "old")
    run(backup.command, tmp_path / "b.tar", "--config", config)

    database = Database(f"sqlite:///{tmp_path / 'old' / 'dicom-ai.db'}")
    with database.read() as session:
        last = audit.events(session)[-1]
    database.close()
    assert (last.action, last.detail) == ("backed up", {"file": str(tmp_path / "b.tar")})
