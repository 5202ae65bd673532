"""The file: a line a message, a new one each day or at a size; what a crash cut stays apart from what follows."""

from pathlib import Path

import pytest

from dicom_ai.audit_feed.outlets import Message, RotatedFile
from dicom_ai.errors import Unavailable

DAY_S = 86_400.0
NOON = 1_700_049_600.0  # 2023-11-15 12:00 UTC


def deliver(file: RotatedFile, text: str, at: float) -> None:
    file.deliver([Message(at, text)], at=at)


def test_a_file_holds_a_day(tmp_path: Path) -> None:
    file = RotatedFile(tmp_path / "audit.xml")
    for text, at in (("a", NOON), ("b", NOON + 3600), ("c", NOON + DAY_S)):
        deliver(file, text, at)

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "audit.xml.2023-11-15": "a\nb\n",
        "audit.xml": "c\n",
    }


def test_a_file_that_is_full_makes_room_and_takes_no_other_s_name(tmp_path: Path) -> None:
    file = RotatedFile(tmp_path / "audit.xml", largest_bytes=4)
    for text in ("one", "two", "three"):
        deliver(file, text, NOON)

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "audit.xml.2023-11-15T120000Z": "one\n",
        "audit.xml.2023-11-15T120000Z.2": "two\n",
        "audit.xml": "three\n",
    }


def test_a_line_that_a_crash_cut_stays_apart(tmp_path: Path) -> None:
    file = RotatedFile(tmp_path / "audit.xml", largest_bytes=1000)
    (tmp_path / "audit.xml").write_text("whole\ncu")

    deliver(file, "cut", NOON)

    assert (tmp_path / "audit.xml").read_text() == "whole\ncu\ncut\n"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        deliver(RotatedFile(tmp_path / "away" / "audit.xml"), "a", NOON)


def test_only_the_node_and_its_group_read_it(tmp_path: Path) -> None:
    deliver(RotatedFile(tmp_path / "audit.xml"), "a", NOON)

    assert (tmp_path / "audit.xml").stat().st_mode & 0o007 == 0
