"""An object that nobody can take for a patient's: sent to a destination to see what it says of it."""

from datetime import datetime

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_ai.dicom.uids import new_uid

PATIENT_NAME = "TEST OBJECT^NOT A PATIENT"
PATIENT_ID = "DICOM-AI-TEST"
_SIZE = 512, 256
_LINES = ("TEST OBJECT", "not a patient", "may be deleted")


def trial_object(*, at: datetime, sender: str) -> Dataset:
    """Return a Secondary Capture with new UIDs that says of itself, in header and picture, that it is a test.

    sender: AE title of the node, so that who finds it knows whom to ask.
    """
    picture = Dataset()
    picture.file_meta = FileMetaDataset()
    picture.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    picture.file_meta.MediaStorageSOPClassUID = picture.SOPClassUID = SecondaryCaptureImageStorage
    picture.file_meta.MediaStorageSOPInstanceUID = picture.SOPInstanceUID = UID(new_uid())
    picture.StudyInstanceUID, picture.SeriesInstanceUID = new_uid(), new_uid()
    picture.PatientName, picture.PatientID = PATIENT_NAME, PATIENT_ID
    picture.PatientBirthDate, picture.PatientSex = "", "O"
    picture.StudyDate = picture.SeriesDate = picture.ContentDate = at.strftime("%Y%m%d")
    picture.StudyTime = picture.SeriesTime = picture.ContentTime = at.strftime("%H%M%S")
    picture.AccessionNumber = picture.ReferringPhysicianName = ""
    picture.StudyID = "TEST"
    picture.StudyDescription = picture.SeriesDescription = "Test object of dicom-ai, not a patient"
    picture.Modality, picture.ConversionType = "OT", "WSD"
    picture.SeriesNumber = picture.InstanceNumber = 1
    picture.ImageType = ["DERIVED", "SECONDARY"]
    picture.PatientOrientation = picture.Laterality = ""
    picture.Manufacturer, picture.StationName = "dicom-ai", sender
    picture.BurnedInAnnotation = "NO"
    pixels = _drawn()
    picture.SamplesPerPixel, picture.PhotometricInterpretation = 1, "MONOCHROME2"
    picture.Rows, picture.Columns = pixels.shape
    picture.BitsAllocated = picture.BitsStored = 8
    picture.HighBit, picture.PixelRepresentation = 7, 0
    picture.PixelData = pixels.tobytes()
    picture["PixelData"].VR = "OB"
    return picture


def _drawn() -> np.ndarray:
    image = Image.new("L", _SIZE, 0)
    pen = ImageDraw.Draw(image)
    for line, text in enumerate(_LINES):
        pen.text((_SIZE[0] / 2, 50 + 75 * line), text, fill=255, font=ImageFont.load_default(48), anchor="mm")
    return np.asarray(image)
