"""Resampling keeps every voxel where it is in the patient."""

import numpy as np
import pytest

from dicom_ai.domain.image import Volume
from dicom_ai.imaging.resample import grid_for, resample, resample_onto


def plane_wave(shape=(6, 10, 12), spacing=(4.0, 1.0, 0.5), rotation=None) -> Volume:
    """A volume whose value is 2 x + 3 y - z + 5 at LPS (x, y, z): linear interpolation is exact on it."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if rotation is None else rotation) * np.array(spacing)
    affine[:3, 3] = (-10.0, 20.0, 7.0)
    grid = Volume(np.zeros(shape, np.float32), affine, "1.2.3")
    return grid.with_voxels(linear_at(grid))


def linear_at(grid: Volume) -> np.ndarray:
    points = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    return (points @ np.array([2.0, 3.0, -1.0]) + 5.0).astype(np.float32)


def turn(axis: int, degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    first, second = [index for index in range(3) if index != axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


@pytest.mark.parametrize("order", [1, 3])
def test_a_finer_grid_reproduces_a_linear_image(order):
    volume = plane_wave()

    fine = resample(volume, (2.0, 0.5, 0.5), order)

    inner = (slice(2, -2), slice(2, -2), slice(2, -2))
    assert fine.shape == (12, 20, 12)
    assert fine.voxels[inner] == pytest.approx(linear_at(fine)[inner], abs=0.6 if order == 3 else 1e-3)


def test_resampling_keeps_the_centre_and_the_directions():
    volume = plane_wave(rotation=turn(0, 20.0))

    coarse = resample(volume, (4.0, 2.0, 2.0))

    assert coarse.spacing_mm == pytest.approx([4.0, 2.0, 2.0])
    assert coarse.directions == pytest.approx(volume.directions)
    middle = (np.array(coarse.shape) - 1) / 2
    assert coarse.to_mm(middle) == pytest.approx(volume.to_mm((np.array(volume.shape) - 1) / 2))
    assert coarse.frame_of_reference_uid == "1.2.3"


def test_an_oblique_grid_sees_the_same_patient():
    volume = plane_wave(shape=(30, 40, 40), spacing=(1.0, 1.0, 1.0))
    small = plane_wave(shape=(5, 6, 7), spacing=(1.5, 1.0, 1.0), rotation=turn(2, 33.0) @ turn(0, 12.0))
    affine = small.affine.copy()
    affine[:3, 3] = volume.to_mm([12, 18, 18])
    grid = Volume(small.voxels, affine)

    values = resample_onto(volume, grid).voxels

    assert values == pytest.approx(linear_at(grid), abs=0.2)


def test_a_turned_grid_costs_no_interpolation():
    rng = np.random.default_rng(1)
    volume = plane_wave().with_voxels(rng.normal(size=(6, 10, 12)).astype(np.float32))
    grid = grid_for(volume, orientation="SAR")

    turned = resample_onto(volume, grid)
    back = resample_onto(turned, volume)

    assert turned.voxels == pytest.approx(volume.voxels.transpose(2, 1, 0)[:, ::-1, ::-1])
    assert np.array_equal(back.voxels, volume.voxels)


def test_a_turn_and_a_scale_agree_with_the_general_transform():
    rng = np.random.default_rng(2)
    volume = plane_wave().with_voxels(rng.normal(size=(6, 10, 12)).astype(np.float32))
    grid = grid_for(volume, orientation="SAR", spacing_mm=(0.4, 0.8, 3.0))
    tilted = Volume(grid.voxels, grid.affine @ np.array(_tiny_shear()))

    straight = resample_onto(volume, grid).voxels

    assert straight == pytest.approx(resample_onto(volume, tilted).voxels, abs=2e-3)


def _tiny_shear() -> list[list[float]]:
    return [[1, 1e-5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_labels_stay_labels():
    labels = plane_wave().with_voxels(np.full((6, 10, 12), 7, np.uint8))

    finer = resample(labels, (1.0, 0.7, 0.7), order=0)

    assert finer.voxels.dtype == np.uint8
    assert set(np.unique(finer.voxels)) == {7}


def test_a_boolean_mask_stays_boolean():
    mask = plane_wave().with_voxels(np.ones((6, 10, 12), bool))

    assert resample(mask, (1.0, 1.0, 1.0), order=0).voxels.dtype == bool


def test_the_field_of_view_reaches_to_the_outer_faces_and_not_beyond():
    volume = Volume(np.ones((1, 4, 4), np.float32), np.diag([5.0, 1.0, 1.0, 1.0]))
    grid = Volume(np.zeros((1, 4, 16), np.uint8), np.array(np.diag([5.0, 1.0, 0.5, 1.0])) + _shift(column=-2.25))

    values = resample_onto(volume, grid, outside=-1.0).voxels[0, 0]

    # Column centres at -2.25, -1.75, ... 5.25 mm; the source reaches from -0.5 to 3.5 mm.
    assert values == pytest.approx([-1] * 4 + [1] * 8 + [-1] * 4)


def _shift(*, column: float) -> np.ndarray:
    shift = np.zeros((4, 4))
    shift[2, 3] = column
    return shift


def test_a_coarse_grid_sees_the_mean_of_fine_stripes():
    stripes = np.tile(np.array([0.0, 1.0], np.float32), 32)
    volume = Volume(np.tile(stripes, (1, 8, 1)), np.eye(4))

    coarse = resample(volume, (1.0, 1.0, 8.0)).voxels

    assert coarse[0, 4, 1:-1] == pytest.approx(0.5, abs=0.02)


def test_a_single_slice_can_be_resampled():
    volume = Volume(np.full((1, 8, 8), 3.0, np.float32), np.diag([6.0, 1.0, 1.0, 1.0]))

    finer = resample(volume, (0.0, 0.5, 0.5), order=3)

    assert finer.shape == (1, 16, 16)
    assert finer.voxels == pytest.approx(3.0, abs=1e-5)


def test_the_same_grid_is_the_same_voxels():
    volume = plane_wave()

    assert np.array_equal(resample(volume, volume.spacing_mm).voxels, volume.voxels)
    assert grid_for(volume).affine == pytest.approx(volume.affine)


def test_there_and_back_loses_little_of_a_smooth_image():
    volume = plane_wave(rotation=turn(1, 10.0))

    back = resample_onto(resample(volume, (3.0, 0.8, 0.8)), volume).voxels

    inner = (slice(1, -1), slice(2, -2), slice(2, -2))
    assert back[inner] == pytest.approx(volume.voxels[inner], abs=0.5)


def test_smoothing_can_be_left_out():
    stripes = np.tile(np.array([0.0, 1.0], np.float32), 32)
    volume = Volume(np.tile(stripes, (1, 8, 1)), np.eye(4))
    grid = grid_for(volume, spacing_mm=(1.0, 1.0, 8.0))

    picked = resample_onto(volume, Volume(grid.voxels, grid.affine + _shift(column=0.5)), smooth=False).voxels

    # Columns 4, 12, 20, ... are all even: no neighbour is mixed in.
    assert set(np.unique(picked)) == {0.0}
