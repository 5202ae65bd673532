"""Who looks at the small blocks in the place of the models: they see what the block was painted with."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from dicom_ai.dicom.uids import new_uid
from dicom_ai.domain.findings import Segment, Segmentation, Structure, StructureKind, VertebraLabel
from dicom_ai.domain.image import SourceImage, Volume
from dicom_ai.domain.model import ModelReference
from dicom_ai.inference.manifest import Manifest
from dicom_ai.inference.predictor import Progress
from tests.predictors import BrightCord

BODIES = {"C3": (30.0, 2.0), "C4": (-2.0, -30.0)}
"""Level -> heights of its upper and lower endplate in the block, mm."""

FRONT_MM, BACK_MM, HALF_WIDTH_MM = -14.0, -8.0, 8.0


def stand_in(of: Manifest) -> BrightCord:
    """Return who looks in the place of a model."""
    if of.name == "spine-mr":
        return Bodies(of.name, measurements=("vertebrae",), vertebrae=tuple(_labels()), of=of)
    return (Shy if of.name == "spinal-cord-2" else StandIn)(of.name, of=of)


def _labels() -> Iterator[VertebraLabel]:
    for number, (level, (upper_mm, lower_mm)) in enumerate(BODIES.items(), 1):
        middle = np.array([0.0, (FRONT_MM + BACK_MM) / 2, 0.0])
        centre, upper, lower = (
            middle + np.array([0, 0, height]) for height in ((upper_mm + lower_mm) / 2, upper_mm, lower_mm)
        )
        yield VertebraLabel(level, f"{level} vertebra", number, "counted from C2", False, centre, upper, lower)


@dataclass(frozen=True)
class StandIn(BrightCord):
    """Sees the cord, and says that it is the model in whose place it looks."""

    of: Manifest | None = None

    @property
    def reference(self) -> ModelReference:
        """The version of the model."""
        assert self.of is not None
        return ModelReference(self.name, self.of.version, self.of.family, self.of.weights[0].sha256)


@dataclass(frozen=True)
class Bodies(StandIn):
    """Sees two vertebral bodies in front of the cord."""

    def predict(self, image: SourceImage, *, progress: Progress | None = None) -> Segmentation:
        """Segment them."""
        assert isinstance(image.image, Volume)
        points = image.image.to_mm(np.moveaxis(np.indices(image.image.shape), 0, -1))
        x, y, z = np.moveaxis(points, -1, 0)
        labels = np.zeros(image.image.shape, np.uint8)
        for number, (upper_mm, lower_mm) in enumerate(BODIES.values(), 1):
            labels[(abs(x) < HALF_WIDTH_MM) & (y > FRONT_MM) & (y < BACK_MM) & (z < upper_mm) & (z > lower_mm)] = number
        segments = tuple(
            Segment(
                number, Structure(StructureKind.VERTEBRA, f"{level} vertebra", level), f"{level} vertebra", new_uid()
            )
            for number, level in enumerate(BODIES, 1)
        )
        return Segmentation(labels, segments, score=1.0, vertebrae=self.vertebrae)


@dataclass(frozen=True)
class Shy(StandIn):
    """Says of every voxel a little less cord than there is, of one study more so than of another."""

    def predict(self, image: SourceImage, *, progress: Progress | None = None) -> Segmentation:
        """Segment what was made darker."""
        assert isinstance(image.image, Volume)
        share = 0.955 + 0.005 * (int(image.image.voxels.sum()) // len(image.image.voxels[0]) % 10)
        darker = replace(image.image, voxels=image.image.voxels * share)
        return super().predict(replace(image, image=darker), progress=progress)
