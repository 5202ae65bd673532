"""The report on one page as Encapsulated PDF (PS3.3 A.45.1) and as Secondary Capture (PS3.3 A.8.1)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from highdicom.base import SOPClass
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_ai.dicom import codes as our
from dicom_ai.dicom.result_stamp import stamp, stated, without_name
from dicom_ai.domain.image import SourceImage
from dicom_ai.domain.model import ModelReference
from dicom_ai.domain.result import ResultIdentity

PAGE_TITLE = "AI report on one page (research use only, not verified)"
DOCUMENT = "page"


def write_pdf(
    pdf: bytes,
    header: Dataset,
    *,
    identity: ResultIdentity,
    models: Sequence[ModelReference],
    sources: Sequence[SourceImage] = (),
) -> Dataset:
    """Return the page as Encapsulated PDF. header: of a source image, normalised. sources: the images it rests on."""
    document = _new(EncapsulatedPDFStorage, "DOC", header, identity, models)
    document.ConversionType = "WSD"
    document.AcquisitionDateTime = ""
    document.BurnedInAnnotation = "YES"  # the page says who the patient is
    document.RecognizableVisualFeatures = "NO"
    document.DocumentTitle = PAGE_TITLE
    document.VerificationFlag = "UNVERIFIED"
    document.ConceptNameCodeSequence = [CodedConcept.from_code(our.PAGE)]
    document.SourceInstanceSequence = Items(_references(sources))
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    document.EncapsulatedDocumentLength = len(pdf)
    if not document.SourceInstanceSequence:
        del document.SourceInstanceSequence
    stamp(document, header, identity)
    return document


def write_picture(
    pixels: np.ndarray, header: Dataset, *, identity: ResultIdentity, models: Sequence[ModelReference]
) -> Dataset:
    """Return the page as Secondary Capture. pixels: uint8, shape (rows, columns, 3), without the patient's name."""
    picture = _new(SecondaryCaptureImageStorage, "OT", header, identity, models)
    picture.ConversionType = "WSD"
    picture.ImageType = ["DERIVED", "SECONDARY"]
    picture.BurnedInAnnotation = "NO"
    picture.RecognizableVisualFeatures = "NO"
    picture.PatientOrientation = ""
    picture.BodyPartExamined = "SPINE"  # not paired: no Laterality (PS3.3 C.7.3.1)
    picture.SamplesPerPixel, picture.PhotometricInterpretation, picture.PlanarConfiguration = 3, "RGB", 0
    picture.Rows, picture.Columns = pixels.shape[:2]
    picture.BitsAllocated = picture.BitsStored = 8
    picture.HighBit, picture.PixelRepresentation = 7, 0
    picture.PixelData = np.ascontiguousarray(pixels).tobytes()
    picture["PixelData"].VR = "OB"
    stamp(picture, header, identity)
    return picture


def _new(
    sop_class_uid: str, modality: str, header: Dataset, identity: ResultIdentity, models: Sequence[ModelReference]
) -> Dataset:
    patient = without_name(header)
    arguments: dict[str, Any] = stated(identity, models, what=DOCUMENT)
    return SOPClass(
        study_instance_uid=header.StudyInstanceUID,
        sop_class_uid=sop_class_uid,
        modality=modality,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        patient_id=header.PatientID,
        patient_name=patient.PatientName,
        patient_birth_date=header.PatientBirthDate,
        patient_sex=header.PatientSex,
        accession_number=header.AccessionNumber,
        study_id=header.StudyID,
        study_date=header.StudyDate,
        study_time=header.StudyTime,
        referring_physician_name=header.ReferringPhysicianName,
        **arguments,
    )


def _references(sources: Sequence[SourceImage]) -> list[Dataset]:
    frames = {frame.sop_instance_uid: frame for source in sources for frame in source.frames}
    items = []
    for frame in frames.values():
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = frame.sop_class_uid, frame.sop_instance_uid
        items.append(item)
    return items
