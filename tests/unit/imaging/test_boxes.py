"""Boxes: overlap, what is left of boxes that cover one another, and boxes that are moved."""

import numpy as np
import pytest

from dicom_ai.imaging.boxes import LARGEST_GROWTH, inside, moved, overlaps, strongest, strongest_of_each

ONE_TO_ONE = (1.0, 1.0, 1.0, 1.0)


def test_two_squares_that_share_half_of_each_overlap_by_a_third():
    squares = np.array([[0, 0, 10, 10], [5, 0, 15, 10]], float)

    assert overlaps(squares, squares)[0] == pytest.approx([1.0, 1 / 3])


def test_boxes_that_only_touch_do_not_overlap():
    assert overlaps(np.array([[0, 0, 10, 10.0]]), np.array([[10, 0, 20, 10.0]])) == pytest.approx(0.0)


def test_the_strongest_of_boxes_that_cover_one_another_is_kept():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [30, 0, 40, 10]], float)

    assert strongest(boxes, np.array([0.6, 0.9, 0.7]), overlap=0.5).tolist() == [1, 2]


def test_a_box_that_is_dropped_drops_no_other():
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], float)

    assert strongest(boxes, np.array([0.9, 0.8, 0.7]), overlap=0.3).tolist() == [0, 2]


def test_boxes_of_different_kinds_do_not_drop_one_another():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [1, 0, 11, 10]], float)

    kept = strongest_of_each(boxes, np.array([0.5, 0.9, 0.7]), np.array([1, 2, 1]), overlap=0.5)

    assert kept.tolist() == [1, 2]


def test_no_box_leaves_no_box():
    assert strongest(np.zeros((0, 4)), np.zeros(0), overlap=0.5).tolist() == []
    assert strongest_of_each(np.zeros((0, 4)), np.zeros(0), np.zeros(0), overlap=0.5).tolist() == []


def test_a_box_moves_by_its_own_size_and_grows_by_a_factor():
    box = np.array([[0, 0, 10, 20]], float)

    assert moved(box, np.array([[[1.0, 0.5, 0, 0]]]), ONE_TO_ONE)[0, 0] == pytest.approx([10, 10, 20, 30])
    assert moved(box, np.array([[[0, 0, np.log(2), 0]]]), ONE_TO_ONE)[0, 0] == pytest.approx([-5, 0, 15, 20])


def test_a_box_cannot_grow_beyond_all_bounds():
    grown = moved(np.array([[0, 0, 10, 10]], float), np.array([[[0, 0, 1000.0, 0]]]), ONE_TO_ONE)

    assert np.ptp(grown[0, 0, [0, 2]]) == pytest.approx(10 * np.exp(LARGEST_GROWTH))


def test_boxes_end_at_the_edges_of_the_image():
    assert inside(np.array([[-5, 3, 30, 50.0]]), (40, 20)).tolist() == [[0, 3, 20, 40]]
