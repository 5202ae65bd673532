"""Images with geometry. One axis order (slice, row, column) and one frame (LPS millimetres) everywhere."""

from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True, slots=True)
class Volume:
    """A regularly sampled 3-D image.

    voxels: shape (slices, rows, columns); float32 for images and soft masks, an unsigned type for labels.
    affine: 4 x 4 float64, maps (slice, row, column) indices to LPS millimetres.
    frame_of_reference_uid: FrameOfReferenceUID (0020,0052), or the empty string.
    """

    voxels: np.ndarray = field(repr=False)
    affine: np.ndarray = field(repr=False)
    frame_of_reference_uid: str = ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        slices, rows, columns = self.voxels.shape
        return slices, rows, columns

    @property
    def spacing_mm(self) -> np.ndarray:
        """Distance between neighbouring voxels along (slice, row, column), shape (3,)."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def directions(self) -> np.ndarray:
        """Unit vectors of the three axes in LPS, one per column, shape (3, 3)."""
        return self.affine[:3, :3] / self.spacing_mm

    def with_voxels(self, voxels: np.ndarray) -> "Volume":
        """Return the same grid with other voxels of the same shape."""
        if voxels.shape != self.voxels.shape:
            raise ValueError(f"voxels of shape {voxels.shape} on a grid of shape {self.voxels.shape}")
        return replace(self, voxels=voxels)

    def to_mm(self, indices: np.ndarray) -> np.ndarray:
        """Map (slice, row, column) indices, shape (..., 3), to LPS millimetres."""
        return np.asarray(indices) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_indices(self, points_mm: np.ndarray) -> np.ndarray:
        """Map LPS millimetres, shape (..., 3), to fractional (slice, row, column) indices."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(points_mm) @ inverse[:3, :3].T + inverse[:3, 3]


@dataclass(frozen=True, slots=True)
class Radiograph:
    """A projection image without patient geometry.

    pixels: float32, shape (rows, columns); large values are dense (MONOCHROME1 is inverted on reading).
    pixel_spacing_mm: (between rows, between columns) at the patient where the source states a calibration
        (PixelSpacingCalibrationType), else None: detector spacing is magnified and never used for millimetres.
    patient_orientation: PatientOrientation (0020,0020), e.g. ("A", "F"): where columns and rows point; or ().
    """

    pixels: np.ndarray = field(repr=False)
    pixel_spacing_mm: tuple[float, float] | None = None
    patient_orientation: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """The stored frame a slice came from. frame_number counts from 1; None for single-frame objects."""

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None = None


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image and where it came from: slice i of a volume is frames[i]; a radiograph has one frame."""

    study_uid: str
    series_uid: str
    image: Volume | Radiograph
    frames: tuple[SourceFrame, ...] = field(repr=False)
    warnings: tuple[str, ...] = ()
