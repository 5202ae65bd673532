"""Both networks on one grid: a painted U-Net, a detector that finds what it was told to, and who is asked when."""

import numpy as np
import pytest

from dicom_ai.errors import ModelError
from dicom_ai.inference.maskrcnn import Found
from dicom_ai.inference.vertebra_ensemble import Detection
from dicom_ai.inference.vertxnet_networks import CHANNELS, Networks, detections_in, seen_twice

PATCH = (160, 64)
TOPS = (40, 70, 100)


class Painted:
    """A U-Net for one window: C2 above three bodies, wherever it looks."""

    device, runtime = "CPU", "none"

    def run(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        scores = np.full((1, len(CHANNELS), *PATCH), -9.0, np.float32)
        for top in TOPS:
            scores[0, :2, top : top + 22, 20:44] = 9.0
        scores[0, CHANNELS.index("C2"), 10:32, 20:44] = 9.0
        return (scores,)


class Finder:
    """A detector that finds the same in every window, and counts how often it was asked."""

    parts = ()

    def __init__(self, *found: Found) -> None:
        self.found, self.asked = list(found), 0

    def find(self, window: np.ndarray) -> list[Found]:
        self.asked += 1
        return self.found


def thing(kind: str, top: int) -> Found:
    return Found(kind, 0.9, np.array([20.0, top, 44.0, top + 22.0]), np.ones((28, 28), np.float32))


FILM = np.random.default_rng(0).random(PATCH).astype(np.float32)
ALL = (thing("C2", 10), *(thing("vertebra", top) for top in TOPS))


def test_both_networks_make_bodies_that_both_have_seen():
    column = Networks(Painted(), Finder(*ALL), PATCH).look(FILM, 1.0, fine=True)

    assert [body.witnesses for body in column.bodies] == [("unet", "detector")] * 3
    assert column.c2.witnesses == ("unet", "detector")
    assert column.s1 is None


def test_a_reference_that_the_detector_does_not_see_counts_for_nothing():
    column = Networks(Painted(), Finder(*ALL[1:]), PATCH).look(FILM, 1.0, fine=True)

    assert len(column.bodies) == 3
    assert column.c2 is None


def test_without_a_detector_the_reference_of_the_unet_counts():
    assert Networks(Painted(), None, PATCH).look(FILM, 1.0, fine=True).c2.witnesses == ("unet",)


@pytest.mark.parametrize(
    ("system", "fine", "asked"), [("ensemble", False, 1), ("ensemble", True, 2), ("unet", True, 0)]
)
def test_the_detector_looks_once_on_coarse_grids_and_twice_on_the_fine_one(system, fine, asked):
    finder = Finder(*ALL)
    Networks(Painted(), finder, PATCH, system).look(FILM, 1.0, fine=fine)

    assert finder.asked == asked


def test_the_detector_alone_makes_a_column():
    column = Networks(Painted(), Finder(*ALL), PATCH).of("detector").look(FILM, 1.0, fine=False)

    assert [body.witnesses for body in column.bodies] == [("detector",)] * 3
    assert column.c2.witnesses == ("detector",)


def test_a_model_without_a_detector_cannot_be_run_as_one():
    with pytest.raises(ModelError, match="no Mask R-CNN"):
        Networks(Painted(), None, PATCH).of("detector")


def test_a_film_smaller_than_a_window_gives_masks_of_its_own_size():
    (one, *_) = detections_in(FILM[:120, :50], Finder(*ALL), PATCH)

    assert one.soft.shape == (120, 50)


def seen(top: int, score: float, kind: str = "vertebra") -> Detection:
    soft = np.zeros(PATCH)
    soft[top : top + 20, 20:44] = score
    return Detection(kind, score, soft)


def test_what_two_looks_see_is_their_mean_and_one_look_counts_less():
    both, only = seen_twice([seen(40, 0.9), seen(100, 0.8)], [seen(42, 0.7)])

    assert both.score == pytest.approx(0.8)
    assert both.soft[50, 30] == pytest.approx(0.8)
    assert only.score == pytest.approx(0.56)


def test_a_faint_detection_in_one_look_is_none():
    assert seen_twice([seen(40, 0.6)], []) == []


def test_two_looks_that_disagree_about_the_kind_are_two_things():
    assert [one.kind for one in seen_twice([seen(10, 0.9, "C2")], [seen(10, 0.9)])] == ["C2", "vertebra"]
