from pathlib import Path

import pytest

from dicom_ai.errors import Unavailable
from dicom_ai.storage import folders


def test_a_folder_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    final = tmp_path / "results" / "1-1"
    with folders.new_folder(final) as aside:
        (aside / "sr.dcm").write_bytes(b"all of it")
        assert not final.exists()

    assert (final / "sr.dcm").read_bytes() == b"all of it"
    assert [path.name for path in final.parent.iterdir()] == ["1-1"]


def test_nothing_is_left_of_one_that_failed(tmp_path: Path) -> None:
    final = tmp_path / "1-1"
    with pytest.raises(RuntimeError), folders.new_folder(final) as aside:
        (aside / "half").touch()
        raise RuntimeError

    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_attempt_left_is_replaced(tmp_path: Path) -> None:
    final = tmp_path / "1-1"
    final.mkdir()
    (final / "old").touch()
    with folders.new_folder(final) as aside:
        (aside / "new").touch()

    assert [path.name for path in final.iterdir()] == ["new"]


def test_a_disk_that_fails_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(Unavailable, match="file store: File exists"), folders.new_folder(tmp_path / "file" / "1-1"):
        pass


def test_no_two_attempts_share_a_name() -> None:
    assert folders.attempt_name(12, 3) == "12-3"
