"""The page out of the objects that document_writer.py makes: the PDF inside, the pixels of the picture."""

from pathlib import Path

import numpy as np
from pydicom import dcmread


def read_pdf(path: Path) -> bytes:
    """Return the PDF of an Encapsulated PDF, without the byte that makes its length even (PS3.3 C.24.2)."""
    document = dcmread(path)
    pdf: bytes = document.EncapsulatedDocument
    return pdf[: document.EncapsulatedDocumentLength]


def read_picture(path: Path) -> np.ndarray:
    """Return the pixels of a Secondary Capture of ours: uint8, shape (rows, columns, 3)."""
    picture = dcmread(path)
    return np.frombuffer(picture.PixelData, np.uint8).reshape(picture.Rows, picture.Columns, 3)
