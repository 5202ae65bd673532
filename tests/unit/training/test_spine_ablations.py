"""Variants of the two stages: few cases drawn, the rest without their truth, and scores where the truth is known."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from dicom_ai.nets.deeplabv3plus import COMPACT_2D, DeepLabV3Plus  # noqa: E402
from dicom_ai.training.data.spine_classes import ABOVE, CLASSES, REST, VERTEBRA  # noqa: E402
from dicom_ai.training.spine_ablations import COLUMNS, DRAWN, Trial, ablate, class_dice, score, split  # noqa: E402
from dicom_ai.training.spine_stage2 import Stage2Settings  # noqa: E402

from .test_spine_stages import drawn_case  # noqa: E402


def cases(count):
    return [drawn_case(f"{source}_{number:02d}") for source in ("chu", "myosegmentum") for number in range(count)]


def test_the_truth_of_a_few_volumes_of_each_source_is_used_and_of_the_others_the_image():
    drawn, others = split(cases(DRAWN + 2))

    assert [case.name for case in drawn] == [f"{s}_{n:02d}" for s in ("chu", "myosegmentum") for n in range(DRAWN)]
    assert len(others) == 4 and not {case.name for case in others} & {case.name for case in drawn}


def test_dice_is_counted_where_the_truth_says_whether_a_voxel_has_the_class():
    codes = np.array([VERTEBRA, VERTEBRA, REST, REST, ABOVE, ABOVE])
    chosen = np.array([VERTEBRA, 0, VERTEBRA, 0, VERTEBRA, VERTEBRA])

    assert class_dice(chosen, codes, VERTEBRA) == pytest.approx(2 * 1 / (2 + 2))


def test_a_network_that_answers_the_truth_scores_one():
    def truth(patch):
        known = torch.where(patch.codes < len(CLASSES), patch.codes, 0)
        return torch.nn.functional.one_hot(known, len(CLASSES)).movedim(-1, 1).float()

    assert score(truth, [drawn_case(), drawn_case("chu_01")], Stage2Settings(slices=2)) == {
        "n": 2,
        "vertebra Dice": 1.0,
        "vertebra worst": 1.0,
        "disc Dice": 1.0,
        "disc worst": 1.0,
    }


def test_every_variant_is_trained_and_scored(tmp_path):
    torch.set_num_threads(1)

    small = Stage2Settings(steps=1, rows=32, columns=32, slices=2)
    trial = Trial(*split(cases(DRAWN + 1)), tmp_path, lambda line: None, patch=small, scored=small)

    report = ablate(trial, [drawn_case("chu_99")])

    assert report.columns == COLUMNS
    assert [(row["variant"], row["first stage"]) for row in report.rows] == [
        ("3-D alone", "-"),
        ("2-D alone", "drawn cases"),
        ("2-D and 3-D without attention", "drawn cases"),
        ("2-D and 3-D with attention", "drawn cases"),
        ("2-D alone", "drawn cases and pseudo-labels"),
        ("2-D and 3-D without attention", "drawn cases and pseudo-labels"),
        ("2-D and 3-D with attention", "drawn cases and pseudo-labels"),
    ]
    assert all(row["n"] == 1 for row in report.rows)


def test_what_a_second_stage_adds_to_trained_weights_is_asked_alone(tmp_path):
    torch.set_num_threads(1)
    small = Stage2Settings(steps=1, rows=32, columns=32, slices=2)
    branch = DeepLabV3Plus(COMPACT_2D).eval()
    before = {name: value.clone() for name, value in branch.state_dict().items()}
    trial = Trial(cases(1), (), tmp_path, lambda line: None, patch=small, scored=small, given=[branch])

    report = ablate(trial, [drawn_case("chu_99")])

    assert [(row["variant"], row["first stage"]) for row in report.rows] == [
        ("2-D alone", "given weights"),
        ("2-D and 3-D without attention", "given weights"),
        ("2-D and 3-D with attention", "given weights"),
    ]
    assert all(torch.equal(value, before[name]) for name, value in branch.state_dict().items())
