"""torch runs the ONNX file's own weights, with the same result."""

import numpy as np
import pytest

from dicom_ai.errors import ModelError
from dicom_ai.inference.onnx_weights import initializers
from dicom_ai.inference.runtime import OnnxSession, TorchRunner, open_runner

torch = pytest.importorskip("torch")

from .nets import SmallNet, export, halved, small_net  # noqa: E402 - it needs torch


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export(small_net(seed=3), tmp_path_factory.mktemp("net") / "m.onnx")


def test_torch_on_the_same_weights_gives_the_same_scores(exported):
    image = np.random.default_rng(0).normal(size=(1, 1, 16, 16, 16)).astype(np.float32)
    torch_runner = TorchRunner(SmallNet(), exported, device="cpu")

    difference = torch_runner.run(image)[0] - OnnxSession(exported, device="cpu").run(image)[0]

    assert np.abs(difference).max() < 1e-3
    assert torch_runner.device == "CPU"
    assert torch_runner.runtime.startswith("torch 2.")


def test_weights_in_half_precision_are_the_same_for_both(tmp_path):
    path = halved(export(small_net(seed=4), tmp_path / "m.onnx"))
    image = np.random.default_rng(1).normal(size=(1, 1, 16, 16, 16)).astype(np.float32)

    difference = TorchRunner(SmallNet(), path, device="cpu").run(image)[0] - OnnxSession(path).run(image)[0]

    assert np.abs(difference).max() < 1e-3
    assert initializers(path)["first.weight"].dtype == np.float16


def test_weights_that_are_missing_are_named(exported):
    with pytest.raises(ModelError, match="no weights named 'weight'"):
        TorchRunner(torch.nn.Conv3d(1, 4, 3, bias=False), exported, device="cpu")


def test_weights_of_another_shape_are_named(exported):
    net = SmallNet()
    net.up = torch.nn.ConvTranspose3d(6, 3, 2, stride=2)

    with pytest.raises(ModelError, match=r"weights 'up\.(bias|weight)' of shape"):
        TorchRunner(net, exported, device="cpu")


def test_a_folded_batch_normalisation_is_refused_and_never_guessed(tmp_path):
    net = torch.nn.Sequential(torch.nn.Conv3d(1, 4, 3, bias=False), torch.nn.BatchNorm3d(4)).eval()
    path = export(net, tmp_path / "m.onnx")

    with pytest.raises(ModelError, match=r"no weights named '1\.bias' \(4 missing\)"):
        TorchRunner(net, path, device="cpu")


def test_require_gpu_does_not_serve_on_the_cpu(exported):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU that torch can use")

    with pytest.raises(ModelError, match="finds no such GPU and the device is 'require_gpu'"):
        TorchRunner(SmallNet(), exported, device="require_gpu")


def test_the_runtime_is_chosen_by_name(exported):
    assert open_runner(exported, runtime="torch", device="cpu", build_net=SmallNet).runtime.startswith("torch")
    assert open_runner(exported, runtime="onnx", device="cpu", build_net=SmallNet).runtime.startswith("ONNX")


def test_a_family_without_a_torch_network_runs_on_onnx_runtime(exported):
    assert open_runner(exported, runtime="torch", device="cpu").runtime.startswith("ONNX")
