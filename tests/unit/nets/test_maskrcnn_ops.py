"""RoIAlign, anchors and deltas against answers in closed form."""

import numpy as np
import pytest
import torch

from dicom_ai.imaging import boxes as numpy_boxes
from dicom_ai.nets.maskrcnn_ops import anchors, deltas_to, moved, overlaps, roi_align

WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def ramp(rows: int = 20, columns: int = 30) -> torch.Tensor:
    """Two channels: the column and the row of each pixel."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([x, y]).float()


def test_bins_of_a_ramp_hold_their_middles():
    held = roi_align(ramp(), torch.tensor([[4.0, 2.0, 12.0, 10.0]]), bins=4, scale=1.0)

    assert held[0, 0, 0] == pytest.approx([5, 7, 9, 11])
    assert held[0, 1, :, 0] == pytest.approx([3, 5, 7, 9])


def test_a_box_on_a_reduced_map_is_reduced_with_it():
    held = roi_align(ramp(), torch.tensor([[16.0, 8.0, 48.0, 40.0]]), bins=4, scale=0.25)

    assert held[0, 0, 0] == pytest.approx([5, 7, 9, 11])


def test_what_lies_far_outside_of_the_image_is_zero():
    held = roi_align(ramp() + 1, torch.tensor([[-40.0, 0.0, -20.0, 10.0]]), bins=2, scale=1.0)

    assert float(held.abs().max()) == 0.0


def test_gradients_reach_the_pixels_of_the_box_only():
    features = ramp().requires_grad_()
    roi_align(features, torch.tensor([[4.0, 2.0, 12.0, 10.0]]), bins=4, scale=1.0).sum().backward()

    assert features.grad[0, 5, 8] > 0
    assert features.grad[0, 15, 20] == 0


def test_anchors_lie_at_the_pixels_of_their_level():
    found = anchors([(2, 3)], (16, 24), sizes=(8,), ratios=(1.0, 4.0))

    assert found.shape == (12, 4)
    assert found[0].tolist() == [-4, -4, 4, 4]
    assert found[1].tolist() == [-2, -8, 2, 8]  # four times as high as wide
    assert found[2].tolist() == [4, -4, 12, 4]  # one column on: 24 / 3 pixels


def test_deltas_move_a_box_to_where_it_should_be():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 20.0], [5.0, 5.0, 9.0, 8.0]])
    wanted = torch.tensor([[2.0, 3.0, 15.0, 18.0], [5.0, 6.0, 10.0, 8.0]])

    assert moved(boxes, deltas_to(wanted, boxes, WEIGHTS)[:, None], WEIGHTS)[:, 0].numpy() == pytest.approx(
        wanted.numpy(), abs=1e-4
    )


def test_torch_and_numpy_agree_on_boxes():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 50, (20, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 30, (20, 2))], axis=1)
    deltas = rng.normal(size=(20, 3, 4))
    tensor = torch.from_numpy(boxes)

    assert overlaps(tensor, tensor).numpy() == pytest.approx(numpy_boxes.overlaps(boxes, boxes))
    assert moved(tensor, torch.from_numpy(deltas), WEIGHTS).numpy() == pytest.approx(
        numpy_boxes.moved(boxes, deltas, WEIGHTS)
    )
