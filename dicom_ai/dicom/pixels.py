"""Stored pixels as physical values: decoded, masked to the stored bits, MONOCHROME1 inverted, modality LUT applied."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, iter_pixels
from pydicom.uid import UID, RLELossless

from dicom_ai.dicom.functional_groups import frame_elements, is_multiframe_with_groups
from dicom_ai.dicom.headers import PARSE_ERRORS
from dicom_ai.domain.study import Instance
from dicom_ai.errors import UnreadablePixels

_GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
MOST_PIXELS = 1 << 30
"""Pixels of an object, all frames together: a compressed object of some bytes may say that it has more."""

MOST_FROM_RLE = 64
"""Bytes that one byte of RLE can become (PS3.5 G.3.1: two bytes say "this one 128 times")."""


def check_grey(instance: Instance) -> None:
    """Raise UnreadablePixels where the header already says that the image is not grey."""
    samples, photometric = _text(instance, "SamplesPerPixel"), _text(instance, "PhotometricInterpretation")
    if not _text(instance, "Rows") or not _text(instance, "Columns"):
        raise UnreadablePixels("no pixels: Rows and Columns are absent")
    if samples not in ("", "1"):
        raise UnreadablePixels(f"{samples} samples per pixel ({photometric}): a colour image")
    if photometric not in _GREY:
        raise UnreadablePixels(f"photometric interpretation {photometric or 'is absent'}: not a grey image")
    _check_size([_text(instance, keyword) for keyword in ("Rows", "Columns", "NumberOfFrames")])


def read_frames(instance: Instance) -> np.ndarray:
    """Return the frames of a stored object as float32, shape (frames, rows, columns). Raises UnreadablePixels."""
    check_grey(instance)
    dataset = _read(instance.path)
    if "PixelData" not in dataset:
        raise UnreadablePixels("no pixels: the object has no Pixel Data")
    stored = _decode(dataset)
    if stored.ndim not in (2, 3):
        raise UnreadablePixels(f"pixels of {stored.ndim} dimensions where 2 or 3 were expected")
    frames = stored[None] if stored.ndim == 2 else stored
    try:
        values = _physical_values(frames, dataset)
    except PARSE_ERRORS as error:
        raise UnreadablePixels(f"pixel description is malformed ({type(error).__name__})") from None
    if not np.isfinite(values).all():
        raise UnreadablePixels("pixel values are not finite after the rescale")
    return values


def pixel_digest(path: Path) -> str:
    """Return a digest over the decoded frames, the same in every lossless transfer syntax; "" without pixels.

    A frame at a time is in memory. Raises UnreadablePixels where they cannot be decoded.
    """
    try:
        header = dcmread(path, stop_before_pixels=True)
        if "Rows" not in header:
            return ""
        _check_size([str(header.get(keyword, "")) for keyword in ("Rows", "Columns")])
        _check_run_lengths(header, frames=1)
        digest = hashlib.sha256()
        deflated = UID(_transfer_syntax(header)).is_deflated  # which the library inflates only as a whole
        for frame in iter_pixels(dcmread(path) if deflated else path):
            stored = _stored_values(frame, header) if np.issubdtype(frame.dtype, np.integer) else frame
            digest.update(f"{stored.shape}".encode())
            digest.update(np.ascontiguousarray(stored).data)
    except (*PARSE_ERRORS, RuntimeError, OSError) as error:
        raise UnreadablePixels(f"{path.name}: pixels cannot be decoded ({type(error).__name__})") from None
    return digest.hexdigest()


def _transfer_syntax(dataset: Dataset) -> str:
    return str(dataset.file_meta.TransferSyntaxUID)


def _check_size(numbers: Sequence[str]) -> None:
    """Raise UnreadablePixels where numbers of rows, columns and frames ask for more memory than any image of ours."""
    pixels = math.prod(int(number) for number in numbers if number.isdecimal() and len(number) < 20)
    if pixels > MOST_PIXELS:
        raise UnreadablePixels(f"{pixels} pixels: an object may have {MOST_PIXELS}")


def _check_run_lengths(dataset: Dataset, *, frames: int) -> None:
    """Raise UnreadablePixels where frames are larger than a run-length coded file of that size can make them."""
    if _transfer_syntax(dataset) != RLELossless:
        return
    bits = int(dataset.get("BitsAllocated") or 8) * int(dataset.Rows) * int(dataset.Columns) * frames
    size_bytes = Path(str(dataset.filename)).stat().st_size
    if bits > 8 * MOST_FROM_RLE * size_bytes:
        raise UnreadablePixels(f"{bits // 8} bytes of pixels from {size_bytes} bytes of run lengths")


def _read(path: Path | None) -> Dataset:
    if path is None:
        raise UnreadablePixels("no pixels: the header came without its file")
    try:
        return dcmread(path, force=True)
    except PARSE_ERRORS as error:
        raise UnreadablePixels(f"{path.name}: cannot be parsed ({type(error).__name__})") from None
    except OSError as error:
        raise UnreadablePixels(f"{path.name}: cannot be read ({error.strerror})") from None


def _decode(dataset: Dataset) -> np.ndarray:
    if not getattr(dataset, "file_meta", None) or "TransferSyntaxUID" not in dataset.file_meta:
        dataset.ensure_file_meta()
        dataset.file_meta.TransferSyntaxUID = UID(_native_syntax(dataset))
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        _check_run_lengths(dataset, frames=int(dataset.get("NumberOfFrames") or 1))
        return dataset.pixel_array
    except (*PARSE_ERRORS, RuntimeError) as error:
        raise UnreadablePixels(f"pixels in {syntax.name} cannot be decoded ({type(error).__name__})") from None


def _native_syntax(dataset: Dataset) -> str:
    implicit, little = dataset.original_encoding
    if implicit:
        return "1.2.840.10008.1.2"
    return "1.2.840.10008.1.2.2" if little is False else "1.2.840.10008.1.2.1"


def _physical_values(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return float32 values frame by frame: a whole series in wider numbers would not fit beside itself."""
    values = np.empty(stored.shape, np.float32)
    if "ModalityLUTSequence" in dataset and len(dataset.ModalityLUTSequence):
        for index, frame in enumerate(stored):
            values[index] = apply_modality_lut(_stored_values(frame, dataset), dataset)
        return values
    slopes, intercepts = _rescales(dataset, len(stored))
    for index, frame in enumerate(stored):
        values[index] = _stored_values(frame, dataset) * slopes[index] + intercepts[index]
    return values


