"""The average of masks, each voxel over the masks that cover it."""

import numpy as np
import pytest

from dicom_ai.domain.image import Volume
from dicom_ai.training.data.soft_truth import soft_truth

AXIAL = np.array([[0.0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])


def block(first, last, slices=10, start=0.0):
    voxels = np.zeros((slices, 12, 12), np.uint8)
    voxels[:, first:last, 4:8] = 1
    affine = AXIAL.copy()
    affine[2, 3] = start
    return Volume(voxels, affine)


def test_half_of_the_masks_make_half_a_voxel():
    soft = soft_truth([block(3, 6), block(4, 7)], block(0, 0))

    assert soft.voxels[5, :, 5] == pytest.approx([0, 0, 0, 0.5, 1, 1, 0.5, 0, 0, 0, 0, 0])


def test_a_mask_that_does_not_cover_a_slice_has_no_vote_there():
    short = block(3, 6, slices=4)

    soft = soft_truth([block(3, 6), short], block(0, 0))

    assert soft.voxels[8, 4, 5] == pytest.approx(1.0)
    assert soft.voxels[2, 4, 5] == pytest.approx(1.0)


def test_where_no_mask_reaches_there_is_nothing():
    soft = soft_truth([block(3, 6, slices=4)], block(0, 0))

    assert not soft.voxels[6:].any()
