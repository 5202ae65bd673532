"""What is read back from the files that the node keeps, and how much of it stays in memory."""

from pathlib import Path

import numpy as np
import pytest

from dicom_ai.dicom import kept_series
from dicom_ai.dicom.kept_series import read_series
from dicom_ai.errors import NotDicom, Unavailable
from tests import builders


def kept(folder: Path, *, images: int) -> list[Path]:
    return builders.write(builders.mr_series(np.zeros((images, 8, 8), np.uint16)), folder)


def test_what_images_have_in_common_is_kept_once(tmp_path: Path) -> None:
    first, second = read_series("1", "2", kept(tmp_path, images=2)).instances

    assert first.header["PatientName"] is second.header["PatientName"]
    assert first.header["InstanceNumber"] != second.header["InstanceNumber"]


def test_a_series_is_read_once_while_its_files_are_the_same(tmp_path: Path) -> None:
    paths = kept(tmp_path, images=3)

    assert read_series("1", "2", paths) is read_series("1", "2", paths)
    assert len(read_series("1", "2", paths[:2]).instances) == 2


def test_so_many_images_are_remembered_whatever_their_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_series, "REMEMBERED_IMAGES", 10)
    series = {name: kept(tmp_path / name, images=4) for name in ("a", "b", "c")}
    first = {name: read_series("1", name, paths) for name, paths in series.items()}

    assert read_series("1", "c", series["c"]) is first["c"]
    assert read_series("1", "b", series["b"]) is first["b"]
    assert read_series("1", "a", series["a"]) is not first["a"]


def test_a_series_larger_than_what_is_remembered_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_series, "REMEMBERED_IMAGES", 2)

    assert len(read_series("1", "2", kept(tmp_path, images=5)).instances) == 5


def test_a_file_that_is_no_image_is_the_senders_fault_and_one_that_is_gone_the_disks(tmp_path: Path) -> None:
    paths = kept(tmp_path, images=2)
    paths[0].write_bytes(b"no image")
    with pytest.raises(NotDicom, match="one of its 2 images cannot be read"):
        read_series("1", "2", paths)

    paths[1].unlink()
    with pytest.raises(Unavailable, match="a kept image: No such file or directory"):
        read_series("1", "2", paths)
