"""Predictors with a known answer: what they segment is what the phantom's voxels say."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dicom_ai.dicom.uids import new_uid
from dicom_ai.domain.findings import Segment, Segmentation, Structure, StructureKind, VertebraLabel
from dicom_ai.domain.image import SourceImage, Volume
from dicom_ai.domain.model import ModelReference
from dicom_ai.errors import DeviceFull, UnsuitableImage
from dicom_ai.inference.manifest import InputSpec, Manifest
from dicom_ai.inference.predictor import Progress, Way

FULL = 1000.0
"""Voxel value that means: all cord."""


@dataclass(frozen=True)
class BrightCord:
    """Takes the voxel value over FULL as the share of cord. refuses: the reason why it takes no image, if any."""

    name: str = "bright-cord"
    vertebrae: tuple[VertebraLabel, ...] = ()
    refuses: str = ""
    error: Exception | None = None
    measurements: tuple[str, ...] = ("spinal_cord_csa",)

    @property
    def reference(self) -> ModelReference:
        return ModelReference(self.name, "1.0", "test", "0" * 64)

    @property
    def manifest(self) -> Manifest:
        return Manifest(
            folder=Path(),
            name=self.name,
            version="1.0",
            family="test",
            description="",
            licence="Apache-2.0",
            data=(),
            input=InputSpec(kind="volume", modalities=("MR",)),
            outputs=(),
            measurements=self.measurements,
            weights=(),
        )

    def accepts(self, image: SourceImage, *, modality: str) -> None:
        if self.refuses:
            raise UnsuitableImage(self.refuses)

    def predict(self, image: SourceImage, *, progress: Progress | None = None) -> Segmentation:
        if self.error:
            raise self.error
        assert isinstance(image.image, Volume)
        soft = np.clip(image.image.voxels / FULL, 0, 1).astype(np.float32)
        labels = (soft >= 0.5).astype(np.uint8)
        if progress:
            progress(1.0)
        if not labels.any():
            note = f"no cord found: highest value {soft.max():.2f} where 0.5 is needed"
            return Segmentation(labels, (), score=float(soft.max()), soft=soft * 0, notes=(note,))
        cord = Structure(StructureKind.SPINAL_CORD, "Spinal cord")
        segment = Segment(1, cord, "Spinal cord", new_uid())
        return Segmentation(labels, (segment,), score=1.0, soft=soft, vertebrae=self.vertebrae)

    def with_vertebrae(self, *vertebrae: VertebraLabel) -> "BrightCord":
        return replace(self, vertebrae=vertebrae)


@dataclass
class OneModel:
    """Models of which every name is the same predictor.

    error: raised instead of loading it. full: ways for which the GPU has no room. asked, forgotten: the ways, in order.
    """

    predictor: BrightCord = field(default_factory=BrightCord)
    error: Exception | None = None
    full: tuple[Way, ...] = ()
    asked: list[Way] = field(default_factory=list)
    forgotten: list[Way] = field(default_factory=list)

    def names(self) -> tuple[str, ...]:
        return (self.predictor.name,)

    def manifest(self, name: str) -> Manifest:
        return self.predictor.manifest

    def load(self, name: str, way: Way = Way.USUAL) -> BrightCord:
        self.asked.append(way)
        if self.error:
            raise self.error
        if way in self.full:
            return replace(self.predictor, error=DeviceFull(f"{name}: no room for a run on CUDA:0"))
        return self.predictor

    def forget(self, name: str, way: Way) -> None:
        self.forgotten.append(way)
