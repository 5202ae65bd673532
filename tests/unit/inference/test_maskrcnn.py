"""Mask R-CNN without torch: choice among boxes, windows put together, and RoIAlign against the one that trains."""

import numpy as np
import pytest
import torch

from dicom_ai.inference.maskrcnn import (
    BOX_WEIGHTS,
    KINDS,
    MOST_FOUND,
    Found,
    MaskRCNNRunner,
    chosen,
    levels_of,
    merged,
    pasted,
    pooled,
    proposals,
    roi_align,
)
from dicom_ai.nets import maskrcnn_ops
from dicom_ai.training import vertxnet_detector

SHAPE = (64, 96)
BOXES = np.array([[10, 10, 30, 30], [11, 10, 31, 30], [60, 20, 90, 60]], float)


def found(box: tuple[float, float, float, float], score: float = 0.9, kind: str = "vertebra") -> Found:
    return Found(kind, score, np.array(box, float), np.ones((28, 28), np.float32))


def sure_of(kinds: list[int], score: float = 0.9) -> np.ndarray:
    scores = np.full((len(kinds), len(KINDS)), (1 - score) / (len(KINDS) - 1))
    scores[np.arange(len(kinds)), kinds] = score
    return scores


def test_noise_that_looks_like_many_vertebrae_is_cut_off_at_the_surest():
    far = [found((10 * n, 0, 10 * n + 8, 8), score=0.5 + n / 1000) for n in range(MOST_FOUND + 6)]

    kept = merged([((0, 0), (20, 2000), far)], (20, 2000))

    assert len(kept) == MOST_FOUND
    assert min(one.score for one in kept) == pytest.approx(0.506)


def test_proposals_are_the_surest_boxes_that_do_not_cover_one_another():
    kept = proposals(np.array([0.5, 0.9, 0.1]), BOXES, SHAPE)

    assert kept.tolist() == BOXES[[1, 2]].tolist()


def test_boxes_too_thin_for_anything_are_no_proposals():
    assert len(proposals(np.array([0.9]), np.array([[10, 10, 12, 40.0]]), SHAPE)) == 0


def test_a_box_shows_its_most_probable_kind_moved_as_that_kind_says():
    deltas = np.zeros((1, len(KINDS), 4))
    deltas[0, 2] = [BOX_WEIGHTS[0] * 0.1, 0, 0, 0]
    boxes, scores, kinds = chosen(BOXES[:1], sure_of([2]), deltas.reshape(1, -1), SHAPE)

    assert KINDS[kinds[0]] == "C2"
    assert boxes[0] == pytest.approx([12, 10, 32, 30])
    assert scores[0] == pytest.approx(0.9)


def test_background_and_doubt_show_nothing():
    nothing = np.zeros((1, 4 * len(KINDS)))

    assert len(chosen(BOXES[:1], sure_of([0]), nothing, SHAPE)[0]) == 0
    assert len(chosen(BOXES[:1], sure_of([1], score=0.4), nothing, SHAPE)[0]) == 0


def test_each_box_is_taken_from_the_level_that_suits_its_size():
    sides = np.array([30, 111, 113, 250, 2000])
    boxes = np.stack([0 * sides, 0 * sides, sides, sides], axis=1).astype(float)

    assert levels_of(boxes, 4).tolist() == [0, 0, 1, 2, 3]


def test_roi_align_gives_what_it_gives_in_training():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3, 16, 24)).astype(np.float32)
    boxes = np.array([[3, 5, 40, 33], [-4, 0, 20, 70], [80, 50, 130, 90]], np.float32)

    here = roi_align(features, boxes, bins=7, scale=0.25)
    there = maskrcnn_ops.roi_align(torch.from_numpy(features), torch.from_numpy(boxes), bins=7, scale=0.25)

    assert here == pytest.approx(there.numpy(), abs=1e-5)


def test_pooling_gives_what_it_gives_in_training():
    rng = np.random.default_rng(1)
    maps = [rng.normal(size=(2, 64 >> k, 48 >> k)).astype(np.float32) for k in range(4)]
    boxes = np.array([[10, 10, 40, 30], [5, 5, 180, 190], [0, 0, 190, 250]], np.float32)

    here = pooled(maps, boxes, 7)
    there = vertxnet_detector.pooled([torch.from_numpy(m) for m in maps], torch.from_numpy(boxes), 7)

    assert here == pytest.approx(there.numpy(), abs=1e-5)


def test_what_a_window_cuts_off_is_left_to_the_window_beside_it():
    upper = ((0, 0), (50, 40), [found((5, 5, 20, 20)), found((5, 35, 20, 50), score=0.99)])
    lower = ((30, 0), (50, 40), [found((5, 5, 20, 25), score=0.8)])

    kept = merged([upper, lower], (80, 40))

    assert sorted(one.box.tolist() for one in kept) == [[5, 5, 20, 20], [5, 35, 20, 55]]


def test_what_the_film_cuts_off_is_kept():
    assert len(merged([((0, 0), (50, 40), [found((0, 0, 20, 20))])], (50, 40))) == 1


def test_one_thing_seen_through_two_windows_is_one_thing():
    first = ((0, 0), (50, 40), [found((5, 20, 20, 40), score=0.8)])
    second = ((10, 0), (50, 40), [found((5, 10, 20, 30), score=0.9)])

    assert [one.score for one in merged([first, second], (60, 40))] == [0.9]


def test_a_mask_is_pasted_over_its_box():
    detection = pasted(found((10, 20, 30, 50)), (80, 60))

    rows, columns = np.nonzero(detection.mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 49, 10, 29)


def test_half_a_mask_is_half_of_the_box():
    half = np.zeros((28, 28), np.float32)
    half[:14] = 1
    detection = pasted(Found("S1", 0.9, np.array([10, 20, 38, 48.0]), half), (80, 60))

    assert detection.kind == "S1"
    assert detection.mask.sum() == 28 * 14


class Fixed:
    """A runner that answers with what it was given."""

    device, runtime = "CPU", "none"

    def __init__(self, *answers: np.ndarray) -> None:
        self.answers = answers

    def run(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        return self.answers


class Parts:
    """The three graphs by role."""

    def __init__(self, dense: Fixed, box: Fixed, mask: Fixed) -> None:
        self.by_role = {"detector": dense, "detector_box": box, "detector_mask": mask}

    def open(self, role: str) -> Fixed:
        return self.by_role[role]


def test_three_graphs_make_a_detection():
    maps = [np.zeros((1, 2, 16 >> k, 24 >> k), np.float32) for k in range(4)]
    dense = Fixed(np.array([[0.9]]), BOXES[None, :1], *maps)
    box = Fixed(sure_of([3]), np.zeros((1, 4 * len(KINDS))))
    mask = Fixed(np.stack([np.full((28, 28), k / 4, np.float32) for k in range(4)])[None])

    (one,) = MaskRCNNRunner(Parts(dense, box, mask)).find(np.zeros((2, *SHAPE), np.float32))

    assert one.kind == "S1"
    assert one.box.tolist() == BOXES[0].tolist()
    assert one.mask[0, 0] == 0.75


def test_nothing_probable_runs_no_second_graph():
    maps = [np.zeros((1, 2, 16 >> k, 24 >> k), np.float32) for k in range(4)]
    dense = Fixed(np.zeros((1, 1)), np.zeros((1, 1, 4)), *maps)

    assert MaskRCNNRunner(Parts(dense, Fixed(), Fixed())).find(np.zeros((2, *SHAPE), np.float32)) == []
