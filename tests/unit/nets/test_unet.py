"""The U-Net: its sizes, its outputs, and that torch and ONNX Runtime agree."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra [train] is not installed")

from dicom_ai.nets.unet import CONFIGS, UNet3d, UNetConfig, parameter_count  # noqa: E402

TINY = UNetConfig((4, 8, 8), ((2, 2, 2), (1, 2, 2)), supervised=1)


@pytest.mark.parametrize(
    ("name", "parameters"), [("paper-384", 38_839_205), ("paper", 30_785_189), ("compact", 1_363_731)]
)
def test_parameter_counts(name, parameters):
    with torch.device("meta"):
        net = UNet3d(CONFIGS[name])

    assert parameter_count(net) == parameters


def test_training_gives_one_score_per_head_largest_first():
    net = UNet3d(TINY).train()

    scores = net(torch.zeros(2, 1, 8, 16, 16))

    assert [tuple(score.shape) for score in scores] == [(2, 1, 8, 16, 16), (2, 1, 4, 8, 8)]


def test_inference_gives_the_full_grid_only():
    assert UNet3d(TINY).eval()(torch.zeros(1, 1, 8, 16, 16)).shape == (1, 1, 8, 16, 16)


def test_inputs_must_be_divisible_by_the_strides():
    assert TINY.divisor == (2, 4, 4)
    assert CONFIGS["paper"].divisor == (16, 32, 32)


def test_brightness_and_contrast_of_the_input_do_not_matter():
    torch.manual_seed(0)
    net = UNet3d(TINY).eval()
    image = torch.randn(1, 1, 8, 16, 16)
    inner = (slice(None), slice(None), slice(2, -2), slice(4, -4), slice(4, -4))

    one, two = net(image), net(image * 3.0)

    # Instance normalisation takes the scale away; only the biases of the first layer remain.
    assert torch.corrcoef(torch.stack([one[inner].flatten(), two[inner].flatten()]))[0, 1] > 0.99


@pytest.mark.filterwarnings("ignore:.*treespec:FutureWarning")  # torch warns of itself while it exports
def test_weights_survive_the_way_through_onnx(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from dicom_ai.training.export import write_onnx

    torch.manual_seed(0)
    net = UNet3d(UNetConfig((8, 16, 16), ((2, 2, 2), (2, 2, 2)), supervised=0)).eval()
    image = torch.randn(1, 1, 8, 16, 16)
    path = tmp_path / "weights.onnx"

    write_onnx(net, net.state_dict(), (1, 1, 8, 16, 16), path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": image.numpy()})

    halved = {
        name: value.half().float() if value.numel() >= 1024 else value for name, value in net.state_dict().items()
    }
    net.load_state_dict(halved)
    with torch.inference_mode():
        assert np.abs(found - net(image).numpy()).max() < 1e-3


@pytest.mark.filterwarnings("ignore:.*treespec:FutureWarning")
def test_the_network_of_the_paper_learns_a_step_and_is_exported(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from dicom_ai.training.export import write_onnx
    from dicom_ai.training.losses import wing_and_dice

    torch.manual_seed(0)
    net = UNet3d(CONFIGS["paper"])
    image, target = torch.randn(1, 1, 32, 64, 64), torch.zeros(1, 1, 32, 64, 64)
    target[..., 24:40, 24:40] = 1.0
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)

    first = wing_and_dice(net(image), target)
    first.backward()
    optimiser.step()
    second = wing_and_dice(net(image), target)

    deployed = UNet3d(CONFIGS["paper"].deployed).eval()
    write_onnx(deployed, net.state_dict(), (1, 1, 32, 64, 64), tmp_path / "paper.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "paper.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": image.numpy()})
    with torch.inference_mode():
        expected = deployed(image).numpy()
    assert second.item() < first.item()
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9999
