import numpy as np
import pytest

from dicom_ai.domain.image import Volume
from dicom_ai.inference.cord_size import SCALES, joined, scales_for, wanted_scales


def cord_of(areas_mm2, spacing_mm=1.0):
    """A soft mask whose slices hold these areas."""
    voxels = np.zeros((len(areas_mm2), 20, 20), np.float32)
    voxels[:, 5:15, 5:15] = (np.array(areas_mm2) / 100 / spacing_mm**2)[:, None, None]
    return Volume(voxels, np.diag([1.0, spacing_mm, spacing_mm, 1.0]))


def test_a_cord_of_the_usual_area_wants_the_usual_grid():
    assert wanted_scales(cord_of([70.0] * 30), 70.0) == pytest.approx(np.ones(30), abs=1e-3)


def test_a_thin_cord_wants_voxels_of_which_it_fills_the_usual_number():
    scales = wanted_scales(cord_of([50.0] * 30), 70.0)

    assert 50.0 / scales**2 == pytest.approx([70.0] * 30, rel=1e-3)


def test_no_cord_and_a_thick_cord_want_nothing_else():
    assert scales_for(wanted_scales(cord_of([0.0] * 10), 70.0)) == []
    assert scales_for(wanted_scales(cord_of([95.0] * 10), 70.0)) == []


def test_every_wanted_scale_lies_between_two_that_are_looked_at():
    assert scales_for(np.array([1.0, 0.9])) == [0.86]
    assert scales_for(np.array([0.75])) == [0.86, 0.74]


def test_slices_are_mixed_from_the_nearest_scales():
    looks = {scale: cord_of([100.0 * scale] * 4) for scale in SCALES}
    wanted = np.array([1.0, 0.93, 0.86, 0.74])

    mixed = joined(looks, wanted).voxels[:, 10, 10]

    assert mixed == pytest.approx([1.0, 0.93, 0.86, 0.74], abs=1e-5)


def test_a_scale_that_found_nothing_leaves_the_others():
    looks = {1.0: cord_of([100.0] * 2)}

    assert joined(looks, np.array([0.74, 1.0])).voxels == pytest.approx(looks[1.0].voxels)
