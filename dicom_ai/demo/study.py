"""A neck MR study made from formulas: classic MR images of a phantom whose cord area is known in closed form."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from dicom_ai.dicom.uids import new_uid
from dicom_ai.domain.image import Volume
from dicom_ai.imaging.neck_phantom import NeckShape, NeckTruth, axial_grid, neck_phantom, sagittal_grid


@dataclass(frozen=True, slots=True)
class Acquisition:
    """How one series of the study is scanned. Times as in DICOM: milliseconds."""

    number: int
    description: str
    contrast: str
    plane: str
    spacing_mm: tuple[float, float, float]
    sequence: str
    repetition_time_ms: float
    echo_time_ms: float
    flip_angle_deg: float


ACQUISITIONS = (
    Acquisition(2, "t2_space_sag_iso", "T2", "sagittal", (1.0, 1.0, 1.0), "SE", 1500.0, 120.0, 120.0),
    Acquisition(3, "t2_tse_ax", "T2", "axial", (5.0, 0.5, 0.5), "SE", 4000.0, 100.0, 150.0),
)
"""One isotropic sagittal T2 and one axial T2: the two kinds of series from which a CSA may be read.

Not T2*, in which the cord model reads formula necks 3 to 5 % too small (models/spinal-cord/MODEL_CARD.md).
"""


@dataclass(frozen=True, slots=True)
class NeckStudy:
    """The written files, and what is known of the neck without looking at voxels."""

    study_uid: str
    files: tuple[Path, ...] = field(repr=False)
    truth: NeckTruth = field(repr=False)


def write_neck_study(
    folder: Path,
    *,
    now: datetime,
    shape: NeckShape | None = None,
    seed: int = 0,
    which: tuple[Acquisition, ...] = ACQUISITIONS,
) -> NeckStudy:
    """Write the study into a folder, one file per slice; the same seed gives the same pixels, the UIDs are new."""
    shape = shape or NeckShape()
    study_uid, frame_of_reference_uid = new_uid(), new_uid()
    files: list[Path] = []
    truth = None
    for acquisition in which:
        make_grid = sagittal_grid if acquisition.plane == "sagittal" else axial_grid
        grid = make_grid(shape, spacing_mm=acquisition.spacing_mm)
        phantom = neck_phantom(shape, grid, contrast=acquisition.contrast, seed=seed)
        truth = phantom.truth
        shared = _shared(acquisition, study_uid, frame_of_reference_uid, now)
        files += _write_slices(folder, phantom.image, shared, acquisition.number)
    if truth is None:
        raise ValueError("a study needs at least one acquisition")
    return NeckStudy(study_uid, tuple(files), truth)


def _shared(acquisition: Acquisition, study_uid: str, frame_of_reference_uid: str, now: datetime) -> Dataset:
    """Return what all slices of one series have in common (PS3.3 A.4, MR Image IOD)."""
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.ImageType = ["ORIGINAL", "PRIMARY", "M", "NORM"]
    header.SOPClassUID = MRImageStorage
    header.StudyInstanceUID = study_uid
    header.SeriesInstanceUID = new_uid()
    header.FrameOfReferenceUID = frame_of_reference_uid
    header.PatientName = "Phantom^Neck"
    header.PatientID = "PHANTOM-NECK"
    header.PatientBirthDate = "19900101"
    header.PatientSex = "O"
    header.StudyDate = header.SeriesDate = header.AcquisitionDate = header.ContentDate = now.strftime("%Y%m%d")
    header.StudyTime = header.SeriesTime = header.AcquisitionTime = header.ContentTime = now.strftime("%H%M%S")
    header.StudyID = "1"
    header.AccessionNumber = "DEMO"
    header.ReferringPhysicianName = ""
    header.StudyDescription = "MRI cervical spine"
    header.SeriesDescription = header.ProtocolName = acquisition.description
    header.SeriesNumber = acquisition.number
    header.Modality = "MR"
    header.Manufacturer = "Formula Scanners"  # not our own name: own objects are never routed
    header.ManufacturerModelName = "Phantom 3T"
    header.BodyPartExamined = "CSPINE"
    header.PatientPosition = "HFS"
    header.ScanningSequence = acquisition.sequence
    header.SequenceVariant = "SK"
    header.ScanOptions = ""
    header.MRAcquisitionType = "3D" if acquisition.plane == "sagittal" else "2D"
    header.RepetitionTime = acquisition.repetition_time_ms
    header.EchoTime = acquisition.echo_time_ms
    header.EchoTrainLength = 1
    header.FlipAngle = acquisition.flip_angle_deg
    header.MagneticFieldStrength = 3
    header.Laterality = ""
    header.PositionReferenceIndicator = ""
    return header


def _write_slices(folder: Path, image: Volume, shared: Dataset, number: int) -> list[Path]:
    target = folder / f"series-{number}"
    target.mkdir(parents=True, exist_ok=True)
    directions, spacing = image.directions, image.spacing_mm
    paths = []
    for index in range(image.shape[0]):
        header = Dataset()
        header.update(shared)
        header.SOPInstanceUID = new_uid()
        header.InstanceNumber = index + 1
        header.ImagePositionPatient = [round(float(x), 4) for x in image.to_mm(np.array([index, 0, 0]))]
        header.ImageOrientationPatient = [round(float(x), 6) for x in (*directions[:, 2], *directions[:, 1])]
        header.PixelSpacing = [float(spacing[1]), float(spacing[2])]
        header.SliceThickness = header.SpacingBetweenSlices = float(spacing[0])
        header.SamplesPerPixel = 1
        header.PhotometricInterpretation = "MONOCHROME2"
        header.Rows, header.Columns = image.shape[1:]
        header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
        pixels = np.clip(np.rint(image.voxels[index]), 0, 4095).astype("<u2")
        header.WindowCenter, header.WindowWidth = 400, 800
        header.PixelData = pixels.tobytes()
        paths.append(_save(header, target / f"{index + 1:04d}.dcm"))
    return paths


def _save(header: Dataset, path: Path) -> Path:
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.save_as(path, enforce_file_format=True)
    return path
