from pathlib import Path

import pytest

from dicom_ai.storage.disk import DAY_S, Disk, disk_of, size_of


@pytest.mark.parametrize(
    ("free", "says"),
    [
        (30, ""),
        (25, "the disk is 75% full, over 75%"),
        (16, "the disk is 84% full, over 75%"),
        (15, "the disk is 85% full, over 85%"),
        (6, "the disk is 94% full, over 85%"),
        (4, "the disk is full: 4 bytes are free, below the reserve; images are refused (A700)"),
    ],
)
def test_a_person_is_warned_at_75_and_85_percent_and_at_the_reserve(free: int, says: str) -> None:
    warning = Disk(total=100, free=free).warning(reserve_bytes=5)

    assert warning.startswith(says)
    assert bool(warning) == bool(says)


def test_the_disk_is_full_when_only_the_reserve_is_left() -> None:
    disk = Disk(total=1000, free=300)

    assert disk.full_at(reserve_bytes=100, growth_per_day=20, at=5.0) == 5.0 + 10 * DAY_S
    assert disk.full_at(reserve_bytes=400, growth_per_day=20, at=5.0) == 5.0
    assert disk.full_at(reserve_bytes=100, growth_per_day=0, at=5.0) is None


def test_a_folder_is_as_large_as_its_files(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"123")

    assert size_of(tmp_path) == 8
    assert size_of(tmp_path / "absent") == 0


def test_a_disk_has_no_more_free_than_it_has() -> None:
    disk = disk_of(Path("/"))

    assert 0 <= disk.free <= disk.total
    assert 0 <= disk.used <= 1
