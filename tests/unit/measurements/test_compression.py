"""MSCC of cords whose flattening is known; healthy cords have no candidate."""

import numpy as np
import pytest

from dicom_ai.imaging.neck_phantom import NeckShape, axial_grid, neck_phantom, random_shape
from dicom_ai.measurements.compression import compressions
from dicom_ai.measurements.spinal_cord_csa import measure_cord
from tests.phantoms import cord_cylinder


def dented(*, at: range = range(38, 43), ap_mm: float = 5.0, spacing_mm=(1.0, 0.5, 0.5), slices: int = 80):
    """A cord of 7.8 mm, flatter in some slices."""
    shape = (slices, 36, 44)
    phantom = cord_cylinder(spacing_mm=spacing_mm, shape=shape, samples=4)
    flat = cord_cylinder(spacing_mm=spacing_mm, shape=shape, diameters_mm=(ap_mm, 12.0), samples=4)
    phantom.soft.voxels[list(at)] = flat.soft.voxels[list(at)]
    return measure_cord(phantom.soft)


def test_mscc_is_one_minus_the_ratio_of_the_diameters():
    (found,) = compressions(dented())

    assert found.mscc_percent == pytest.approx(100 * (1 - 5.0 / 7.8), abs=1.0)
    assert found.item.index in range(38, 43)
    assert (found.above_mm, found.below_mm) == pytest.approx((7.72, 7.72), abs=0.1)


def test_thick_axial_slices_show_it_too():
    (found,) = compressions(dented(at=range(9, 11), spacing_mm=(4.0, 0.5, 0.5), slices=20))

    assert found.mscc_percent == pytest.approx(36, abs=2)


def test_two_places_are_two_candidates_compared_with_cord_beyond_both():
    both = dented(at=[*range(34, 38), *range(50, 54)], ap_mm=5.5, slices=110)

    found = compressions(both)

    assert [one.mscc_percent for one in found] == pytest.approx([29.5, 29.5], abs=1.5)
    assert found[0].item.index > found[1].item.index


def test_a_shallow_dent_is_none():
    assert compressions(dented(ap_mm=6.9)) == ()


@pytest.mark.parametrize(("at", "missing"), [(range(70, 74), "above_mm"), (range(6, 10), "below_mm")])
def test_near_an_end_one_side_is_compared_with_and_the_other_is_missing(at, missing):
    (found,) = compressions(dented(at=at))

    assert getattr(found, missing) is None
    assert found.mscc_percent == pytest.approx(36, abs=2)


def test_thick_coronal_slices_give_none():
    assert compressions(measure_cord(cord_cylinder(spacing_mm=(1.0, 3.0, 0.8), shape=(80, 9, 32)).soft)) == ()


def test_thick_sagittal_slices_give_it():
    shape, spacing = (80, 36, 9), (1.0, 0.5, 3.3)
    phantom = cord_cylinder(spacing_mm=spacing, shape=shape)
    flat = cord_cylinder(spacing_mm=spacing, shape=shape, diameters_mm=(5.0, 12.0))
    phantom.soft.voxels[38:43] = flat.soft.voxels[38:43]

    (found,) = compressions(measure_cord(phantom.soft))

    assert found.mscc_percent == pytest.approx(36, abs=2)


@pytest.mark.parametrize("seed", [None, 3])
def test_necks_without_compression_have_no_candidate(seed):
    shape = NeckShape() if seed is None else random_shape(seed)
    grid = axial_grid(shape, spacing_mm=(4.0, 0.8, 0.8), extent_mm=(130.0, 30.0, 30.0))
    assert shape.squeeze == 0.0

    assert compressions(measure_cord(neck_phantom(shape, grid).cord)) == ()


def test_a_squeezed_neck_has_its_candidate_where_it_was_squeezed():
    shape = NeckShape(squeeze=0.4, squeeze_height=-75.0)
    grid = axial_grid(shape, spacing_mm=(3.0, 0.8, 0.8), extent_mm=(110.0, 36.0, 36.0))

    (found,) = compressions(measure_cord(neck_phantom(shape, grid).cord))

    assert found.item.section.centroid_mm[2] == pytest.approx(-75.0, abs=4.0)
    assert found.mscc_percent == pytest.approx(40, abs=5)
    assert np.isfinite([found.above_mm, found.below_mm]).all()
