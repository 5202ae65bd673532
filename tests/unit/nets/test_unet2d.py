"""The U-Net of the radiographs: sizes by name, and outputs on the grid of the input."""

import pytest
import torch

from dicom_ai.nets.unet2d import CONFIGS, UNet2d


@pytest.mark.parametrize("name", ["compact", "paper"])
def test_logits_lie_on_the_grid_of_the_image(name):
    net = UNet2d(CONFIGS[name]).eval()
    side = CONFIGS[name].divisor

    with torch.no_grad():
        logits = net(torch.zeros(1, 2, side, 2 * side))

    assert logits.shape == (1, 5, side, 2 * side)


def test_sizes():
    millions = {name: sum(p.numel() for p in UNet2d(config).parameters()) / 1e6 for name, config in CONFIGS.items()}

    assert millions["compact"] == pytest.approx(1.08, abs=0.01)
    assert millions["paper"] == pytest.approx(7.77, abs=0.05)
