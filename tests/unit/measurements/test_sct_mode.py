"""What the Spinal Cord Toolbox would say of the same mask, with its known deviations."""

import numpy as np
import pytest

from dicom_ai.domain.image import Volume
from dicom_ai.measurements.sct_mode import measure_cord_as_sct
from tests.phantoms import cord_cylinder


def test_one_tilt_is_corrected_exactly():
    phantom = cord_cylinder(tilt_deg=(0, 30), shape=(16, 26, 44))

    areas = measure_cord_as_sct(phantom.soft).areas_mm2

    assert areas == pytest.approx(phantom.area_mm2, rel=0.015)


def test_two_tilts_read_four_per_mille_too_low():
    phantom = cord_cylinder(spacing_mm=(0.5, 0.5, 0.5), tilt_deg=(15, 20), shape=(20, 50, 56))

    areas = measure_cord_as_sct(phantom.soft).areas_mm2

    assert areas.mean() / phantom.area_mm2 == pytest.approx(0.9961, abs=0.001)


def test_a_soft_slice_is_stretched_to_one():
    phantom = cord_cylinder(shape=(10, 24, 24))
    faded = phantom.soft.with_voxels(phantom.soft.voxels * np.float32(0.8))

    assert measure_cord_as_sct(faded).areas_mm2 == pytest.approx(measure_cord_as_sct(phantom.soft).areas_mm2, rel=1e-5)


def test_nothing_is_withheld():
    assert np.isfinite(measure_cord_as_sct(cord_cylinder(shape=(6, 24, 24)).binary).areas_mm2).all()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_few_slices_are_measured(count):
    phantom = cord_cylinder(shape=(count, 24, 24))

    assert measure_cord_as_sct(phantom.soft).areas_mm2 == pytest.approx([phantom.area_mm2] * count, rel=0.01)


def test_an_empty_mask_has_no_slices():
    assert measure_cord_as_sct(Volume(np.zeros((3, 4, 5), np.float32), np.eye(4))).slices == ()
