"""Scores of a segmentation that is known to be right, wrong, or empty."""

import json

import numpy as np

from dicom_ai.domain.findings import Segment, Segmentation, Structure, StructureKind, VertebraLabel
from dicom_ai.training.data.xray_cases import Film
from dicom_ai.training.data.xray_synthesis import paint
from dicom_ai.training.vertxnet_scores import score_view, totals, view_of

LEVELS = ("C2", "C3", "C4", "C5")


def film() -> Film:
    tops = [40 + 50 * place for place in range(len(LEVELS))]
    corners = [[(80, top), (120, top), (120, top + 40), (80, top + 40)] for top in tops]
    return Film("lateral_01", "", np.zeros((300, 200), np.uint8), LEVELS, np.array(corners, np.float32))


def drawn(levels: tuple[str | None, ...], *, facing: int = 1) -> Segmentation:
    """The bodies of the film as they are, with these levels."""
    labels = np.zeros((300, 200), np.uint8)
    vertebrae, segments = [], []
    for number, (level, corners) in enumerate(zip(levels, film().corners, strict=True), 1):
        canvas = np.zeros(labels.shape, np.float32)
        paint(canvas, corners)
        labels[canvas >= 0.5] = number
        x, y = corners.mean(axis=0)
        point = np.array([0.0, -facing * x, -y])
        vertebrae.append(VertebraLabel(level, level or f"V{number}", number, "", False, point, point, point))
        segments.append(Segment(number, Structure(StructureKind.VERTEBRA, "V"), "V", f"2.25.{number}"))
    return Segmentation(labels, tuple(segments), 1.0, vertebrae=tuple(vertebrae))


def test_the_truth_scores_full_marks():
    score = score_view(film(), drawn(LEVELS), {}, mirrored=False)

    assert (score.bodies, score.found, score.extra) == (3, 3, 0)
    assert (score.levels_right, score.levels_wrong, score.levels_withheld) == (3, 0, 0)
    assert score.side == "right"
    assert min(score.dice) == 1.0 and score.union_dice == 1.0


def test_levels_shifted_by_one_are_wrong():
    score = score_view(film(), drawn((None, "C4", "C5", "C6")), {}, mirrored=False)

    assert (score.levels_right, score.levels_wrong) == (0, 3)


def test_no_level_is_withheld_and_not_wrong():
    score = score_view(film(), drawn((None,) * 4), {}, mirrored=False)

    assert (score.levels_wrong, score.levels_withheld) == (0, 3)


def test_a_reference_vertebra_in_the_wrong_place_is_wrong():
    labels = drawn((None, None, None, None)).labels
    stray = drawn((None, None, None, "C2"))

    assert score_view(film(), stray, {}, mirrored=False).levels_wrong == 2  # C5 is called C2, and C2 is not there
    assert labels.any()


def test_the_other_side_is_wrong():
    assert score_view(film(), drawn(LEVELS, facing=-1), {}, mirrored=False).side == "wrong"


def test_nothing_found_scores_nothing():
    score = score_view(film(), Segmentation(np.zeros((300, 200), np.uint8), (), 0.0), {}, mirrored=False)

    assert (score.found, score.extra, score.side) == (0, 0, "withheld")
    assert totals([score])["recall"] == 0.0


def test_totals_can_be_written_as_json():
    score = score_view(film(), drawn(LEVELS), {}, mirrored=False)

    assert json.loads(json.dumps(totals([score, score])))["bodies"] == 6


def test_a_mirrored_view_mirrors_its_corners():
    view = view_of(film(), "full", mirrored=True)

    assert view.corners[0, 0].tolist() == [119, 40]
