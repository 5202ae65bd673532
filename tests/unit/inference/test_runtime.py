"""Both runtimes run the same file, and say what they run on."""

import subprocess
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import onnx
import pytest

from dicom_ai.errors import ModelError
from dicom_ai.inference.runtime import OnnxSession, lacks_memory, load_onnxruntime, load_torch

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


@pytest.mark.parametrize(
    ("message", "lacks"),
    [
        ("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 17179869184", True),
        ("CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size)", True),
        ("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.10 GiB", True),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; expr=cublasCreate(&cublas_handle_)", True),
        ("std::bad_alloc", True),
        ("Got invalid dimensions for input: image for the following indices", False),
        ("CUDA failure 700: an illegal memory access was encountered", False),
    ],
)
def test_want_of_memory_is_told_from_other_failures(message, lacks):
    assert lacks_memory(RuntimeError(message)) is lacks


def test_a_run_that_needs_more_memory_than_there_is_says_so(path):
    limited = (
        "import resource, sys; import numpy as np; from pathlib import Path\n"
        "from dicom_ai.inference.runtime import OnnxSession; from dicom_ai.errors import DeviceFull\n"
        "session = OnnxSession(Path(sys.argv[1]), device='cpu', threads=1)\n"
        "image = np.zeros((1, 1, 256, 512, 512), np.float32)\n"
        "in_use = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (in_use + 2**26, in_use + 2**26))\n"
        "try:\n    session.run(image)\n"
        "except DeviceFull as error:\n    print(error)\n"
    )
    process = subprocess.run([sys.executable, "-c", limited, str(path)], capture_output=True, text=True, check=False)

    assert process.stdout == f"{path.parent.name}: no room for a run on CPU\n"
