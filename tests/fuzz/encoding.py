"""Data sets put together byte by byte, so that every length and every VR can lie."""

import zlib
from collections.abc import Mapping
from struct import pack

from pydicom.uid import MRImageStorage

LONG = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXEL_DATA = 0x7FE00010
ROWS = COLUMNS = 16
PIECE = 1 << 20


def element(tag: int, vr: str, value: bytes, *, length: int | None = None) -> bytes:
    """Return an element in explicit VR little endian; length: what it claims, where that is not the truth."""
    size = len(value) if length is None else length
    head = pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode("latin-1"))
    return head + (pack("<HI", 0, size) if vr in LONG else pack("<H", size & 0xFFFF)) + value


def text(tag: int, vr: str, value: str | bytes) -> bytes:
    """Return an element of text, padded to an even length."""
    data = value.encode() if isinstance(value, str) else value
    return element(tag, vr, data + (b"\0" if vr == "UI" else b" ") * (len(data) % 2))


def mark(tag: int, length: int = 0) -> bytes:
    """Return the start of an item, or a delimiter."""
    return pack("<HHI", tag >> 16, tag & 0xFFFF, length)


def item(content: bytes, *, length: int | None = None) -> bytes:
    """Return an item of a sequence; length: what it claims."""
    return mark(ITEM, len(content) if length is None else length) + content


def sequence(tag: int, *items: bytes, vr: str = "SQ") -> bytes:
    """Return a sequence of undefined length with its delimiter."""
    return element(tag, vr, b"".join(items) + mark(SEQUENCE_END), length=UNDEFINED)


def nested(tag: int, depth: int, *, undefined: bool = True) -> bytes:
    """Return a sequence in a sequence, so many deep."""
    content = b""
    for _ in range(depth):
        if undefined:
            content = sequence(tag, mark(ITEM, UNDEFINED) + content + mark(ITEM_END))
        else:
            content = element(tag, "SQ", item(content))
    return content


def fragments(*pieces: bytes, ended: bool = True) -> bytes:
    """Return encapsulated pixel data (PS3.5 A.4); the first piece is the offset table."""
    content = b"".join(item(piece) for piece in pieces)
    return element(PIXEL_DATA, "OB", content + (mark(SEQUENCE_END) if ended else b""), length=UNDEFINED)


def deflated(data: bytes, *, zeros: int = 0) -> bytes:
    """Return a deflated data set (PS3.5 A.5), with so many zeros behind it."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    pieces = [packer.compress(data)]
    pieces += [packer.compress(bytes(PIECE)) for _ in range(zeros // PIECE)]
    return b"".join(pieces) + packer.flush()


def image(uid: str, changes: Mapping[int, bytes] | None = None, *, tail: bytes = b"") -> bytes:
    """Return a small MR image in explicit VR little endian.

    changes: elements that are added or take another's place, b"" to leave one out. tail: follows everything.
    """
    elements = {
        0x00080005: text(0x00080005, "CS", "ISO_IR 192"),
        0x00080008: text(0x00080008, "CS", "ORIGINAL\\PRIMARY\\M"),
        0x00080016: text(0x00080016, "UI", MRImageStorage),
        0x00080018: text(0x00080018, "UI", f"{uid}.1.1"),
        0x00080020: text(0x00080020, "DA", "20260110"),
        0x00080050: text(0x00080050, "SH", "77"),
        0x00080060: text(0x00080060, "CS", "MR"),
        0x00080070: text(0x00080070, "LO", "Maker"),
        0x0008103E: text(0x0008103E, "LO", "t2_tse_tra"),
        0x00100010: text(0x00100010, "PN", "Hostile^Bytes"),
        0x00100020: text(0x00100020, "LO", "H1"),
        0x0020000D: text(0x0020000D, "UI", uid),
        0x0020000E: text(0x0020000E, "UI", f"{uid}.1"),
        0x00200032: text(0x00200032, "DS", "0\\0\\0"),
        0x00200037: text(0x00200037, "DS", "1\\0\\0\\0\\1\\0"),
        0x00280002: element(0x00280002, "US", pack("<H", 1)),
        0x00280004: text(0x00280004, "CS", "MONOCHROME2"),
        0x00280010: element(0x00280010, "US", pack("<H", ROWS)),
        0x00280011: element(0x00280011, "US", pack("<H", COLUMNS)),
        0x00280030: text(0x00280030, "DS", "1\\1"),
        0x00280100: element(0x00280100, "US", pack("<H", 16)),
        0x00280101: element(0x00280101, "US", pack("<H", 12)),
        0x00280102: element(0x00280102, "US", pack("<H", 11)),
        0x00280103: element(0x00280103, "US", pack("<H", 0)),
        PIXEL_DATA: element(PIXEL_DATA, "OW", bytes(2 * ROWS * COLUMNS)),
        **(changes or {}),
    }
    return b"".join(elements[tag] for tag in sorted(elements)) + tail
