"""aSCOR of a cylinder in a cylinder."""

import numpy as np
import pytest

from dicom_ai.measurements.canal import ascor_by_slice, mean_ascor
from dicom_ai.measurements.spinal_cord_csa import measure_cord
from tests.phantoms import cord_cylinder

CORD_MM2 = np.pi / 4 * 7.8 * 12.0


@pytest.mark.parametrize(("tilt", "spacing"), [((0, 0), (1.0, 0.8, 0.8)), ((25, 0), (3.0, 0.5, 0.5))])
def test_ascor_is_the_ratio_of_the_areas_at_any_tilt(tilt, spacing):
    options = {"spacing_mm": spacing, "tilt_deg": tilt, "shape": (10, 64, 48)}
    cord, canal = cord_cylinder(**options), cord_cylinder(**options, diameters_mm=(14.0, 20.0))
    profile = measure_cord(cord.soft)

    found = ascor_by_slice(profile, canal.soft)

    expected = 100 * CORD_MM2 / (np.pi / 4 * 14 * 20)
    assert mean_ascor(found, profile.slices, least=3) == pytest.approx(expected, rel=0.01)


def test_a_canal_on_another_grid_is_sampled():
    cord = cord_cylinder(shape=(12, 48, 48), spacing_mm=(1.0, 0.5, 0.5))
    canal = cord_cylinder(shape=(14, 36, 36), spacing_mm=(1.0, 0.8, 0.8), diameters_mm=(14.0, 20.0))
    profile = measure_cord(cord.soft)

    found = ascor_by_slice(profile, canal.soft)

    assert mean_ascor(found, profile.slices, least=3) == pytest.approx(33.4, abs=1.0)


def test_a_canal_that_misses_the_cord_gives_none():
    options = {"shape": (12, 30, 80)}
    cord = cord_cylinder(**options)
    elsewhere = cord_cylinder(**options, diameters_mm=(14.0, 20.0), shift_mm=(0.0, 25.0))

    assert ascor_by_slice(measure_cord(cord.soft), elsewhere.soft) == {}


def test_two_slices_are_too_few():
    profile = measure_cord(cord_cylinder(shape=(20, 30, 30)).soft)

    assert mean_ascor({10: 30.0, 11: 31.0}, profile.slices, least=3) is None
