"""The frames of a BINARY SEG with many segments, encoded without a data set for each frame.

A frame's functional groups say where its slice lies and which segment it shows, nothing else. highdicom writes a SEG in
which every slice and every segment occurs once; from its frames the groups of all pairs are put together as bytes. The
result equals what highdicom writes for the whole mask, and what does not fit the scheme is left to highdicom.
"""

import struct
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np
from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.tag import Tag
from scipy import ndimage

from dicom_ai.domain.image import SourceFrame

Pair = tuple[int, int]
"""(segment number, index of the slice)."""

_FRAME_CONTENT = 0x00209111
_DIMENSION_INDEX_VALUES = 0x00209157
_SEGMENT_IDENTIFICATION = 0x0062000A
_PER_FRAME = 0x52009230
_PIXEL_DATA = 0x7FE00010
_ITEM = 0xFFFEE000


def rows_of(labels: np.ndarray, segments: int) -> dict[Pair, slice]:
    """Return the segments and slices of a mask (slices, rows, columns) that have voxels together, and in which rows."""
    found = {}
    for index, plane in enumerate(labels):
        columns = np.flatnonzero(plane.any(axis=0))
        if columns.size:
            boxes = ndimage.find_objects(plane[:, columns[0] : columns[-1] + 1], segments)
            found.update({(number, index): box[0] for number, box in enumerate(boxes, 1) if box is not None})
    return found


def chosen_pairs(pairs: Collection[Pair]) -> list[Pair]:
    """Return few of the pairs in which every segment and every slice occurs."""
    slices_left = {index for _, index in pairs}
    of_segment: dict[int, list[int]] = {}
    for number, index in pairs:
        of_segment.setdefault(number, []).append(index)
    chosen = []
    for number, indices in of_segment.items():
        index = next((one for one in indices if one in slices_left), indices[0])
        slices_left.discard(index)
        chosen.append((number, index))
    return chosen + [
        pair for pair in {index: (number, index) for number, index in pairs if index in slices_left}.values()
    ]


def mask_of(labels: np.ndarray, pairs: Sequence[Pair]) -> np.ndarray:
    """Return a mask of as many slices with one voxel for each pair: as small as can be, for its pixels are not used."""
    mask = np.zeros((len(labels), 1, len(pairs)), labels.dtype)
    for place, (number, index) in enumerate(pairs):
        mask[index, 0, place] = number
    return mask


def expanded(
    template: Dataset, labels: np.ndarray, rows: Mapping[Pair, slice], frames: Sequence[SourceFrame]
) -> Dataset:
    """Return the SEG of a whole mask, made from one that highdicom wrote of chosen pairs of it.

    labels: the mask, (slices, rows, columns), each slice a multiple of 8 pixels. rows: of rows_of. frames: where its
    slices come from.
    """
    slices = {(frame.sop_instance_uid, frame.frame_number): index for index, frame in enumerate(frames)}
    by_slice, by_segment = {}, {}
    for item in template.PerFrameFunctionalGroupsSequence:
        by_slice[slices[_source_of(item)]] = item
        by_segment[int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber)] = item
    ordered = sorted(rows, key=lambda pair: (pair[0], _dimensions(by_slice[pair[1]])[1:]))
    groups = _groups(ordered, by_slice, by_segment)
    result = Dataset()
    result.update(
        {tag: template.get_item(tag) for tag in sorted(template.keys()) if tag not in (_PER_FRAME, _PIXEL_DATA)}
    )
    result.file_meta = template.file_meta
    result.NumberOfFrames = len(ordered)
    result.Rows, result.Columns = labels.shape[1:]
    result[_PER_FRAME] = RawDataElement(Tag(_PER_FRAME), "SQ", len(groups), groups, 0, False, True)
    pixels = _bits(labels, [(*pair, rows[pair]) for pair in ordered])
    result[_PIXEL_DATA] = DataElement(_PIXEL_DATA, "OB", pixels + bytes(len(pixels) % 2))
    # As if it had been read: pydicom then writes the groups as they are, and parses them when somebody asks for them.
    result.set_original_encoding(False, True, convert_encodings(result.SpecificCharacterSet))
    return result


def fits(template: Dataset) -> bool:
    """Whether the frames of a SEG are of the scheme: explicit VR, segments first, a place, and nothing else."""
    return not template.file_meta.TransferSyntaxUID.is_implicit_VR and all(
        [element.tag for element in item.FrameContentSequence[0]] == [_DIMENSION_INDEX_VALUES]
        and _dimensions(item)[0] == item.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        and len(item.DerivationImageSequence[0].SourceImageSequence) == 1
        for item in template.PerFrameFunctionalGroupsSequence
    )


def _groups(ordered: Sequence[Pair], by_slice: Mapping[int, Dataset], by_segment: Mapping[int, Dataset]) -> bytes:
    """Return the items of Per-frame Functional Groups Sequence."""
    before, after, places = {}, {}, {}
    for index, item in by_slice.items():
        before[index] = _encoded(item, lambda tag: tag < _FRAME_CONTENT)
        after[index] = _encoded(item, lambda tag: _FRAME_CONTENT < tag < _SEGMENT_IDENTIFICATION)
        places[index] = _dimensions(item)[1:]
    last = {number: _encoded(item, lambda tag: tag >= _SEGMENT_IDENTIFICATION) for number, item in by_segment.items()}
    items = []
    for number, index in ordered:
        content = before[index] + _frame_content((number, *places[index])) + after[index] + last[number]
        items.append(_item(content))
    return b"".join(items)


def _bits(labels: np.ndarray, frames: Iterable[tuple[int, int, slice]]) -> bytes:
    """Return the pixels of frames (segment number, index of the slice, rows that are not empty), 8 in a byte."""
    planes = labels.reshape(len(labels), -1)
    width = labels.shape[2]
    empty = bytes(planes.shape[1] // 8)
    parts = []
    for number, index, rows in frames:
        begin, end = rows.start * width // 8, -(-rows.stop * width // 8)
        bits = np.packbits(planes[index, 8 * begin : 8 * end] == number, bitorder="little")
        parts += [empty[:begin], bits.tobytes(), empty[end:]]
    return b"".join(parts)


def _source_of(item: Dataset) -> tuple[str, int | None]:
    reference = item.DerivationImageSequence[0].SourceImageSequence[0]
    number = reference.get("ReferencedFrameNumber")
    return str(reference.ReferencedSOPInstanceUID), None if number is None else int(number)


def _dimensions(item: Dataset) -> list[int]:
    values = item.FrameContentSequence[0].DimensionIndexValues
    return [values] if isinstance(values, int) else list(values)


def _frame_content(values: Sequence[int]) -> bytes:
    """Return Frame Content Sequence with Dimension Index Values (0020,9157) alone, explicit VR little endian."""
    inner = _header(_DIMENSION_INDEX_VALUES, b"UL") + struct.pack(f"<H{len(values)}I", 4 * len(values), *values)
    item = _item(inner)
    return _header(_FRAME_CONTENT, b"SQ") + struct.pack("<HI", 0, len(item)) + item


def _header(tag: int, vr: bytes) -> bytes:
    return struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)


def _item(content: bytes) -> bytes:
    return struct.pack("<HHI", _ITEM >> 16, _ITEM & 0xFFFF, len(content)) + content


def _encoded(item: Dataset, wanted: Callable[[int], bool]) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    for element in item:
        if wanted(element.tag):
            write_data_element(buffer, element, "utf-8")
    return buffer.getvalue()
