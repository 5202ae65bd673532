"""The folder of models: reads it, checks it, loads from it. One broken model never stops the others."""

import hashlib
import sysconfig
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from dicom_ai.errors import ModelError
from dicom_ai.inference.manifest import CARD_FILE, MANIFEST_FILE, Manifest, WeightsFile, read_manifest
from dicom_ai.inference.predictor import Predictor, Way
from dicom_ai.inference.runtime import RUNTIMES, Runner, open_runner, parse_device

FAMILIES: dict[str, str] = {
    "segmentation": "dicom_ai.inference.segmentation",
    "softseg": "dicom_ai.inference.softseg",
    "sshsnet": "dicom_ai.inference.sshsnet",
    "vertxnet": "dicom_ai.inference.vertxnet",
}
"""Family -> the module that loads it, imported when a model of the family is."""

SHIPPED_LIMIT_BYTES = 10_000_000
"""The files of a model that is kept in the repository are at most this large together."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `dicom-ai models check` says of one model. problems: why it cannot serve; notes: what is worth knowing.

    device, runtime: what it really runs on; "" where it does not load. size_bytes: all weights together.
    """

    name: str
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()
    manifest: Manifest | None = None
    device: str = ""
    runtime: str = ""
    size_bytes: int = 0
    load_seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """True where the model can serve."""
        return not self.problems


class ModelStore:
    """The models of one folder, loaded once each. All methods may be called from several threads."""

    def __init__(self, folder: Path, *, device: str = "auto", runtime: str = "onnx", threads: int = 0) -> None:
        """Open a folder of model folders. device: of DEVICES; runtime: of RUNTIMES; threads: CPU threads, 0 for all."""
        parse_device(device)
        if runtime not in RUNTIMES:
            raise ModelError(f"runtime {runtime!r} is not one of {', '.join(RUNTIMES)}")
        self.folder = folder
        self._device, self._runtime, self._threads = device, runtime, threads
        self._loaded: dict[tuple[str, Way], Predictor] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def names(self) -> tuple[str, ...]:
        """The folders that hold a model.toml, sorted; whether it is valid is not looked at."""
        if not self.folder.is_dir():
            return ()
        return tuple(sorted(path.parent.name for path in self.folder.glob(f"*/{MANIFEST_FILE}")))

    def manifest(self, name: str) -> Manifest:
        """Read one model's manifest; raises ModelError."""
        if name not in self.names():
            known = ", ".join(self.names()) or "none"
            raise ModelError(f"{self.folder}: no model {name!r}; there is {known}")
        return read_manifest(self.folder / name)

    def manifests(self) -> tuple[Manifest, ...]:
        """The manifests that are valid; check() says what is wrong with the others."""
        found = []
        for name in self.names():
            try:
                found.append(self.manifest(name))
            except ModelError:
                continue  # this model only; check() and load() say why
        return tuple(found)

    def load(self, name: str, way: Way = Way.USUAL) -> Predictor:
        """Return the predictor of a model, loaded at the first call; raises ModelError for this model only.

        Raises DeviceFull where the memory of the device has no room for it.
        """
        with self._guard:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            if (name, way) not in self._loaded:
                self._loaded[name, way] = self._open(self.manifest(name), way)
            return self._loaded[name, way]

    def forget(self, name: str, way: Way) -> None:
        """Let a loaded predictor go; its sessions give back their memory once nobody runs it any more."""
        self._loaded.pop((name, way), None)

    def check(self, name: str) -> CheckReport:
        """Look at a model's files, digests, licence and card, load it afresh, and say what it runs on."""
        try:
            manifest = self.manifest(name)
        except ModelError as error:
            return CheckReport(name, (str(error),))
        problems = list(_file_problems(manifest))
        device = runtime = ""
        started = time.perf_counter()
        if not problems:
            try:
                reference = self._open(manifest).reference
                device, runtime = reference.device, ", ".join(reference.notes)
            except ModelError as error:
                problems.append(str(error))
        size = sum(weights.path.stat().st_size for weights in manifest.weights if weights.path.is_file())
        return CheckReport(
            name=name,
            problems=tuple(problems),
            notes=_notes(manifest, size),
            manifest=manifest,
            device=device,
            runtime=runtime,
            size_bytes=size,
            load_seconds=time.perf_counter() - started,
        )

    def _open(self, manifest: Manifest, way: Way = Way.USUAL) -> Predictor:
        family = _family(manifest)
        device = "cpu" if way is Way.CPU else self._device
        if way is Way.SMALL:
            manifest = _in_smaller_patches(manifest)
        runners = _Runners(manifest, family, device, self._runtime, self._threads)
        predictor: Predictor = family.load(manifest, runners)
        return predictor


