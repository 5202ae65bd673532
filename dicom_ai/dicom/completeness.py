"""Tells a whole file from one that was cut off, without reading its pixels."""

import struct
from pathlib import Path
from typing import BinaryIO

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from dicom_ai.errors import NotDicom

_UNDEFINED = 0xFFFFFFFF
_ITEM = 0xFFFEE000
_SEQUENCE_END = 0xFFFEE0DD
_LONG_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN"})
_DEFLATED = "1.2.840.10008.1.2.1.99"


def check_complete(dataset: Dataset, file: BinaryIO, path: Path) -> None:
    """Raise NotDicom where the file ends inside an element.

    dataset: read from file with stop_before_pixels, so that file stands at the pixel data or at its end.
    """
    meta = getattr(dataset, "file_meta", None)
    if meta is not None and meta.get("TransferSyntaxUID") == _DEFLATED:
        return  # zlib itself refuses a cut stream
    position = file.tell()
    size = file.seek(0, 2)
    file.seek(position)
    _check_last_element(dataset, size, path)
    if size - position >= 8:
        _check_pixels(dataset, file, size, path)


def _check_last_element(dataset: Dataset, size: int, path: Path) -> None:
    tags = sorted(dataset.keys())
    last = dataset.get_item(tags[-1], keep_deferred=True) if tags else None
    if not isinstance(last, RawDataElement) or last.length == _UNDEFINED:
        return
    missing = last.value_tell + last.length - size
    if missing > 0:
        raise NotDicom(f"{path.name}: truncated, {missing} bytes short inside {last.tag}")


def _check_pixels(dataset: Dataset, file: BinaryIO, size: int, path: Path) -> None:
    implicit, little = dataset.original_encoding
    order = "<" if little or little is None else ">"
    opening = file.read(12)
    if implicit or opening[4:6] not in _LONG_VRS:
        (length,) = struct.unpack_from(f"{order}I", opening, 4)
        start = file.tell() - len(opening) + 8
    else:
        if len(opening) < 12:
            raise NotDicom(f"{path.name}: truncated at the pixel data")
        (length,) = struct.unpack_from(f"{order}I", opening, 8)
        start = file.tell()
    if length == _UNDEFINED:
        _check_fragments(file, start, size, path)
    elif start + length > size:
        raise NotDicom(f"{path.name}: truncated, {size - start} of {length} bytes of pixel data")


def _check_fragments(file: BinaryIO, start: int, size: int, path: Path) -> None:
    """Walk the items of encapsulated pixel data to the sequence delimiter (PS3.5 A.4); always little endian."""
    position = start
    while position + 8 <= size:
        file.seek(position)
        group, element, length = struct.unpack("<HHI", file.read(8))
        tag = group << 16 | element
        if tag == _SEQUENCE_END:
            return
        if tag != _ITEM:
            raise NotDicom(f"{path.name}: pixel data fragments are malformed")
        position += 8 + length
    raise NotDicom(f"{path.name}: truncated inside the pixel data fragments")