def _stored_values(pixels: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Keep the stored bits only (the others may hold an overlay, PS3.5 8.1.1) and turn MONOCHROME1 around."""
    bits, allocated = int(dataset.BitsStored), int(dataset.BitsAllocated)
    signed = bool(dataset.PixelRepresentation)
    values = pixels.astype(np.int64)
    low = int(dataset.get("HighBit", bits - 1)) - bits + 1
    if bits < allocated and low >= 0:
        values = (values >> low) & ((1 << bits) - 1)
        if signed:
            values = np.where(values >= 1 << (bits - 1), values - (1 << bits), values)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        lowest, highest = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        values = lowest + highest - values
    return values


def _rescales(dataset: Dataset, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return slope and intercept of each frame; a slope of 0 says nothing and counts as absent."""
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    slopes = np.full(count, float(slope) if slope else 1.0)
    intercepts = np.full(count, float(intercept or 0.0) if slope else 0.0)
    if is_multiframe_with_groups(dataset):
        for index, elements in enumerate(frame_elements(dataset)[:count]):
            if "RescaleSlope" in elements and float(elements["RescaleSlope"].text or 0):
                slopes[index] = float(elements["RescaleSlope"].text)
                intercepts[index] = float(elements["RescaleIntercept"].text)
    return slopes, intercepts


def _text(instance: Instance, keyword: str) -> str:
    element = instance.header.get(keyword)
    return element.text if element else ""
