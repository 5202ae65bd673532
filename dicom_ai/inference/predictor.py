"""What every model family gives: a predictor, and the input checks that all families share.

To add a family: write inference/<family>.py with `load(manifest, runners) -> Predictor` and name it in
registry.FAMILIES. A family that can also run on torch gives `build_net(manifest, role) -> torch.nn.Module` in the
same module.
"""

import hashlib
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from dicom_ai.domain.findings import Segmentation
from dicom_ai.domain.image import Radiograph, SourceImage, Volume
from dicom_ai.domain.model import ModelReference
from dicom_ai.errors import UnsuitableImage
from dicom_ai.inference.manifest import InputSpec, Manifest
from dicom_ai.inference.runtime import Runner
from dicom_ai.routing.geometry import plane_of

Progress = Callable[[float], None]
"""Called with the share of the work that is done, 0..1."""


class Predictor(Protocol):
    """A loaded model. It may be called from several threads."""

    @property
    def reference(self) -> ModelReference:
        """What identifies the model in results; its device is what the session really runs on."""

    @property
    def manifest(self) -> Manifest:
        """The model.toml it was loaded from."""

    def accepts(self, image: SourceImage, *, modality: str) -> None:
        """Raise UnsuitableImage with the reason where the image is not what the model was made for.

        modality: Modality (0008,0060) of the series, which an image does not carry; "" where it is not known
            (NIfTI): then the modality is not checked.
        """

    def predict(self, image: SourceImage, *, progress: Progress | None = None) -> Segmentation:
        """Return the segmentation on the native grid of the image."""


class Way(StrEnum):
    """How a model is run; the others need less memory of the GPU than the usual one, or none."""

    USUAL = "as usual"
    SMALL = "with smaller patches"
    CPU = "on the CPU"


class Models(Protocol):
    """Models by name, loaded when first asked for and kept. All methods may be called from several threads."""

    def names(self) -> tuple[str, ...]:
        """Every model there is, whether it loads or not."""

    def manifest(self, name: str) -> Manifest:
        """Return a model's manifest; raises ModelError."""

    def load(self, name: str, way: Way = Way.USUAL) -> Predictor:
        """Return the predictor of a model; raises ModelError, or DeviceFull where the GPU has no room for it."""

    def forget(self, name: str, way: Way) -> None:
        """Let a loaded predictor go, and the memory that it holds."""


class Runners(Protocol):
    """Opens the weights of a model by role on the runtime and device that the store was told to use."""

    def open(self, role: str) -> Runner:
        """Return the runner of the weights with this role; raises ModelError."""


def reference_of(manifest: Manifest, *runners: Runner) -> ModelReference:
    """Return what identifies a loaded model.

    Its digest is the SHA-256 over the sorted SHA-256 digests (hex, one a line) of its weight files; its device and
    notes are what its runners really use.
    """
    digests = "\n".join(sorted(weights.sha256 for weights in manifest.weights))
    return ModelReference(
        name=manifest.name,
        version=manifest.version,
        family=manifest.family,
        digest=hashlib.sha256(digests.encode("ascii")).hexdigest(),
        device=" and ".join(sorted({runner.device for runner in runners})) or "CPU",
        notes=tuple(sorted({runner.runtime for runner in runners})),
    )


def check_input(spec: InputSpec, image: SourceImage, *, modality: str) -> None:
    """Raise UnsuitableImage where an image is outside of what the manifest's [input] allows.

    modality: "" where it is not known; then it is not checked.
    """
    if modality and modality not in spec.modalities:
        raise _unsuitable(image, f"modality {modality} where the model takes {', '.join(spec.modalities)}")
    match image.image:
        case Volume() as volume:
            _check_volume(spec, image, volume)
        case Radiograph():
            if spec.kind != "radiograph":
                raise _unsuitable(image, "a projection image where the model takes a volume")


def _check_volume(spec: InputSpec, image: SourceImage, volume: Volume) -> None:
    if spec.kind != "volume":
        raise _unsuitable(image, "a volume where the model takes a projection image")
    row, column = volume.directions[:, 2].tolist(), volume.directions[:, 1].tolist()
    plane = plane_of(row, column)
    if spec.planes and plane not in spec.planes:
        raise _unsuitable(image, f"{plane} slices where the model takes {', '.join(spec.planes)}")
    slices = volume.shape[0]
    if not spec.slices.contains(slices):
        raise _unsuitable(image, f"{slices} slices where the model takes {spec.slices}")
    spacing = volume.spacing_mm
    in_plane = float(max(spacing[1], spacing[2]))
    if not spec.in_plane_mm.contains(in_plane):
        raise _unsuitable(image, f"pixels of {in_plane:.2f} mm where the model takes {spec.in_plane_mm} mm")
    if not spec.slice_spacing_mm.contains(float(spacing[0])):
        raise _unsuitable(image, f"slices {spacing[0]:.2f} mm apart where the model takes {spec.slice_spacing_mm} mm")


def _unsuitable(image: SourceImage, reason: str) -> UnsuitableImage:
    return UnsuitableImage(f"series {image.series_uid}: {reason}")