@dataclass(frozen=True, slots=True)
class _Runners:
    """Opens weights whose digest is right; a predictor.Runners."""

    manifest: Manifest
    family: ModuleType
    device: str
    runtime: str
    threads: int

    def open(self, role: str) -> Runner:
        """Return the runner of the weights with this role; raises ModelError."""
        weights = self.manifest.weights_of(role)
        check_digest(weights)
        builder: Callable[[Manifest, str], Any] | None = getattr(self.family, "build_net", None)
        return open_runner(
            weights.path,
            runtime=self.runtime,
            device=self.device,
            threads=self.threads,
            build_net=None if builder is None else lambda: builder(self.manifest, role),
        )


def default_models_folder() -> Path:
    """Where the shipped models lie: `models` of the checkout, or share/dicom-ai/models of the installation."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file():
        return checkout / "models"
    return Path(sysconfig.get_path("data")) / "share" / "dicom-ai" / "models"


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_digest(weights: WeightsFile, *, digest_of: Callable[[Path], str] = digest_of) -> None:
    """Raise ModelError where the file is missing or its bytes are not those that the manifest names."""
    try:
        found = digest_of(weights.path)
    except OSError as error:
        raise ModelError(f"{weights.path}: weights cannot be read: {error.strerror}") from error
    if found != weights.sha256:
        raise ModelError(
            f"{weights.path}: SHA-256 is {found} where {MANIFEST_FILE} names {weights.sha256}; "
            f"copy the file again, or name the new digest if you changed it on purpose"
        )


def _in_smaller_patches(manifest: Manifest) -> Manifest:
    """Return the manifest with patches of half the size along every axis; raises ModelError where it has none."""
    patch = tuple(max(size // 2, 1) for size in manifest.input.patch)
    if patch == manifest.input.patch:
        raise ModelError(f"{manifest.name}: the model takes images whole: there are no smaller patches")
    return replace(manifest, input=replace(manifest.input, patch=patch))


def _family(manifest: Manifest) -> ModuleType:
    if manifest.family not in FAMILIES:
        place = manifest.folder / MANIFEST_FILE
        raise ModelError(f"{place}: family: {manifest.family!r} is not one of {', '.join(FAMILIES)}")
    try:
        return import_module(FAMILIES[manifest.family])
    except ImportError as error:
        raise ModelError(f"{manifest.name}: the family {manifest.family} cannot be imported: {error}") from error


def _file_problems(manifest: Manifest) -> list[str]:
    problems = []
    for weights in manifest.weights:
        try:
            check_digest(weights)
        except ModelError as error:
            problems.append(str(error))
    card = manifest.folder / CARD_FILE
    if not card.is_file():
        problems.append(f"{card}: no such file; write what the model is for, its data, its scores, where it fails")
    return problems


def _notes(manifest: Manifest, size: int) -> tuple[str, ...]:
    notes = [f"weights: {manifest.licence}"]
    notes += [f"data: {data.name}: {data.licence}" for data in manifest.data]
    if size > SHIPPED_LIMIT_BYTES:
        notes.append(
            f"{size / 1e6:.1f} MB of weights: above the {SHIPPED_LIMIT_BYTES / 1e6:.0f} MB kept in a repository"
        )
    return tuple(notes)
