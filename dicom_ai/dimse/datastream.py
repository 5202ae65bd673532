"""Looks through an encoded data set without decoding it: do its lengths add up, and who is it? PS3.5 7.1, 7.5, A.4.

Values are skipped, not read, so neither the time nor the memory grows with the pixels.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Protocol

from pydicom import charset, uid

from dicom_ai.errors import NotDicom

UNDEFINED = 0xFFFFFFFF
LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""The VRs whose length has four bytes (PS3.5 table 7.1-1)."""

SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
DEEPEST = 32
LONGEST_VALUE = 1024
LONGEST_INFLATED = 1 << 28
"""Bytes a deflated data set may unpack to: its header cannot be read without unpacking the whole."""

ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXEL_DATA = 0x7FE00010

CHARACTER_SET = 0x00080005
WANTED = {
    0x00080016: "sop_class_uid",
    0x00080018: "sop_instance_uid",
    0x00080020: "study_date",
    0x00080050: "accession",
    0x00080060: "modality",
    0x00080070: "manufacturer",
    0x0008103E: "series_description",
    0x00081090: "model_name",
    0x00100010: "patient_name",
    0x00100020: "patient_id",
    0x00100021: "issuer",
    0x00100030: "birth_date",
    0x00181020: "software_versions",
    0x0020000D: "study_uid",
    0x0020000E: "series_uid",
}

UID_PATTERN = re.compile(r"[0-9]+(\.[0-9]+)*")


class Truncated(NotDicom):
    """The data set ends inside an element."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What an object says of itself: trimmed text, "" where absent."""

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_uid: str = ""
    series_uid: str = ""
    patient_name: str = ""
    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""
    accession: str = ""
    modality: str = ""
    study_date: str = ""
    manufacturer: str = ""
    model_name: str = ""
    software_versions: str = ""
    series_description: str = ""


def identify(path: Path, *, start: int, transfer_syntax_uid: str) -> Identity:
    """Return the identity of the data set that begins at byte start of a file and goes on to its end.

    Raises Truncated where the data set ends inside an element, NotDicom where its encoding is not that of the
    transfer syntax.
    """
    syntax = uid.UID(transfer_syntax_uid)
    size = path.stat().st_size - start
    with path.open("rb") as file:
        file.seek(start)
        source: _Source = _Inflated(file) if syntax.is_deflated else _Plain(file, size)
        values: dict[int, bytes] = {}
        order = "<" if syntax.is_little_endian else ">"
        _Walk(source, explicit=not syntax.is_implicit_VR, order=order, values=values).data_set()
    return _identity(values)


def is_uid(text: str) -> bool:
    """Whether text can name an object: digits and dots, at most 64 of them (leading zeros are met, and let pass)."""
    return len(text) <= 64 and UID_PATTERN.fullmatch(text) is not None


class _Source(Protocol):
    def read(self, count: int) -> bytes:
        """Return count bytes; fewer only at the end."""

    def skip(self, count: int) -> None:
        """Pass over count bytes; raises Truncated where there are fewer."""


class _Plain:
    """A file, read forward."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, count: int) -> bytes:
        data = self._file.read(min(count, self._left))
        self._left -= len(data)
        return data

    def skip(self, count: int) -> None:
        if count > self._left:
            raise Truncated(f"an element of {count} bytes begins {self._left} bytes before the end")
        self._file.seek(count, 1)
        self._left -= count


class _Inflated:
    """A deflated file (PS3.5 A.5), inflated piece by piece."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._ready = b""
        self._total = 0

    def read(self, count: int) -> bytes:
        while len(self._ready) < count:
            more = self._more()
            if not more:
                break
            self._ready += more
        data, self._ready = self._ready[:count], self._ready[count:]
        return data

    def skip(self, count: int) -> None:
        while count > 0:
            data = self.read(min(count, 1 << 16))
            if not data:
                raise Truncated(f"the inflated data set ends {count} bytes too early")
            count -= len(data)

    def _more(self) -> bytes:
        while not self._inflater.eof:
            packed = self._inflater.unconsumed_tail or self._file.read(1 << 16)
            try:
                data = self._inflater.decompress(packed, 1 << 16)
            except zlib.error as error:
                raise NotDicom("the data set cannot be inflated") from error
            self._total += len(data)
            if self._total > LONGEST_INFLATED:
                raise NotDicom(f"the data set inflates to more than {LONGEST_INFLATED} bytes")
            if data or not packed:
                return data
        return b""


