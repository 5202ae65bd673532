"""What runs weights: ONNX Runtime, or torch on the same ONNX file. Arrays in, arrays out; no toolkit is imported early.

torch needs no file of its own: the network is built by its family and takes the initializers of the ONNX file, which
carry the names of its state_dict, as `torch.onnx.export(net, ..., dynamo=True, external_data=False)` writes them.
Batch normalisation is the exception: the exporter folds it into the convolution before it. Fold it first
(torch.nn.utils.fuse_conv_bn_eval) and let the family's build_net give the folded network. Weights that do not fit by
name and shape are refused, never guessed. Half precision is widened.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from dicom_ai.errors import DeviceFull, ModelError
from dicom_ai.inference.onnx_weights import initializers

DEVICES = ("auto", "cpu", "cuda", "cuda:N", "require_gpu")
"""auto takes the first GPU where a session really starts on it and the CPU else; cpu the CPU. cuda and require_gpu (the
first GPU) and cuda:N (the GPU with this number) refuse to serve on the CPU."""

RUNTIMES = ("onnx", "torch")

_GPU_HELP = "a GPU build of ONNX Runtime (pip install 'dicom-ai[gpu]'), CUDA 13 and cuDNN 9 are needed"
_BROKEN = (
    "onnxruntime is installed but broken (onnxruntime and onnxruntime-gpu exclude each other): "
    "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install 'dicom-ai[cpu]' or 'dicom-ai[gpu]'"
)

_NO_MEMORY = re.compile(
    r"out of memory|fail\w* to allocate memory|bad allocation|bad_alloc|_ALLOC_FAILED|not enough memory", re.IGNORECASE
)


class Runner(Protocol):
    """Loaded weights. run() may be called from several threads."""

    @property
    def device(self) -> str:
        """What it really runs on: "CPU" or "CUDA:0"."""

    @property
    def runtime(self) -> str:
        """The name and version of what runs it."""

    def run(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return all outputs for all inputs, both in the order of the graph."""


