"""Forms that are made only when a destination takes no better one: a Comprehensive SR, and the page as a picture."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.dicom.document_writer import write_picture
from dicom_ai.dicom.source_headers import normalised
from dicom_ai.dicom.sr_fallback import as_comprehensive_sr, fallback_identity
from dicom_ai.dicom.uids import new_uid
from dicom_ai.domain.output import PICTURE_SLOT, SR_FALLBACK_SLOT
from dicom_ai.domain.result import ResultIdentity, ResultKind

PAGE_FILE = "page.png"
"""The page as a picture, kept beside the objects of its run."""

PICTURE_NUMBER = 9004

Predecessor = tuple[str, str, str]


def as_picture(refused: Path, identity: ResultIdentity) -> Dataset | None:
    """Return the page beside a refused object as Secondary Capture, of its patient and study; None without a page."""
    page = refused.with_name(PAGE_FILE)
    if not page.exists():
        return None
    with Image.open(page) as image:
        pixels = np.asarray(image.convert("RGB"))
    return write_picture(pixels, normalised(dcmread(refused, stop_before_pixels=True)), identity=identity, models=[])


MAKERS: Mapping[str, Callable[[Path, ResultIdentity], Dataset | None]] = MappingProxyType(
    {SR_FALLBACK_SLOT: as_comprehensive_sr, PICTURE_SLOT: as_picture}
)
"""Slot -> how its object is made from the file of one that was refused; what is in no slot here was written before."""


def identity(slot: str, refused: ResultIdentity, predecessor: Predecessor | None) -> ResultIdentity:
    """Return a new identity for the fall-back of a result; save it before writing. predecessor: of an earlier run."""
    if slot == SR_FALLBACK_SLOT:
        return fallback_identity(refused, predecessor)
    return replace(
        refused,
        kind=ResultKind.SC,
        series_uid=new_uid(),
        sop_instance_uid=new_uid(),
        series_number=PICTURE_NUMBER,
        predecessor=predecessor,
        slot=slot,
    )


def file_name(slot: str) -> str:
    """Return the name of the file of a fall-back."""
    return {SR_FALLBACK_SLOT: "sr-comprehensive.dcm", PICTURE_SLOT: "page-picture.dcm"}[slot]
