"""The neck phantom: its areas, its place in space, its soft masks, and that a seed says everything."""

from dataclasses import replace

import numpy as np
import pytest

from dicom_ai.imaging.neck_phantom import (
    NeckShape,
    axial_grid,
    neck_phantom,
    neck_truth,
    random_shape,
    sagittal_grid,
)
from dicom_ai.imaging.neck_tissues import CONTRASTS, Tissue

SHAPE = NeckShape()


@pytest.fixture(scope="module")
def sagittal():
    return neck_phantom(SHAPE, sagittal_grid(SHAPE, extent_mm=(40.0, 110.0, 60.0), top_mm=-10.0), seed=1)


def areas_across(phantom, rows):
    """Soft sum times pixel area times the cosine of the centre-line, and the truth, of rows of a sagittal phantom."""
    found, wanted = [], []
    for row in rows:
        plane = phantom.cord.voxels[:, row, :]
        column = (plane.sum(axis=0) @ np.arange(plane.shape[1])) / plane.sum()
        side = (plane.sum(axis=1) @ np.arange(plane.shape[0])) / plane.sum()
        point = phantom.cord.to_mm(np.array([side, row, column]))
        slope = SHAPE.slope(point[2])
        found.append(plane.sum() / np.sqrt(1 + (slope**2).sum()))
        wanted.append(phantom.truth.csa_at(point))
    return np.array(found), np.array(wanted)


def test_the_area_of_the_truth_is_pi_a_b():
    truth = neck_truth(SHAPE)

    semi = SHAPE.semi_axes_mm(truth.centreline_mm[:, 2])

    assert truth.areas_mm2 == pytest.approx(np.pi * semi[:, 0] * semi[:, 1])


def test_the_soft_mask_has_the_area_of_the_formula_at_every_height(sagittal):
    found, wanted = areas_across(sagittal, range(5, 105, 5))

    assert found == pytest.approx(wanted, rel=0.01)


def test_the_mask_of_an_axial_stack_of_thick_slices_has_it_too():
    phantom = neck_phantom(SHAPE, axial_grid(SHAPE, extent_mm=(30.0, 40.0, 40.0), top_mm=-40.0))

    areas = phantom.cord.voxels.sum(axis=(1, 2)) * 0.25
    middles = phantom.cord.to_mm(np.array([[index, 40, 40] for index in range(phantom.cord.shape[0])]))
    slopes = SHAPE.slope(middles[:, 2])

    assert areas / np.sqrt(1 + (slopes**2).sum(axis=1)) == pytest.approx(phantom.truth.csa_at(middles), rel=0.01)


def test_arc_length_is_longer_than_height_where_the_neck_bends():
    truth = neck_truth(SHAPE)

    assert truth.arc_mm[-1] > -truth.centreline_mm[-1, 2]
    assert truth.position_of(truth.centreline_mm[500]) == pytest.approx(truth.arc_mm[500], abs=0.02)


def test_levels_follow_one_another_without_gaps():
    bounds = list(neck_truth(SHAPE).level_bounds_mm.values())

    assert [lower for _, lower in bounds[:-1]] == [upper for upper, _ in bounds[1:]]


def test_a_squeeze_makes_the_cord_flatter_there_and_nowhere_else():
    squeezed = replace(SHAPE, squeeze=0.4, squeeze_height=-60.0)

    near, far = squeezed.semi_axes_mm(np.array([-60.0, -120.0])) / SHAPE.semi_axes_mm(np.array([-60.0, -120.0]))

    assert near[1] == pytest.approx(0.6)
    assert near[0] > 1
    assert far == pytest.approx([1, 1], abs=1e-6)


def test_cord_lies_within_the_canal(sagittal):
    assert (sagittal.canal.voxels >= sagittal.cord.voxels - 1e-6).all()


def test_the_cord_is_darker_than_csf_in_t2_and_brighter_in_t1():
    t1, t2 = CONTRASTS["T1"], CONTRASTS["T2"]

    assert t1[Tissue.CORD] > t1[Tissue.CSF]
    assert t2[Tissue.CORD] < t2[Tissue.CSF]


def test_grids_are_right_handed_and_inside_the_patient():
    for grid in (sagittal_grid(SHAPE), axial_grid(SHAPE)):
        assert np.linalg.det(grid.affine[:3, :3]) > 0


def test_a_seed_decides_image_and_shape():
    grid = sagittal_grid(SHAPE, extent_mm=(6.0, 30.0, 60.0), top_mm=-40.0)
    first, same, other = (neck_phantom(SHAPE, grid, seed=seed) for seed in (1, 1, 2))

    assert (first.image.voxels == same.image.voxels).all()
    assert (first.image.voxels != other.image.voxels).any()
    assert (first.cord.voxels == other.cord.voxels).all()
    assert random_shape(3) == random_shape(3) != random_shape(4)
