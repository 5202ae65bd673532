"""CSA and shape of elliptical cylinders known in closed form (models.md 5.1), and what is withheld."""

import numpy as np
import pytest

from dicom_ai.domain.image import Volume
from dicom_ai.imaging.orient import BODY_AXES
from dicom_ai.measurements.spinal_cord_csa import AT_THE_BORDER, AT_THE_END, FADING, NO_CORD, TOO_SHORT, measure_cord
from tests.phantoms import cord_cylinder, turned

PHANTOM_TABLE = [
    ((1.0, 1.0, 1.0), (0, 0), (16, 30, 30)),
    ((1.0, 1.0, 1.0), (0, 30), (16, 26, 40)),
    ((1.0, 1.0, 1.0), (30, 0), (16, 36, 30)),
    ((1.0, 1.0, 1.0), (15, 20), (16, 36, 40)),
    ((0.8, 0.8, 0.8), (0, 30), (16, 32, 48)),
    ((0.5, 0.5, 0.5), (15, 20), (16, 48, 56)),
    ((5.0, 0.5, 0.5), (0, 30), (6, 44, 90)),
    ((5.0, 0.5, 0.5), (15, 0), (6, 66, 50)),
    ((5.0, 0.5, 0.5), (15, 20), (6, 66, 76)),
    ((17.0, 0.8, 0.8), (10, 0), (5, 48, 40)),
]
"""(slice, row, column) spacing in mm, tilt to the back and to the left in degrees, shape."""


@pytest.mark.parametrize(("spacing_mm", "tilt_deg", "shape"), PHANTOM_TABLE)
def test_csa_of_a_soft_cylinder_is_within_one_percent(spacing_mm, tilt_deg, shape):
    phantom = cord_cylinder(spacing_mm=spacing_mm, tilt_deg=tilt_deg, shape=shape)

    areas = measure_cord(phantom.soft).areas_mm2

    assert areas[np.isfinite(areas)] == pytest.approx(phantom.area_mm2, rel=0.01)
    assert np.isfinite(areas).sum() >= 3


@pytest.mark.parametrize(("spacing_mm", "tilt_deg", "shape"), PHANTOM_TABLE)
def test_shape_of_a_soft_cylinder_is_that_across_its_axis(spacing_mm, tilt_deg, shape):
    phantom = cord_cylinder(spacing_mm=spacing_mm, tilt_deg=tilt_deg, shape=shape)

    sections = [item.section for item in measure_cord(phantom.soft).slices if item.measured]

    # The strip of 3 mm through an ellipse is 1 % less thick than its diameter.
    assert np.mean([s.ap_mm for s in sections]) == pytest.approx(phantom.ap_mm * 0.99, rel=0.015)
    assert [s.rl_mm for s in sections] == pytest.approx([phantom.rl_mm] * len(sections), rel=0.01)
    assert np.mean([s.eccentricity for s in sections]) == pytest.approx(0.760, abs=0.01)
    assert [s.angle_deg for s in sections] == pytest.approx([phantom.angle_deg] * len(sections), abs=0.1)
    assert min(s.solidity for s in sections) > 0.98


def test_csa_of_a_binary_mask_is_close():
    phantom = cord_cylinder(spacing_mm=(0.5, 0.5, 0.5), tilt_deg=(15, 20), shape=(16, 48, 56))

    areas = measure_cord(phantom.binary).areas_mm2

    assert np.nanmean(areas) == pytest.approx(phantom.area_mm2, rel=0.02)


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1), (1, -1, -1)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_csa_does_not_depend_on_how_the_volume_is_stored(order, signs):
    phantom = cord_cylinder(tilt_deg=(10, -5), shape=(14, 30, 32))

    stored = turned(phantom, BODY_AXES[:, order] * signs)

    assert measure_cord(stored).areas_mm2 == pytest.approx(measure_cord(phantom.soft).areas_mm2, nan_ok=True)


def test_positions_run_from_the_top_down():
    profile = measure_cord(cord_cylinder(tilt_deg=(30, 0), shape=(12, 36, 30)).soft)

    per_slice = 1 / np.cos(np.radians(30))
    assert profile.length_mm == pytest.approx(12 * per_slice, rel=1e-3)
    assert profile.slices[-1].position_mm == pytest.approx(0.5 * per_slice, rel=1e-2)
    assert profile.slices[0].position_mm == pytest.approx(11.5 * per_slice, rel=1e-3)


@pytest.mark.parametrize(("slice_mm", "at_each_end"), [(0.5, 4), (1.0, 2), (5.0, 1)])
def test_slices_within_two_mm_of_the_ends_are_withheld_and_at_least_one(slice_mm, at_each_end):
    phantom = cord_cylinder(spacing_mm=(slice_mm, 1.0, 1.0), shape=(12, 24, 24))

    withheld = [item.withheld for item in measure_cord(phantom.soft).slices]

    assert withheld == [AT_THE_END] * at_each_end + [""] * (12 - 2 * at_each_end) + [AT_THE_END] * at_each_end


