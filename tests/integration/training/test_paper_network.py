"""The network of arXiv 2310.15402 at its size: one training step with its loss, and its export."""

import pytest

torch = pytest.importorskip("torch", reason="the extra [train] is not installed")
pytest.importorskip("onnxscript", reason="the extra [train] is not installed")

from dicom_ai.inference.onnx_weights import initializers  # noqa: E402
from dicom_ai.nets.unet import CONFIGS, UNet3d  # noqa: E402
from dicom_ai.training.export import write_onnx  # noqa: E402
from dicom_ai.training.losses import paper_wing  # noqa: E402

PATCH = (1, 1, 32, 64, 64)
"""The smallest that leaves more than one voxel at the deepest stage."""


@pytest.mark.filterwarnings("ignore:.*treespec:FutureWarning")  # torch warns of itself while it exports
def test_one_step_and_the_export(tmp_path):
    torch.manual_seed(0)
    net = UNet3d(CONFIGS["paper"]).train()
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    image, target = torch.randn(PATCH), torch.zeros(PATCH)
    target[..., 24:40, 24:40] = 1

    losses = []
    for _ in range(2):
        loss = paper_wing(net(image), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    deployed = UNet3d(CONFIGS["paper"].deployed)
    write_onnx(deployed, net.state_dict(), PATCH, tmp_path / "paper.onnx")

    assert losses[1] < losses[0]
    assert set(deployed.state_dict()) <= set(initializers(tmp_path / "paper.onnx"))
