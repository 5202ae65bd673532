"""What teaches the Mask R-CNN: targets of a view, cells that a vertebra covers, and a loss that a step lowers."""

import numpy as np
import pytest
import torch

from dicom_ai.nets.maskrcnn import CLASSES, CONFIGS, MaskRCNN
from dicom_ai.training.data.xray_outlines import bowed, straight
from dicom_ai.training.data.xray_synthesis import View
from dicom_ai.training.vertxnet_detector import COLUMNS, MOST, boxes_of, covered, detector_loss, target_of

SQUARE = [[20, 20], [60, 20], [60, 50], [20, 50]]


def view(*corners: list[list[float]], levels: tuple[str, ...]) -> View:
    quads = np.array(corners, np.float32).reshape(-1, 4, 2)
    return View(np.zeros((2, 96, 96), np.float32), levels, quads, straight(quads))


def outline(quad: list[list[float]]) -> torch.Tensor:
    return torch.from_numpy(straight(np.array([quad], np.float32)))


def test_a_target_has_a_row_per_vertebra_with_its_class():
    shifted = np.add(SQUARE, (0, 40)).tolist()
    table = target_of(view(SQUARE, shifted, levels=("C2", "C3")))

    assert table.shape == (MOST, COLUMNS)
    assert [CLASSES[int(kind)] for kind in table[:3, 0]] == ["C2", "vertebra", "background"]
    assert table[0, 1:3].tolist() == [20, 20]


def test_a_vertebra_mostly_outside_is_no_target():
    outside = np.add(SQUARE, (60, 0)).tolist()

    assert target_of(view(outside, levels=("L1",)))[:, 0].sum() == 0


def test_boxes_lie_around_the_corners_and_end_at_the_view():
    table = torch.from_numpy(target_of(view(np.subtract(SQUARE, (30, 0)).tolist(), levels=("L1",))))

    assert boxes_of(table[:1], (96, 96)).tolist() == [[0, 20, 30, 50]]


def test_an_outline_covers_its_share_of_a_box():
    triangle = outline([[0.0, 0.0], [40.0, 0.0], [40.0, 40.0], [20.0, 20.0]])

    assert float(covered(triangle, torch.tensor([[0.0, 0.0, 40.0, 40.0]])).mean()) == pytest.approx(0.5, abs=0.01)


def test_cells_outside_of_a_sunken_side_are_not_covered():
    square = np.array([SQUARE], np.float32)
    sunken = torch.from_numpy(bowed(square, np.array([[9.0, 0, 0, 0]])))
    box = torch.tensor([[20.0, 20.0, 60.0, 50.0]])

    assert float(covered(sunken, box).mean()) == pytest.approx(1 - 2 / 3 * 9 / 30, abs=0.01)
    assert float(covered(outline(SQUARE), box).mean()) == pytest.approx(1, abs=0.02)


def test_outlines_may_run_either_way_round():
    corners = outline(SQUARE)
    box = torch.tensor([[10.0, 10.0, 70.0, 60.0]])

    assert covered(corners, box).numpy() == pytest.approx(covered(corners.flip(1), box).numpy())


def test_ten_steps_on_one_view_lower_the_loss():
    torch.manual_seed(0)
    net = MaskRCNN(CONFIGS["compact"])
    image = torch.zeros(1, 2, 96, 96)
    image[:, :, 20:50, 20:60] = 1.0
    target = torch.from_numpy(target_of(view(SQUARE, levels=("L1",))))[None]
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
    losses = []
    for _ in range(10):
        loss = detector_loss(net, net(image), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))

    assert losses[-1] < 0.6 * losses[0]


def test_a_view_without_vertebrae_teaches_that_nothing_is_there():
    torch.manual_seed(0)
    net = MaskRCNN(CONFIGS["compact"])

    loss = detector_loss(net, net(torch.zeros(1, 2, 64, 64)), torch.zeros(1, MOST, COLUMNS))
    loss.backward()

    assert net.roi_heads.box_predictor.cls_score.weight.grad is not None
    assert net.roi_heads.mask_predictor.conv5_mask.weight.grad is None
