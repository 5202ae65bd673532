"""Models that do what native code does at its worst, by their names."""

import ctypes
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from dicom_ai.domain.findings import Segmentation
from dicom_ai.domain.image import SourceImage
from dicom_ai.inference.manifest import Manifest
from dicom_ai.inference.predictor import Progress, Way
from tests.predictors import BrightCord

HANGS, SLEEPS, CRASHES, RAISES, BREAKS_WHILE_LOADING = "hangs", "sleeps", "crashes", "raises", "breaks-while-loading"
LONGEST_RUN_S = 1.0


def hang() -> None:
    """Never return, and hold the interpreter meanwhile, as native code may: no thread of the process goes on."""
    ctypes.PyDLL(None).sleep(3600)


def crash() -> None:
    """Read address 0: SIGSEGV."""
    ctypes.string_at(0)


def fail() -> None:
    raise ValueError("a text that may quote a patient")


BEHAVIOURS: Mapping[str, Callable[[], None]] = {
    HANGS: hang,
    SLEEPS: lambda: time.sleep(3600),
    CRASHES: crash,
    RAISES: fail,
}


@dataclass(frozen=True)
class FailingCord(BrightCord):
    """A model that fails in the way of its name, and works under any other."""

    seconds: float = 0.0

    @property
    def manifest(self) -> Manifest:
        return replace(super().manifest, longest_run_s=LONGEST_RUN_S if self.name in BEHAVIOURS else 600.0)

    def predict(self, image: SourceImage, *, progress: Progress | None = None) -> Segmentation:
        BEHAVIOURS.get(self.name, lambda: time.sleep(self.seconds))()
        return super().predict(image, progress=progress)


@dataclass(frozen=True)
class FailingModels:
    """Models of which every name is such a model. seconds: how long those take that do not fail. known: the names."""

    seconds: float = 0.0
    known: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        return self.known

    def manifest(self, name: str) -> Manifest:
        return FailingCord(name).manifest

    def load(self, name: str, way: Way = Way.USUAL) -> FailingCord:
        if name == BREAKS_WHILE_LOADING:
            crash()
        return FailingCord(name, seconds=self.seconds)

    def forget(self, name: str, way: Way) -> None:
        pass
