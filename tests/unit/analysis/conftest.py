import numpy as np
import pytest

from dicom_ai.dicom.headers import read_paths
from dicom_ai.domain.findings import VertebraLabel
from dicom_ai.domain.study import Series
from tests import builders
from tests.predictors import FULL

RADIUS_MM = 6.0
SHAPE = (40, 48, 48)


@pytest.fixture
def cord_series(tmp_path) -> Series:
    """An axial stack of 40 slices, 1 mm apart, with a straight cord of 6 mm radius, soft at its border."""
    return write_cord_series(tmp_path / "axial")


def write_cord_series(folder, *, shape=SHAPE, **attributes) -> Series:
    fine = (np.arange(5) + 0.5) / 5 - 0.5
    rows = (np.arange(shape[1])[:, None] + fine).ravel() - (shape[1] - 1) / 2
    columns = (np.arange(shape[2])[:, None] + fine).ravel() - (shape[2] - 1) / 2
    inside = (np.hypot(rows[:, None], columns[None]) < RADIUS_MM).reshape(shape[1], 5, shape[2], 5)
    voxels = np.repeat(np.rint(inside.mean(axis=(1, 3)) * FULL)[None], shape[0], axis=0).astype(np.uint16)
    attributes.setdefault("SeriesDescription", "t2_ax")
    written = builders.write(builders.mr_series(voxels, spacing_mm=(1.0, 1.0, 1.0), **attributes), folder)
    (series,) = read_paths(written).series
    return series


def vertebra(level: str, *, upper_mm: float, lower_mm: float, number: int = 1) -> VertebraLabel:
    """A vertebra in front of the cord, between two heights."""
    place = np.array([4.0, -30.0, 0.0])
    heights = (0.5 * (upper_mm + lower_mm), upper_mm, lower_mm)
    centre, upper, lower = (place + np.array([0, 0, height]) for height in heights)
    return VertebraLabel(level, f"{level} vertebra", number, "counted from C2", False, centre, upper, lower)
