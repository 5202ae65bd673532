"""Connected pieces of a mask."""

import numpy as np
import pytest

from dicom_ai.imaging.components import components, largest_component, without_small


def two_boxes() -> np.ndarray:
    mask = np.zeros((4, 10, 10), bool)
    mask[0, 0:2, 0:2] = True
    mask[1:4, 5:8, 5:9] = True
    return mask


def test_components_come_largest_first_with_their_place():
    first, second = components(two_boxes())

    assert (first.number, first.voxels, first.box) == (1, 36, (slice(1, 4), slice(5, 8), slice(5, 9)))
    assert first.centroid == pytest.approx((2.0, 6.0, 6.5))
    assert second.voxels == 4


def test_the_largest_component_alone_is_kept():
    assert largest_component(two_boxes()).sum() == 36


def test_an_empty_mask_has_no_component():
    empty = np.zeros((3, 3), bool)

    assert components(empty) == ()
    assert not largest_component(empty).any()
    assert not without_small(empty, 2).any()


def test_small_pieces_are_removed():
    assert without_small(two_boxes(), 5).sum() == 36
    assert without_small(two_boxes(), 4).sum() == 40


def test_corners_join_unless_told():
    diagonal = np.eye(3, dtype=bool)

    assert len(components(diagonal)) == 1
    assert len(components(diagonal, connectivity=1)) == 3
