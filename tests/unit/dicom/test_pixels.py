"""Pixels that a compressed object of some bytes cannot hold are not made room for."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import RLELossless

from dicom_ai.dicom.headers import read_instance
from dicom_ai.dicom.pixels import pixel_digest, read_frames
from dicom_ai.errors import UnreadablePixels
from tests import builders


def run_length_coded(folder: Path, **attributes: int) -> Path:
    """Write an image of 128 by 128 zeros, in as few bytes as it can be, that says other things of itself."""
    (dataset,) = builders.mr_series(np.zeros((1, 128, 128), np.uint16))
    dataset.compress(RLELossless)
    dataset.update(_elements(attributes))
    (path,) = builders.write([dataset], folder)
    return path


def _elements(attributes: dict[str, int]) -> Dataset:
    changed = Dataset()
    for keyword, value in attributes.items():
        setattr(changed, keyword, value)
    return changed


def test_the_longest_runs_there_are_can_be_read(tmp_path: Path) -> None:
    path = run_length_coded(tmp_path)

    assert len(dcmread(path).PixelData) < 128 * 128 * 2 / 40
    assert read_frames(read_instance(path)).shape == (1, 128, 128)


@pytest.mark.parametrize("attributes", [{"Rows": 20_000, "Columns": 20_000}, {"NumberOfFrames": 10_000}])
def test_run_lengths_that_cannot_fill_the_image_are_refused_before_there_is_room_for_it(
    tmp_path: Path, attributes: dict[str, int]
) -> None:
    path = run_length_coded(tmp_path, **attributes)

    with pytest.raises(UnreadablePixels, match=r"\d+ bytes of pixels from \d+ bytes of run lengths"):
        read_frames(read_instance(path))


def test_no_digest_is_made_of_run_lengths_that_cannot_fill_the_image(tmp_path: Path) -> None:
    path = run_length_coded(tmp_path, Rows=20_000, Columns=20_000)

    with pytest.raises(UnreadablePixels, match="bytes of run lengths"):
        pixel_digest(path)
