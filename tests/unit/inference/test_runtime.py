"""Both runtimes run the same file, and say what they run on."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import onnx
import pytest

from dicom_ai.errors import ModelError
from dicom_ai.inference.runtime import OnnxSession, load_onnxruntime, load_torch

from .models import threshold_graph


@pytest.fixture
def path(tmp_path):
    onnx.save(threshold_graph(10.0), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_a_session_runs_the_graph(path):
    session = OnnxSession(path, device="cpu", threads=1)

    (scores,) = session.run(np.full((1, 1, 2, 2, 2), 12))

    assert scores == pytest.approx(2.0)
    assert (session.inputs, session.outputs) == (("image",), ("scores",))
    assert session.device == "CPU"
    assert session.runtime.startswith("ONNX Runtime 1.")


def test_a_wrong_number_of_inputs_is_told(path):
    with pytest.raises(ModelError, match="2 inputs given where the graph takes 1"):
        OnnxSession(path, device="cpu").run(np.zeros(1), np.zeros(1))


def test_an_input_of_a_wrong_shape_is_told(path):
    with pytest.raises(ModelError, match="the run failed"):
        OnnxSession(path, device="cpu").run(np.zeros((1, 1)))


def test_a_broken_file_is_told(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"rubbish")

    with pytest.raises(ModelError, match=r"m\.onnx: ONNX Runtime cannot load it"):
        OnnxSession(tmp_path / "m.onnx", device="cpu")


def test_an_unknown_device_is_told(path):
    with pytest.raises(ModelError, match="device 'tpu' is not one of auto, cpu, cuda, cuda:N, require_gpu"):
        OnnxSession(path, device="tpu")


def test_require_gpu_does_not_serve_on_the_cpu(path):
    if OnnxSession(path, device="auto").device != "CPU":
        pytest.skip("this machine has a GPU that ONNX Runtime can use")

    with pytest.raises(ModelError, match="no GPU session could be made and the device is 'require_gpu'"):
        OnnxSession(path, device="require_gpu")


def test_the_device_is_that_of_the_session_not_of_the_installation(path, monkeypatch):
    """A GPU build without a usable GPU lists CUDA as available and then silently runs on the CPU."""
    real = load_onnxruntime()
    monkeypatch.setattr(real, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    asked: list[list[str]] = []

    class FallsBack(real.InferenceSession):
        def __init__(self, path, options, providers, provider_options):
            asked.append(list(zip(providers, provider_options, strict=True)))
            super().__init__(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(real, "InferenceSession", FallsBack)

    assert OnnxSession(path, device="auto").device == "CPU"
    assert asked == [[("CUDAExecutionProvider", {"device_id": "0"}), ("CPUExecutionProvider", {})]]
    for device in ("require_gpu", "cuda", "cuda:1"):
        with pytest.raises(ModelError, match=f"the device is '{device}'"):
            OnnxSession(path, device=device)
    assert asked[-1][0] == ("CUDAExecutionProvider", {"device_id": "1"})


def test_a_session_that_runs_on_a_gpu_says_which(path, monkeypatch):
    session = OnnxSession(path, device="auto")
    monkeypatch.setattr(session, "_session", SimpleNamespace(get_providers=lambda: ["CUDAExecutionProvider"]))

    assert session.device == "CUDA:0"


def test_a_missing_onnxruntime_says_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(ModelError, match=r"pip install 'dicom-ai\[cpu\]'"):
        OnnxSession(path)


def test_two_packages_that_broke_each_other_are_recognised(path, monkeypatch):
    """Uninstalling onnxruntime-gpu beside onnxruntime leaves an empty package behind."""
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))

    with pytest.raises(ModelError, match="onnxruntime and onnxruntime-gpu exclude each other"):
        OnnxSession(path)


def test_a_missing_torch_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(ModelError, match=r"pip install 'dicom-ai\[torch\]'"):
        load_torch()
