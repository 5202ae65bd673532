"""Scores of a segmentation at known answers."""

import numpy as np
import pytest

from dicom_ai.domain.image import Volume
from dicom_ai.errors import ConfigError
from dicom_ai.training.cord_evaluation import on_grid_of, seen_people
from dicom_ai.training.cord_scores import cord_scores

AXIAL = np.array([[0.0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])


def tube(radius, slices=20, shift=0.0):
    rows, columns = np.meshgrid(np.arange(40) - 19.5, np.arange(40) - 19.5 - shift, indexing="ij")
    plane = np.clip(radius - np.hypot(rows, columns) + 0.5, 0, 1).astype(np.float32)
    return Volume(np.repeat(plane[None], slices, 0), AXIAL)


def test_the_truth_scores_perfectly():
    scores = cord_scores(tube(5), tube(5))

    assert (scores.dice, scores.hd95_mm, scores.false_voxels, scores.slices_missed) == (1.0, 0.0, 0, 0)
    assert scores.csa_bias_percent == pytest.approx(0)


def test_a_thicker_tube_has_a_larger_area():
    scores = cord_scores(tube(5.5), tube(5))

    assert scores.csa_bias_percent == pytest.approx(21, abs=1)
    assert scores.csa_bias_mm2 == pytest.approx(np.pi * (5.5**2 - 25), rel=0.05)


def test_a_shift_of_two_millimetres_is_the_distance_of_the_outlines():
    assert cord_scores(tube(5, shift=2), tube(5)).hd95_mm == pytest.approx(2.0, abs=0.3)


def test_missing_slices_are_counted():
    part = tube(5)
    part.voxels[:4] = 0

    assert cord_scores(part, tube(5)).slices_missed == 4


def test_a_part_is_cut_from_the_voxels_it_lies_on():
    whole = tube(5)
    affine = AXIAL.copy()
    affine[2, 3] = 3.0
    part = Volume(np.zeros((5, 40, 40), np.float32), affine)

    assert (on_grid_of(whole, part).voxels == whole.voxels[3:8]).all()

    affine[2, 3] = 3.5
    with pytest.raises(ValueError, match="voxels"):
        on_grid_of(whole, Volume(part.voxels, affine))


def test_weights_of_unknown_training_are_not_scored(tmp_path):
    with pytest.raises(ConfigError, match="nobody knows"):
        seen_people(tmp_path)