class _Walk:
    """One pass over a data set; values of WANTED elements at the top level are kept."""

    def __init__(self, source: _Source, *, explicit: bool, order: str, values: dict[int, bytes]) -> None:
        self._source = source
        self._explicit = explicit
        self._values = values
        self._tag = Struct(order + "HH")
        self._implicit_header = Struct(order + "HHI")
        self._short = Struct(order + "H")
        self._long = Struct(order + "I")

    def data_set(self) -> None:
        """Pass over the whole data set."""
        count = 0
        while header := self._source.read(8):
            if len(header) < 8:
                if header.strip(b"\0") or not count:
                    raise Truncated(f"{len(header)} bytes are left where an element begins")
                break  # a few zeros at the end are met in the field, and harm nobody
            self._element(header, explicit=self._explicit, depth=0)
            count += 1
        if not count:
            raise NotDicom("the data set is empty")

    def _element(self, header: bytes, *, explicit: bool, depth: int) -> None:
        group, element = self._tag.unpack_from(header)
        tag = group << 16 | element
        if group < 0x0008:
            raise NotDicom(f"element ({group:04X},{element:04X}) has no place in a data set")
        vr, length = self._vr_and_length(header, explicit=explicit)
        if length == UNDEFINED:
            self._undefined(tag, vr, explicit=explicit, depth=depth)
        elif depth == 0 and (tag in WANTED or tag == CHARACTER_SET) and length <= LONGEST_VALUE:
            value = self._source.read(length)
            if len(value) < length:
                raise Truncated(f"the value of ({group:04X},{element:04X}) ends early")
            self._values.setdefault(tag, value)
        else:
            self._source.skip(length)

    def _vr_and_length(self, header: bytes, *, explicit: bool) -> tuple[bytes, int]:
        if not explicit:
            return b"", self._implicit_header.unpack(header)[2]
        vr = header[4:6]
        if vr in SHORT_VRS:
            return vr, self._short.unpack_from(header, 6)[0]
        if vr not in LONG_VRS:
            raise NotDicom("an element has no known VR where the transfer syntax promises one")
        length = self._source.read(4)
        if len(length) < 4:
            raise Truncated("the data set ends inside the length of an element")
        return vr, self._long.unpack(length)[0]

    def _undefined(self, tag: int, vr: bytes, *, explicit: bool, depth: int) -> None:
        if depth >= DEEPEST:
            raise NotDicom(f"sequences are nested more than {DEEPEST} deep")
        if tag == PIXEL_DATA or vr in (b"OB", b"OW"):
            self._fragments()
        elif vr in (b"SQ", b"UN", b""):
            # PS3.5 6.2.2: inside an UN of undefined length everything is implicit
            self._items(explicit=explicit and vr != b"UN", depth=depth + 1)
        else:
            raise NotDicom("an element that is no sequence has undefined length")

    def _fragments(self) -> None:
        while True:
            tag, length = self._item_header()
            if tag == SEQUENCE_END:
                return
            if tag != ITEM or length == UNDEFINED:
                raise NotDicom("the fragments of the pixel data are not items")
            self._source.skip(length)

    def _items(self, *, explicit: bool, depth: int) -> None:
        while True:
            tag, length = self._item_header()
            if tag == SEQUENCE_END:
                return
            if tag != ITEM:
                raise NotDicom("a sequence holds something that is no item")
            if length != UNDEFINED:
                self._source.skip(length)
            else:
                self._open_item(explicit=explicit, depth=depth)

    def _open_item(self, *, explicit: bool, depth: int) -> None:
        while True:
            header = self._source.read(8)
            if len(header) < 8:
                raise Truncated("the data set ends inside an item")
            group, element = self._tag.unpack_from(header)
            if group << 16 | element == ITEM_END:
                return
            self._element(header, explicit=explicit, depth=depth)

    def _item_header(self) -> tuple[int, int]:
        header = self._source.read(8)
        if len(header) < 8:
            raise Truncated("the data set ends inside a sequence")
        group, element, length = self._implicit_header.unpack(header)
        return group << 16 | element, length


def _identity(values: Mapping[int, bytes]) -> Identity:
    encodings = _encodings(values.get(CHARACTER_SET, b""))
    return Identity(**{name: _text(values.get(tag, b""), encodings) for tag, name in WANTED.items()})


def _encodings(value: bytes) -> list[str]:
    names = [name.strip() for name in value.decode("ascii", "replace").strip("\0 ").split("\\")]
    known = [name for name in names if name in charset.python_encoding]
    return [charset.python_encoding[name] for name in known] or ["iso8859"]


def _text(value: bytes, encodings: list[str]) -> str:
    try:
        decoded = charset.decode_bytes(value, encodings, set())
    except (LookupError, UnicodeError):
        decoded = value.decode("latin-1")
    return decoded.strip("\0 ")
