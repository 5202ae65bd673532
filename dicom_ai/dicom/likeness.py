"""Two objects with one SOP Instance UID: the same image of the same patient, a corrected one, or another image.

Transfer syntax, group 2, private elements and everything that a router writes on the way do not count.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmread

from dicom_ai.dicom.headers import PARSE_ERRORS, read_instance
from dicom_ai.dicom.pixels import pixel_digest
from dicom_ai.domain.study import Element, Header, Instance
from dicom_ai.errors import NotDicom, RejectedInput, UnreadablePixels

IDENTITY = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "OtherPatientIDs",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyDescription",
    "ReferringPhysicianName",
)
"""Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1): what a demographic correction changes."""

IMAGE = (
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Rows",
    "Columns",
    "RescaleSlope",
    "RescaleIntercept",
    "ImagerPixelSpacing",
    "ImageLaterality",
    "Laterality",
    "PatientOrientation",
)
"""What else decides what the pixels mean; the geometry of the frames is compared beside it."""

_CLOSE_MM = 1e-3


@dataclass(frozen=True, slots=True)
class Difference:
    """How a second version differs. identity, image: keywords that do; "pixels" and "geometry" stand for those."""

    identity: tuple[str, ...]
    image: tuple[str, ...]


def difference(first: Path, second: Path) -> Difference:
    """Return how two objects of one UID differ, in what counts. Raises NotDicom where one cannot be read.

    Pixels that cannot be decoded count as the same only where their bytes are.
    """
    one, other = _instance(first), _instance(second)
    identity = tuple(key for key in IDENTITY if _normal(key, one.header) != _normal(key, other.header))
    image = [key for key in IMAGE if _normal(key, one.header) != _normal(key, other.header)]
    if not _same_geometry(one, other):
        image.append("geometry")
    if not _same_pixels(first, second):
        image.append("pixels")
    return Difference(identity, tuple(image))


def identity_of(path: Path) -> Mapping[str, str]:
    """Return what an object says of patient and study, as text by keyword. Raises NotDicom."""
    header = _instance(path).header
    return {keyword: header[keyword].text for keyword in (*IDENTITY, "Modality") if keyword in header}


def _instance(path: Path) -> Instance:
    try:
        return read_instance(path)
    except RejectedInput as error:
        raise NotDicom(str(error)) from None


def _normal(keyword: str, header: Header) -> str:
    """Return a value without what means nothing: padding, empty name parts, other spellings of dates and times."""
    element: Element | None = header.get(keyword)
    if element is None:
        return ""
    text = element.text
    if element.vr == "PN":
        return "=".join(group.rstrip("^ ") for group in text.split("=")).rstrip("=").upper()
    if element.vr == "DA":
        return text.replace(".", "")
    if element.vr == "TM":
        whole, _, fraction = text.replace(":", "").partition(".")
        return f"{whole:0<6}.{fraction.rstrip('0')}".rstrip(".")
    if element.vr in ("DS", "IS", "US"):
        return "\\".join(_number(value) for value in element.values)
    return re.sub(r"\s+", " ", text)


def _number(text: str) -> str:
    try:
        return f"{float(text):.9g}"
    except ValueError:
        return text


def _same_geometry(one: Instance, other: Instance) -> bool:
    if len(one.frames) != len(other.frames):
        return False
    return all(
        np.allclose(getattr(mine, name), getattr(theirs, name), atol=_CLOSE_MM)
        for mine, theirs in zip(one.frames, other.frames, strict=True)
        for name in ("position_mm", "row_direction", "column_direction", "pixel_spacing_mm")
    )


def _same_pixels(first: Path, second: Path) -> bool:
    try:
        return pixel_digest(first) == pixel_digest(second)
    except UnreadablePixels:
        return _raw_pixels(first) == _raw_pixels(second)


def _raw_pixels(path: Path) -> tuple[str, bytes]:
    try:
        dataset = dcmread(path)
        return str(dataset.file_meta.TransferSyntaxUID), bytes(dataset.get("PixelData") or b"")
    except (*PARSE_ERRORS, OSError) as error:
        raise NotDicom(f"{path.name}: cannot be read ({type(error).__name__})") from None