class OnnxSession:
    """An ONNX Runtime session."""

    def __init__(self, path: Path, *, device: str = "auto", threads: int = 0) -> None:
        """Open a file; raises ModelError. threads: CPU threads of one run, 0 for as many as there are cores."""
        runtime = load_onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        # Networks and numpy take turns: threads that spin between runs hold the cores that the other needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors: they say why a GPU could not be used
        chosen = parse_device(device)
        providers, provider_options = _providers(runtime, chosen)
        try:
            self._session = runtime.InferenceSession(
                str(path), options, providers=providers, provider_options=provider_options
            )
        except _failures() as error:
            if lacks_memory(error):
                raise DeviceFull(f"{path.parent.name}: no room for the weights on device {device!r}") from error
            raise ModelError(f"{path}: ONNX Runtime cannot load it: {error}") from error
        self.inputs: tuple[str, ...] = tuple(value.name for value in self._session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(value.name for value in self._session.get_outputs())
        self.runtime = f"ONNX Runtime {runtime.__version__}"
        self._dtypes = [np.dtype(_ONNX_TYPES.get(value.type, np.float32)) for value in self._session.get_inputs()]
        self._path = path
        self._gpu = chosen.gpu
        if chosen.required and self.device == "CPU":
            raise ModelError(f"{path}: no GPU session could be made and the device is {device!r}: {_GPU_HELP}")

    @property
    def device(self) -> str:
        """What the session really runs on, from the session itself: an installed provider may have failed to start."""
        return f"CUDA:{self._gpu}" if "CUDAExecutionProvider" in self._session.get_providers() else "CPU"

    def run(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return all outputs; raises ModelError where the graph does not take the inputs, DeviceFull without room."""
        if len(inputs) != len(self.inputs):
            raise ModelError(f"{self._path}: {len(inputs)} inputs given where the graph takes {len(self.inputs)}")
        feeds = {
            name: np.ascontiguousarray(array, dtype)
            for name, array, dtype in zip(self.inputs, inputs, self._dtypes, strict=True)
        }
        try:
            return tuple(self._session.run(None, feeds))
        except _failures() as error:
            if lacks_memory(error):
                raise DeviceFull(f"{self._path.parent.name}: no room for a run on {self.device}") from error
            raise ModelError(f"{self._path}: the run failed: {error}") from error


class TorchRunner:
    """A torch network with the weights of an ONNX file."""

    def __init__(self, net: Any, path: Path, *, device: str = "auto", threads: int = 0) -> None:
        """Give a network its weights; raises ModelError. threads: as OnnxSession, for the whole process."""
        torch = load_torch()
        chosen = parse_device(device)
        cuda = chosen.gpu is not None and torch.cuda.device_count() > chosen.gpu
        if chosen.required and not cuda:
            raise ModelError(f"{path}: torch {torch.__version__} finds no such GPU and the device is {device!r}")
        if threads:
            torch.set_num_threads(threads)
        give_weights(net, path)
        self._torch = torch
        self._place = torch.device(f"cuda:{chosen.gpu}" if cuda else "cpu")
        self._net = net.eval().to(self._place)
        self.device = f"CUDA:{chosen.gpu}" if cuda else "CPU"
        self.runtime = f"torch {torch.__version__}"

    def run(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return all outputs; a network that gives one tensor gives a tuple of one. Raises DeviceFull without room."""
        torch = self._torch
        try:
            with torch.inference_mode():
                tensors = [
                    torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(self._place) for array in inputs
                ]
                outputs = self._net(*tensors)
            outputs = outputs if isinstance(outputs, Sequence) else (outputs,)
            return tuple(output.float().cpu().numpy() for output in outputs)
        except RuntimeError as error:
            if lacks_memory(error):
                raise DeviceFull(f"no room for a run on {self.device}") from error
            raise


@dataclass(frozen=True, slots=True)
class Device:
    """A parsed device. gpu: the number of the GPU to try, None for the CPU. required: the CPU will not do."""

    gpu: int | None
    required: bool


def parse_device(text: str) -> Device:
    """Read one of DEVICES; raises ModelError."""
    known = {
        "auto": Device(0, False),
        "cpu": Device(None, False),
        "cuda": Device(0, True),
        "require_gpu": Device(0, True),
    }
    if text in known:
        return known[text]
    match = re.fullmatch(r"cuda:(\d+)", text)
    if match is None:
        raise ModelError(f"device {text!r} is not one of {', '.join(DEVICES)}")
    return Device(int(match.group(1)), True)


def open_runner(
    path: Path, *, runtime: str, device: str, threads: int = 0, build_net: Callable[[], Any] | None = None
) -> Runner:
    """Open weights on a runtime of RUNTIMES and a device of DEVICES; raises ModelError.

    build_net: makes the network for torch; where the family has none, ONNX Runtime is taken.
    """
    if runtime == "torch" and build_net is not None:
        load_torch()
        return TorchRunner(build_net(), path, device=device, threads=threads)
    return OnnxSession(path, device=device, threads=threads)


def lacks_memory(error: Exception) -> bool:
    """Tell whether a runtime failed for want of memory; neither has a class of error for it that all of it uses."""
    return _NO_MEMORY.search(str(error)) is not None


def give_weights(net: Any, path: Path) -> None:
    """Load the initializers of an ONNX file into a torch network by name; raises ModelError naming what is wrong."""
    torch = load_torch()
    found = initializers(path)
    state = net.state_dict()
    wanted = {name for name in state if not name.endswith("num_batches_tracked")}
    missing = sorted(wanted - set(found))
    if missing:
        raise ModelError(f"{path}: no weights named {missing[0]!r} ({len(missing)} missing) for the torch network")
    for name in wanted:
        if tuple(found[name].shape) != tuple(state[name].shape):
            shapes = f"{tuple(found[name].shape)} where the network has {tuple(state[name].shape)}"
            raise ModelError(f"{path}: weights {name!r} of shape {shapes}")
    weights = {name: torch.from_numpy(found[name].astype(np.float32)) for name in wanted}
    net.load_state_dict(weights, strict=False)


def load_onnxruntime() -> ModuleType:
    """Return the onnxruntime module; raises ModelError with what to install where it is missing or broken."""
    try:
        module = import_module("onnxruntime")
    except ImportError as error:
        raise ModelError(f"ONNX Runtime cannot be imported ({error}): pip install 'dicom-ai[cpu]'") from error
    if not hasattr(module, "InferenceSession"):
        raise ModelError(_BROKEN)
    return module


def load_torch() -> Any:
    """Return the torch module; raises ModelError with what to install where it is missing."""
    try:
        return import_module("torch")
    except ImportError as error:
        raise ModelError(f"torch cannot be imported ({error}): pip install 'dicom-ai[torch]'") from error


_ONNX_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


def _failures() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: a dozen classes of its own without a common parent."""
    state = vars(import_module("onnxruntime.capi.onnxruntime_pybind11_state"))
    own = tuple(kind for kind in state.values() if isinstance(kind, type) and issubclass(kind, Exception))
    return (*own, RuntimeError, ValueError)


def _providers(runtime: ModuleType, device: Device) -> tuple[list[str], list[dict[str, str]]]:
    names: list[str] = ["CPUExecutionProvider"]
    options: list[dict[str, str]] = [{}]
    if device.gpu is not None and "CUDAExecutionProvider" in runtime.get_available_providers():
        names, options = ["CUDAExecutionProvider", *names], [{"device_id": str(device.gpu)}, *options]
    return names, options
