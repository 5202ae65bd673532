"""The file store: whole files or none, and paths that nobody outside can choose."""

import errno
import os
from pathlib import Path

import pytest

from dicom_ai.errors import StorageFull, Unavailable
from dicom_ai.storage.files import CHECK_EVERY_BYTES, FileStore, instance_folders, instance_path


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path)


def part_of(files: FileStore, content: bytes):
    part = files.new_part()
    part.write(memoryview(content))
    return part


def parts(files: FileStore) -> list[Path]:
    return list((files.root / "parts").iterdir())


def test_a_kept_part_has_its_bytes_and_leaves_no_part(files: FileStore):
    was_there = files.keep(part_of(files, b"bytes"), "received/aa/b/c.dcm")

    assert files.path("received/aa/b/c.dcm").read_bytes() == b"bytes"
    assert parts(files) == [] and was_there is False


def test_the_digest_leaves_the_header_out(files: FileStore):
    part = files.new_part()
    part.write_header(b"meta")
    part.write(memoryview(b"abc"))

    assert part.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert (part.header_bytes, part.size_bytes) == (4, 7)


def test_a_discarded_part_is_gone_and_a_kept_one_is_not(files: FileStore):
    gone, kept = part_of(files, b"a"), part_of(files, b"b")
    files.keep(kept, "received/x")

    gone.discard()
    kept.discard()

    assert parts(files) == [] and files.path("received/x").exists()


def test_a_forgotten_part_is_removed(files: FileStore):
    part_of(files, b"a")

    assert parts(files) == []


def test_below_the_reserve_nothing_is_begun(tmp_path: Path):
    files = FileStore(tmp_path, reserve_bytes=100, free=lambda _: 99)

    with pytest.raises(StorageFull, match="99 bytes"):
        files.keep(part_of(files, b"x"), "received/x")
    assert parts(files) == [] and not files.path("received/x").exists()


def test_a_disk_that_fills_while_an_object_arrives_stops_it_there(tmp_path: Path):
    answers = iter([1000, 10])
    files = FileStore(tmp_path, reserve_bytes=100, free=lambda _: next(answers))
    part = files.new_part()
    piece = bytes(CHECK_EVERY_BYTES)

    part.write(memoryview(piece))
    part.write(memoryview(b"more"))

    assert isinstance(part.trouble, StorageFull)
    assert parts(files) == []


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EIO, Unavailable)]
)
def test_a_failing_write_is_told_by_its_cause(
    files: FileStore, monkeypatch: pytest.MonkeyPatch, number: int, error: type
):
    def fail(*_: object) -> int:
        raise OSError(number, "no")

    part = files.new_part()
    monkeypatch.setattr(os, "write", fail)
    part.write(memoryview(b"x"))
    monkeypatch.undo()

    with pytest.raises(error):
        files.keep(part, "received/x")
    assert parts(files) == []


def test_left_parts_are_removed_at_a_start(tmp_path: Path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "left.part").write_bytes(b"x")

    assert FileStore(tmp_path).remove_parts() == 1


@pytest.mark.parametrize("relative", ["../x", "/etc/passwd", "received/../../x"])
def test_no_path_leads_out_of_the_store(files: FileStore, relative: str):
    with pytest.raises(ValueError, match=r"^a path that leads out of the file store$"):
        files.path(relative)


def test_a_path_is_made_of_digests_and_differs_with_the_bytes():
    first = instance_path("1.2", "1.2.3", "1.2.3.4", "a" * 64)

    assert first == instance_path("1.2", "1.2.3", "1.2.3.4", "a" * 64)
    assert first != instance_path("1.2", "1.2.3", "1.2.3.4", "b" * 64)
    assert any(first.startswith(f"{folder}/") for folder in instance_folders())
    assert "1.2" not in first


def test_what_is_set_aside_is_not_deleted(files: FileStore):
    files.save(b"odd", "received/aa/x.dcm")

    aside = files.quarantine("received/aa/x.dcm")

    assert files.path(aside).read_bytes() == b"odd"
    assert list(files.kept("received")) == []