def test_slices_in_which_the_cord_touches_the_border_are_withheld():
    phantom = cord_cylinder(tilt_deg=(0, 30), shape=(20, 24, 20))

    profile = measure_cord(phantom.soft)

    assert {profile.slices[2].withheld, profile.slices[-3].withheld} == {AT_THE_BORDER}
    assert profile.slices[10].withheld == ""


def test_a_cord_in_two_slices_has_no_direction():
    phantom = cord_cylinder(shape=(2, 24, 24))

    assert [item.withheld for item in measure_cord(phantom.soft).slices] == [TOO_SHORT] * 2


def test_a_gap_in_the_mask_is_bridged_and_said():
    phantom = cord_cylinder(tilt_deg=(10, 0), shape=(24, 30, 24))
    phantom.soft.voxels[10:13] = 0

    profile = measure_cord(phantom.soft)

    assert [item.withheld for item in profile.slices[10:13]] == [NO_CORD] * 3
    assert np.nanmean(profile.areas_mm2) == pytest.approx(phantom.area_mm2, rel=0.01)
    assert len(profile.slices) == 24


def test_thick_slices_that_do_not_overlap_still_make_one_cord():
    phantom = cord_cylinder(spacing_mm=(17.0, 0.8, 0.8), tilt_deg=(35, 0), shape=(5, 100, 40))

    profile = measure_cord(phantom.soft)

    assert len(profile.slices) == 5
    assert profile.slices[2].tilted


def test_far_speckle_and_faint_haze_do_not_count():
    phantom = cord_cylinder(shape=(16, 48, 48))
    clean = measure_cord(phantom.soft).areas_mm2
    phantom.soft.voxels[4:9, 2:6, 2:6] = 0.9
    phantom.soft.voxels[phantom.soft.voxels == 0] = 0.01

    assert measure_cord(phantom.soft).areas_mm2 == pytest.approx(clean, nan_ok=True)


def test_not_a_number_counts_as_no_cord():
    phantom = cord_cylinder(shape=(16, 30, 30))
    phantom.soft.voxels[:, 0, 0] = np.nan

    assert np.nanmean(measure_cord(phantom.soft).areas_mm2) == pytest.approx(phantom.area_mm2, rel=0.01)


def test_a_steep_cord_is_flagged():
    profile = measure_cord(cord_cylinder(tilt_deg=(35, 0), shape=(16, 44, 24)).soft)

    assert all(item.tilted for item in profile.slices)


def test_thick_sagittal_slices_give_no_csa_but_a_mid_sagittal_diameter():
    phantom = cord_cylinder(spacing_mm=(1.0, 0.8, 3.3), shape=(16, 32, 9))

    profile = measure_cord(phantom.soft)

    assert "3.3 mm right to left" in profile.csa_withheld
    assert "axial series" in profile.csa_withheld
    assert profile.ap_withheld == ""
    assert np.isnan(profile.areas_mm2).all()
    assert [s.section.ap_mm for s in profile.slices if s.measured] == pytest.approx([7.7] * 12, rel=0.02)


def test_thick_coronal_slices_give_neither():
    profile = measure_cord(cord_cylinder(spacing_mm=(1.0, 3.0, 0.8), shape=(12, 9, 32)).soft)

    assert "3.0 mm front to back" in profile.csa_withheld
    assert "3.0 mm front to back" in profile.ap_withheld


def test_voxels_of_one_and_a_half_mm_allow_a_csa():
    assert measure_cord(cord_cylinder(spacing_mm=(3.0, 1.5, 1.5), shape=(8, 20, 20)).soft).csa_withheld == ""


def test_an_empty_mask_has_a_profile_without_slices():
    profile = measure_cord(Volume(np.zeros((4, 5, 6), np.float32), np.eye(4)))

    assert profile.slices == ()
    assert profile.length_mm == 0


def test_a_cord_of_one_voxel_does_not_break():
    voxels = np.zeros((6, 8, 8), np.float32)
    voxels[2:5, 4, 4] = 1.0

    middle = measure_cord(Volume(voxels, np.diag([1.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]])).slices[1]

    assert middle.section.area_mm2 == pytest.approx(1.0)
    assert np.isfinite([middle.section.rl_mm, middle.section.eccentricity]).all()


def test_slices_where_a_soft_mask_fades_out_are_withheld():
    soft = cord_cylinder().soft
    fading = np.ones(soft.shape[0], np.float32)
    fading[-8:] = np.linspace(0.97, 0.55, 8)

    profile = measure_cord(soft.with_voxels(soft.voxels * fading[:, None, None]))

    withheld = [item.withheld for item in profile.slices]
    assert withheld.count(FADING) == 5
    assert withheld[2:-7] == [""] * (len(withheld) - 9)
