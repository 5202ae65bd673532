"""The hostile corpus: one object for every way we know in which an encoded data set can be wrong, or cruel.

To add one: a line in the table of its class. Each entry maps the study UID to the bytes of a data set; what cannot be
expressed as a changed image is written out by hand.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from struct import pack

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.fuzz.encoding import (
    ITEM,
    ITEM_END,
    PIXEL_DATA,
    SEQUENCE_END,
    UNDEFINED,
    deflated,
    element,
    fragments,
    image,
    item,
    mark,
    nested,
    sequence,
    text,
)

NAME, PATIENT, CHARSET, STUDY, SERIES, INSTANCE = 0x00100010, 0x00100020, 0x00080005, 0x0020000D, 0x0020000E, 0x00080018
REFERENCES, CONTENT, GROUPS, SHARED = 0x00081140, 0x0040A730, 0x52009230, 0x52009229
ROWS, COLUMNS, FRAMES, POSITION, SPACING = 0x00280010, 0x00280011, 0x00280008, 0x00200032, 0x00280030
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Hostile:
    """One object. uid: the study it says it is of."""

    name: str
    uid: str
    transfer_syntax_uid: str
    data: bytes

    @property
    def sop_instance_uid(self) -> str:
        """What its request calls it, whatever the data set says."""
        return f"{self.uid}.1.1"


Made = Callable[[str], bytes]
Changes = Mapping[int, bytes]


def _with(changes: Changes, tail: bytes = b"") -> Made:
    return lambda uid: image(uid, changes, tail=tail)


LENGTHS: dict[str, Made] = {
    "a length of 4 GB": _with({0x00104000: element(0x00104000, "UT", b"x", length=0xFFFFFFFE)}),
    "a length beyond the end": _with({PATIENT: element(PATIENT, "LO", b"H1", length=60_000)}),
    "pixels shorter than they say": _with({PIXEL_DATA: element(PIXEL_DATA, "OW", b"\0" * 10, length=512)}),
    "fewer pixels than rows and columns": _with({PIXEL_DATA: element(PIXEL_DATA, "OW", b"\0" * 10)}),
    "more pixels than rows and columns": _with({PIXEL_DATA: element(PIXEL_DATA, "OW", bytes(100_000))}),
    "an odd length": _with({PATIENT: element(PATIENT, "LO", b"H12")}),
    "undefined length of a text": _with({PATIENT: element(PATIENT, "UT", b"H1", length=UNDEFINED)}),
    "empty identity": _with({STUDY: element(STUDY, "UI", b"")}),
    "a name of 60,000 characters": _with({NAME: element(NAME, "PN", b"A^" * 30_000)}),
    "a patient ID of 1 MB": _with({PATIENT: element(PATIENT, "UC", b"A" * MEGABYTE)}),
    "a comment of 8 MB": _with({0x00104000: element(0x00104000, "UT", b"A" * 8 * MEGABYTE)}),
    "the same element 5,000 times": _with({PATIENT: text(PATIENT, "LO", "H1") * 5_000}),
    "elements out of order": lambda uid: image(uid, {NAME: b""}, tail=text(NAME, "PN", "Late^Name")),
    "half an element at the end": _with({}, b"\x20\x00\x0d"),
    "zeros at the end": _with({}, bytes(6)),
    "a megabyte of zeros at the end": _with({}, bytes(MEGABYTE)),
    "trailing padding of 2 MB": _with({}, element(0xFFFCFFFC, "OB", bytes(2 * MEGABYTE))),
    "nothing at all": lambda uid: b"",
    "one byte": lambda uid: b"\x08",
    "only zeros": lambda uid: bytes(4096),
    "only ones": lambda uid: b"\xff" * 4096,
    "cut in the middle of the identity": lambda uid: image(uid)[:200],
    "cut in the middle of the pixels": lambda uid: image(uid)[:-100],
    "a file in a file": lambda uid: bytes(128) + b"DICM" + image(uid),
}

NESTING: dict[str, Made] = {
    "sequences 31 deep": _with({REFERENCES: nested(REFERENCES, 31)}),
    "sequences 1,000 deep": _with({REFERENCES: nested(REFERENCES, 1_000)}),
    "counted sequences 1,000 deep": _with({REFERENCES: nested(REFERENCES, 1_000, undefined=False)}),
    "counted report content 1,000 deep": _with({CONTENT: nested(CONTENT, 1_000, undefined=False)}),
    "counted functional groups 1,000 deep": _with({SHARED: nested(SHARED, 1_000, undefined=False)}),
    "an item that ends before its content": _with({REFERENCES: sequence(REFERENCES, item(b"\0" * 40, length=7))}),
    "an item longer than its sequence": _with({REFERENCES: element(REFERENCES, "SQ", item(b"", length=9_999))}),
    "a sequence without its end": _with({}, element(REFERENCES, "SQ", mark(ITEM, UNDEFINED), length=UNDEFINED)),
    "an end of a sequence that never began": _with({}, mark(SEQUENCE_END)),
    "an end of an item that never began": _with({}, mark(ITEM_END)),
    "an item outside any sequence": _with({}, mark(ITEM, 8) + bytes(8)),
    "50,000 items": _with({REFERENCES: sequence(REFERENCES, *[item(b"")] * 50_000)}),
    "20,000 frames without groups": _with({FRAMES: text(FRAMES, "IS", "20000")}),
    "20,000 empty functional groups": _with({GROUPS: sequence(GROUPS, *[item(b"")] * 20_000)}),
    "a sequence where text should be": _with({PATIENT: sequence(PATIENT, item(text(PATIENT, "LO", "H2")))}),
    "text where functional groups should be": _with({GROUPS: text(GROUPS, "LO", "no groups")}),
    "text where codes should be": _with({0x00082218: text(0x00082218, "LO", "spine")}),
}

CHARSETS: dict[str, Made] = {
    "a character set nobody knows": _with({CHARSET: text(CHARSET, "CS", "ISO_IR 9999")}),
    "a malformed character set": _with({CHARSET: text(CHARSET, "CS", "ISO-8859-1")}),
    "an empty first character set": _with(
        {CHARSET: text(CHARSET, "CS", "\\ISO 2022 IR 87"), NAME: text(NAME, "PN", b"Yamada=\x1b$B;3ED\x1b(B")}
    ),
    "300 character sets": _with({CHARSET: text(CHARSET, "CS", "\\".join(["ISO 2022 IR 87"] * 300))}),
    "binary as a character set": _with({CHARSET: element(CHARSET, "CS", bytes(range(256)))}),
    "a character set that is a sequence": _with({CHARSET: sequence(CHARSET, item(b""))}),
    "bytes that are no UTF-8": _with(
        {NAME: text(NAME, "PN", b"\xff\xfe\xc0\x80"), PATIENT: text(PATIENT, "LO", b"\xff")}
    ),
    "an escape without its end": _with(
        {CHARSET: text(CHARSET, "CS", "ISO 2022 IR 6\\ISO 2022 IR 87"), NAME: text(NAME, "PN", b"A^B=\x1b$B")}
    ),
    "an escape into a set not announced": _with(
        {CHARSET: text(CHARSET, "CS", "ISO 2022 IR 6\\ISO 2022 IR 149"), NAME: text(NAME, "PN", b"\x1b$B;3ED")}
    ),
    "100,000 escapes": _with(
        {
            CHARSET: text(CHARSET, "CS", "ISO 2022 IR 6\\ISO 2022 IR 87"),
            NAME: element(NAME, "PN", b"\x1b$B\x1b(B" * 10_000),
        }
    ),
    "backslashes inside characters": _with(
        {CHARSET: text(CHARSET, "CS", "ISO_IR 13"), NAME: text(NAME, "PN", b"\x83\x5c\x83\x5c")}
    ),
    "GB18030 cut in a character": _with(
        {CHARSET: text(CHARSET, "CS", "GB18030"), NAME: text(NAME, "PN", b"\xcd\xf5\x81")}
    ),
    "NULs in the patient ID": _with({PATIENT: text(PATIENT, "LO", b"H\x001\x00\x00")}),
    "control characters and terminal escapes": _with({PATIENT: text(PATIENT, "LO", b"\x1b[2J\x07\r\nH1")}),
    "markup and SQL as a name": _with({NAME: text(NAME, "PN", "<script>alert(1)</script>^'; DROP TABLE studies;--")}),
}

VRS: dict[str, Made] = {
    "a VR nobody knows": _with({0x00104000: element(0x00104000, "ZZ", b"AB")}),
    "a VR in small letters": _with({PATIENT: element(PATIENT, "lo", b"H1")}),
    "a VR of zeros": _with({PATIENT: element(PATIENT, "\0\0", b"H1")}),
    "identity as bytes": _with({STUDY: element(STUDY, "OB", b"1.2.3\0")}),
    "rows as text": _with({ROWS: text(ROWS, "DS", "sixteen")}),
    "rows of three bytes": _with({ROWS: element(ROWS, "US", b"\x10\0\0")}),
    "rows without a value": _with({ROWS: element(ROWS, "US", b"")}),
    "rows as a float": _with({ROWS: element(ROWS, "FD", pack("<d", float("nan")))}),
    "a position that is infinite": _with({POSITION: text(POSITION, "DS", "1e400\\nan\\-inf")}),
    "a position of two numbers": _with({POSITION: text(POSITION, "DS", "0\\0")}),
    "a spacing of zero": _with({SPACING: text(SPACING, "DS", "0\\0")}),
    "a spacing that is negative": _with({SPACING: text(SPACING, "DS", "-1\\-1")}),
    "a number of 60,000 digits": _with({FRAMES: element(FRAMES, "IS", b"9" * 60_000)}),
    "minus one frames": _with({FRAMES: text(FRAMES, "IS", "-1")}),
    "two billion frames": _with({FRAMES: text(FRAMES, "IS", "2147483647")}),
    "a date that is none": _with({0x00080020: text(0x00080020, "DA", "99999999")}),
    "a date with letters": _with({0x00080020: text(0x00080020, "DA", "today")}),
    "an image of 65,535 squared": _with(
        {ROWS: element(ROWS, "US", pack("<H", 65_535)), COLUMNS: element(COLUMNS, "US", pack("<H", 65_535))}
    ),
    "an image of nothing": _with({ROWS: element(ROWS, "US", pack("<H", 0))}),
    "17 bits stored of 16": _with({0x00280101: element(0x00280101, "US", pack("<H", 17))}),
    "65,535 bits allocated": _with({0x00280100: element(0x00280100, "US", pack("<H", 65_535))}),
    "a UID with letters": _with({SERIES: text(SERIES, "UI", "1.2.three")}),
    "a UID with a path": _with({SERIES: text(SERIES, "UI", "../../../etc/passwd")}),
    "a UID of 200 characters": _with({SERIES: text(SERIES, "UI", "1." * 99 + "1")}),
    "two study UIDs": _with({STUDY: text(STUDY, "UI", "1.2.3\\1.2.4")}),
    "another instance than the request": _with({INSTANCE: text(INSTANCE, "UI", "1.2.3.4.5")}),
}

PRIVATE: dict[str, Made] = {
    "a private element without a creator": _with({0x00091001: element(0x00091001, "UN", b"\1\2\3\4")}),
    "every private block taken": _with({0x00090010: b"".join(text(0x00090000 + n, "LO", "X") for n in range(16, 256))}),
    "a private creator of 60,000 characters": _with({0x00090010: element(0x00090010, "LO", b"X" * 60_000)}),
    "a private sequence of undefined length": _with({0x00091001: sequence(0x00091001, item(bytes(8)), vr="UN")}),
    "private UN nested 1,000 deep": _with(
        {
            0x00091001: element(
                0x00091001, "UN", (mark(ITEM, UNDEFINED) + pack("<HHI", 9, 0x1001, UNDEFINED)) * 1_000, length=UNDEFINED
            )
        }
    ),
    "4 MB of private bytes": _with({0x00091001: element(0x00091001, "OB", bytes(4 * MEGABYTE))}),
    "30,000 private elements": _with(
        {0x00090010: b"".join(text(0x00090000 + n, "LO", "X") for n in range(16, 30_016))}
    ),
    "group 0001": lambda uid: element(0x00010001, "UN", b"\0\0") + image(uid),
    "a command group in the data set": lambda uid: element(0x00000000, "UL", b"\0\0\0\0") + image(uid),
    "file meta information in the data set": lambda uid: text(0x00020010, "UI", "1.2.840.10008.1.2") + image(uid),
    "our own name as the manufacturer": _with({0x00080070: text(0x00080070, "LO", "dicom-ai")}),
}

_ENCAPSULATED: dict[str, tuple[str, bytes, Changes]] = {
    "no fragments": (JPEG2000Lossless, element(PIXEL_DATA, "OB", mark(SEQUENCE_END), length=UNDEFINED), {}),
    "no offset table, no JPEG": (JPEG2000Lossless, fragments(b"", b"not a codestream"), {}),
    "an offset table of three bytes": (JPEGLSLossless, fragments(b"\1\2\3", b"\xff\xd8\xff\xf7"), {}),
    "an offset table beyond the end": (RLELossless, fragments(pack("<I", 0xFFFFFFF0), bytes(64)), {}),
    "a fragment of undefined length": (
        RLELossless,
        element(PIXEL_DATA, "OB", item(b"") + mark(ITEM, UNDEFINED) + bytes(64), length=UNDEFINED),
        {},
    ),
    "a fragment longer than the file": (
        RLELossless,
        element(PIXEL_DATA, "OB", item(b"") + item(b"ab", length=0xFFFFFF00), length=UNDEFINED),
        {},
    ),
    "fragments without their end": (RLELossless, fragments(b"", bytes(64), ended=False), {}),
    "something else among the fragments": (
        RLELossless,
        element(PIXEL_DATA, "OB", item(b"") + mark(ITEM_END) + mark(SEQUENCE_END), length=UNDEFINED),
        {},
    ),
    "50,000 empty fragments": (RLELossless, fragments(b"", *[b""] * 50_000), {}),
    "RLE with 15 segments that overlap": (RLELossless, fragments(b"", pack("<16I", 15, *[64] * 15) + bytes(64)), {}),
    "RLE of 65,535 squared from 66 bytes": (
        RLELossless,
        fragments(b"", pack("<16I", 2, 64, 65, *[0] * 13) + b"\x80\x80"),
        {ROWS: element(ROWS, "US", pack("<H", 65_535)), COLUMNS: element(COLUMNS, "US", pack("<H", 65_535))},
    ),
    "RLE of a gigabyte from 66 bytes": (
        RLELossless,
        fragments(b"", pack("<16I", 2, 64, 65, *[0] * 13) + b"\x80\x80"),
        {ROWS: element(ROWS, "US", pack("<H", 65_535)), COLUMNS: element(COLUMNS, "US", pack("<H", 12_543))},
    ),
    "native pixels in a compressed syntax": (JPEG2000Lossless, element(PIXEL_DATA, "OW", bytes(512)), {}),
    "a JPEG 2000 header alone": (
        JPEG2000Lossless,
        fragments(
            b"",
            bytes.fromhex("ff4fff51002f0000ffffffffffffffff00000000000000000000ffff0000ffff00000000000000000001070101"),
        ),
        {},
    ),
}


def _objects() -> Iterator[tuple[str, str, Made]]:
    """Yield name, transfer syntax, and what makes the bytes."""
    for table in (LENGTHS, NESTING, CHARSETS, VRS, PRIVATE):
        for name, made in table.items():
            yield name, ExplicitVRLittleEndian, made
    for name, (syntax, pixels, changes) in _ENCAPSULATED.items():
        yield name, syntax, _with({**changes, PIXEL_DATA: pixels})
    yield "fragments in a native syntax", ExplicitVRLittleEndian, _with({PIXEL_DATA: fragments(b"", bytes(64))})
    yield "explicit bytes called implicit", ImplicitVRLittleEndian, image
    yield "little-endian bytes called big-endian", ExplicitVRBigEndian, image
    yield "implicit bytes called explicit", ExplicitVRLittleEndian, lambda uid: pack("<HHI", 8, 0x16, 2) + b"1\0"
    yield "plain bytes called deflated", DeflatedExplicitVRLittleEndian, image
    yield "a deflated image", DeflatedExplicitVRLittleEndian, lambda uid: deflated(image(uid))
    yield "a deflated image, cut", DeflatedExplicitVRLittleEndian, lambda uid: deflated(image(uid))[:-40]
    yield "a deflated image, and more", DeflatedExplicitVRLittleEndian, lambda uid: deflated(image(uid)) + b"more" * 9
    yield "a bomb of 700 MB in its pixels", DeflatedExplicitVRLittleEndian, _bomb_in_pixels
    yield "a bomb of 700 MB in a comment", DeflatedExplicitVRLittleEndian, _bomb_in_text


def _bomb_in_pixels(uid: str) -> bytes:
    opening = element(PIXEL_DATA, "OW", b"", length=700 * MEGABYTE)
    return deflated(image(uid, {PIXEL_DATA: opening}), zeros=700 * MEGABYTE)


def _bomb_in_text(uid: str) -> bytes:
    """Its end of the header comes after the bomb, so that nobody can stop before the pixels."""
    opening = element(0x00104000, "UT", b"", length=700 * MEGABYTE)
    return deflated(image(uid, {PIXEL_DATA: b""}, tail=opening), zeros=700 * MEGABYTE)


def hostile() -> Iterator[Hostile]:
    """Yield every object, each of a study of its own."""
    for number, (name, syntax, made) in enumerate(_objects(), start=1):
        uid = f"1.2.826.0.666.{number}"
        yield Hostile(name, uid, syntax, made(uid))
