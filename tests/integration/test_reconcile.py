"""A start brings files and index together, both ways."""

import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from dicom_ai.errors import Unavailable
from dicom_ai.settings import Storage
from dicom_ai.storage.tables import InstanceRow, SeriesRow
from tests.integration.listening import listening, mr_files, same_bytes, store


def found(logs: list) -> dict:
    [entry] = [entry for entry in logs if entry["event"] == "files and index agree"]
    return {name: entry[name] for name in ("parts_removed", "indexed", "set_aside", "missing")}


def restarted(folder: Path) -> dict:
    with capture_logs() as logs, listening(folder):
        pass
    return found(logs)


def test_a_clean_stop_leaves_nothing_to_do(tmp_path: Path):
    with listening(tmp_path / "node") as node:
        store(node.port, *mr_files(tmp_path, 3))

    assert restarted(tmp_path / "node") == {"parts_removed": 0, "indexed": 0, "set_aside": 0, "missing": 0}


def test_a_whole_file_without_a_row_is_indexed_as_it_was_received(tmp_path: Path):
    paths = mr_files(tmp_path, 3)
    with listening(tmp_path / "node") as node:
        store(node.port, *paths)
        before = [(row.sop_instance_uid, row.sha256, row.path, row.calling_ae_title) for row in node.instances()]
        with node.database.write() as session:
            session.execute(sa.delete(InstanceRow))

    with capture_logs() as logs, listening(tmp_path / "node") as node:
        after = [(row.sop_instance_uid, row.sha256, row.path, row.calling_ae_title) for row in node.instances()]
        assert all(same_bytes(node, path) for path in paths)

    assert found(logs)["indexed"] == 3
    assert sorted(after) == sorted(before)


def test_a_damaged_file_without_a_row_is_set_aside_and_not_deleted(tmp_path: Path):
    with listening(tmp_path / "node") as node:
        store(node.port, *mr_files(tmp_path, 1))
        [row] = node.instances()
        path = node.files.path(row.path)
        with node.database.write() as session:
            session.execute(sa.delete(InstanceRow))
    damaged = path.read_bytes()[:-7]
    path.write_bytes(damaged)

    assert restarted(tmp_path / "node")["set_aside"] == 1
    assert [file.read_bytes() for file in (tmp_path / "node" / "quarantine").iterdir()] == [damaged]


def test_why_a_file_is_set_aside_is_in_the_log(tmp_path: Path):
    with listening(tmp_path / "node") as node:
        store(node.port, *mr_files(tmp_path, 1))
        whole = node.files.path(node.instances()[0].path)
    other, third = sorted(set("012") - {whole.name[0]})[:2]
    whole.with_name(other + whole.name[1:]).write_bytes(whole.read_bytes())  # under a name that its bytes do not have
    whole.with_name(third + whole.name[1:]).write_bytes(b"no image at all")

    with capture_logs() as logs, listening(tmp_path / "node"):
        pass

    assert sorted(line["reason"] for line in logs if line["event"] == "file set aside") == [
        "the bytes are not those the file was named after",
        "the file has no meta information of ours",
    ]


def test_a_row_without_its_file_is_marked_and_comes_back_with_the_bytes(tmp_path: Path):
    paths = mr_files(tmp_path, 2)
    with listening(tmp_path / "node") as node:
        store(node.port, *paths)
        lost, _ = node.instances()
        node.files.path(lost.path).unlink()

    with capture_logs() as logs, listening(tmp_path / "node") as node:
        standings = [row.standing for row in node.instances()]
        with node.database.read() as session:
            series = session.scalars(sa.select(SeriesRow)).one()
            revision = series.revision
        again = store(node.port, *paths)
        healed = [row.standing for row in node.instances()]

    assert found(logs)["missing"] == 1
    assert standings == ["missing", "kept"]
    assert revision == 3  # two images, and the loss of one
    assert [status.Status for status in again] == [0x0000, 0x0000]
    assert healed == ["kept", "kept"]


def test_parts_of_a_killed_process_are_removed(tmp_path: Path):
    (tmp_path / "node" / "parts").mkdir(parents=True)
    (tmp_path / "node" / "parts" / "x.part").write_bytes(b"half an image")

    assert restarted(tmp_path / "node")["parts_removed"] == 1


def test_a_start_without_the_volume_of_the_images_is_refused_and_forgets_nothing(tmp_path: Path):
    database_url = f"sqlite:///{tmp_path / 'node.db'}"  # as a database server's: not on the volume
    storage = Storage(data_dir=tmp_path / "node", database_url=database_url, reserve_bytes=0)
    with listening(tmp_path / "node", storage=storage) as node:
        store(node.port, *mr_files(tmp_path, 2))
    (tmp_path / "node").rename(tmp_path / "away")

    with pytest.raises(Unavailable, match="mount its volume"), listening(tmp_path / "node", storage=storage):
        pass

    shutil.rmtree(tmp_path / "node")
    (tmp_path / "away").rename(tmp_path / "node")
    with listening(tmp_path / "node", storage=storage) as node:
        assert [row.standing for row in node.instances()] == ["kept", "kept"]
