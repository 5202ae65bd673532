"""What the writers load on first use, loaded before the first study: code tables of highdicom, fonts of the page."""

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from dicom_ai.analysis.identities import plan_identities
from dicom_ai.analysis.series import SeriesAnalysis, read_source
from dicom_ai.analysis.study import report_study
from dicom_ai.dicom.headers import read_paths
from dicom_ai.dicom.uids import new_uid
from dicom_ai.domain.findings import Segment, Segmentation, Structure, StructureKind
from dicom_ai.domain.model import ModelReference
from dicom_ai.domain.output import USUAL_OUTPUTS, Output

_SHAPE = (6, 24, 24)


def warm_up() -> None:
    """Write the report of a small invented series into a folder that is gone at once."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (series,) = read_paths(_images(folder)).series
        labels = np.zeros(_SHAPE, np.uint8)
        labels[1:5, 8:16, 8:16] = 1
        cord = Structure(StructureKind.SPINAL_CORD, "Spinal cord")
        analysis = SeriesAnalysis(
            series=series,
            source=read_source(series),
            rule="",
            model=ModelReference("warm-up", "0", "", ""),
            measurements=("spinal_cord_csa",),
            segmentation=Segmentation(
                labels, (Segment(1, cord, cord.name, new_uid()),), 1.0, soft=labels.astype(np.float32)
            ),
            seconds=0.0,
        )
        outputs = USUAL_OUTPUTS | {Output.PDF, Output.PICTURE}
        identities = plan_identities([analysis], run=1, created_at=datetime.now(UTC), outputs=outputs)
        report_study([analysis], [], identities=identities, out=folder, complete=True)


def _images(folder: Path) -> list[Path]:
    study, series, frame = new_uid(), new_uid(), new_uid()
    paths = []
    for index in range(_SHAPE[0]):
        image = Dataset()
        image.SOPClassUID, image.SOPInstanceUID = MRImageStorage, new_uid()
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.Modality, image.PatientID, image.PatientName = "MR", "WARM-UP", "WARM-UP"
        image.ImagePositionPatient = [0, 0, index]
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        image.PixelSpacing = [1, 1]
        image.Rows, image.Columns = _SHAPE[1:]
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated = image.BitsStored = 16
        image.HighBit, image.PixelRepresentation = 15, 0
        image.PixelData = bytes(2 * _SHAPE[1] * _SHAPE[2])
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        paths.append(folder / f"{index}.dcm")
        image.save_as(paths[-1], enforce_file_format=True)
    return paths
