"""Scores of a drawn column: Dice, distances, and levels counted right, wrong or withheld."""

import nibabel
import numpy as np
import pytest

from dicom_ai.domain.findings import Segment, Segmentation, Structure, StructureKind
from dicom_ai.domain.image import Volume
from dicom_ai.errors import ConfigError
from dicom_ai.training.data.spine_cases import volume_case
from dicom_ai.training.spine_evaluation import (
    HELD_OUT,
    failed,
    refuse_trained,
    structure_scores,
    surface_distances,
    thinned,
)

SPACING = (1.0, 1.0, 1.0)


def columns(levels, *, shift=0):
    truth = np.zeros((10, 100, 40), np.uint8)
    for place in range(3):
        truth[2:8, 10 + 30 * place : 30 + 30 * place, 10:30] = 3 - place
    labels = np.zeros_like(truth)
    segments = []
    for number, level in enumerate(levels, start=1):
        labels[np.roll(truth, shift, axis=1) == 4 - number] = number
        segments.append(Segment(number, Structure(StructureKind.VERTEBRA, "", level), "", ""))
    return Segmentation(labels, tuple(segments), 1.0), truth


def test_the_same_masks_score_one():
    scores = structure_scores(*columns(["L3", "L4", "L5"]), ("L5", "L4", "L3"), SPACING)

    assert scores["dice_mean"] == 1.0 and scores["hd95_mm"] == 0.0
    assert (scores["right"], scores["wrong"], scores["withheld"]) == (3, 0, 0)


def test_a_column_named_one_too_high_is_wrong_throughout():
    scores = structure_scores(*columns(["L2", "L3", "L4"]), ("L5", "L4", "L3"), SPACING)

    assert (scores["right"], scores["wrong"], scores["withheld"]) == (0, 3, 0)


def test_a_level_that_is_not_said_is_withheld():
    scores = structure_scores(*columns([None, "L4", "L5"]), ("L5", "L4", "L3"), SPACING)

    assert (scores["right"], scores["wrong"], scores["withheld"]) == (2, 0, 1)


def test_every_structure_is_scored_apart():
    parts = structure_scores(*columns(["L2", None, "L5"]), ("L5", "L4", "L3"), SPACING)["parts"]

    assert [(part["level"], part["dice"], part["answer"]) for part in parts] == [
        ("L5", 1.0, "right"),
        ("L4", 1.0, "withheld"),
        ("L3", 1.0, "wrong"),
    ]


def test_a_thinned_volume_keeps_its_slices_where_they_are():
    affine = np.diag([2.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = (5.0, -3.0, 7.0)
    volume = Volume(np.arange(10.0)[:, None, None] * np.ones((10, 2, 2)), affine)

    thin = thinned(volume, 4)

    assert thin.voxels[:, 0, 0].tolist() == [1.0, 5.0, 9.0]
    assert thin.to_mm(np.array([2, 0, 0])) == pytest.approx(volume.to_mm(np.array([9, 0, 0])))


WHOLE = {"crop": "", "wrong": 0, "missed": 0, "dice_worst": 0.9}


@pytest.mark.parametrize(
    ("row", "looked_at"),
    [
        (WHOLE, False),
        (WHOLE | {"wrong": 1}, True),
        (WHOLE | {"missed": 1}, True),
        (WHOLE | {"dice_worst": 0.3}, True),
        ({"crop": "above L3", "false_levels": 0}, False),
        ({"crop": "above L3", "false_levels": 1}, True),
    ],
)
def test_what_went_wrong_is_looked_at(row, looked_at):
    assert failed(row) == looked_at


def test_a_missed_structure_scores_nothing_and_is_withheld():
    segmentation, truth = columns(["L3", "L4", "L5"])
    segmentation.labels[segmentation.labels == 2] = 0

    scores = structure_scores(segmentation, truth, ("L5", "L4", "L3"), SPACING)

    assert scores["dice_worst"] == 0.0 and scores["worst"] == "L4"
    assert scores["missed"] == 1 and scores["withheld"] == 1
    assert scores["hd95_mm"] == 0.0


def test_a_shift_by_two_voxels_is_seen_in_the_distances():
    scores = structure_scores(*columns(["L3", "L4", "L5"], shift=2), ("L5", "L4", "L3"), SPACING)

    assert scores["dice_mean"] == pytest.approx(18 / 20)
    assert scores["hd95_mm"] == pytest.approx(2.0)


def test_the_distance_between_two_planes_is_that_between_them():
    one, other = np.zeros((2, 5, 9, 9), bool)
    one[1], other[3] = True, True

    assert (surface_distances(one, other, (3.0, 1.0, 1.0)) == 6.0).all()


def test_the_copies_of_one_image_are_held_out_together():
    assert "myosegmentum_18" in HELD_OUT and "myosegmentum_19" not in HELD_OUT


def test_a_case_that_was_trained_on_under_another_name_is_refused(tmp_path):
    labels = np.zeros((30, 40, 120), np.uint8)  # to the right, to the front, to the head
    for value in (1, 2, 3):
        labels[8:22, 10:30, 20 + 30 * value - 24 : 20 + 30 * value - 4] = value
    rng = np.random.default_rng(0)
    for name in ("chu_90", "chu_91"):
        image = rng.normal(100, 9, labels.shape).astype(np.float32)
        nibabel.save(nibabel.nifti1.Nifti1Image(image, np.eye(4)), tmp_path / f"{name}_image.nii.gz")
        nibabel.save(nibabel.nifti1.Nifti1Image(labels, np.eye(4)), tmp_path / f"{name}_labels.nii.gz")
    trained = {volume_case(tmp_path, "chu_90").digest: "myosegmentum_01"}

    refuse_trained(tmp_path, "chu_91", trained)
    with pytest.raises(ConfigError, match="on this very case, as myosegmentum_01"):
        refuse_trained(tmp_path, "chu_90", trained)
