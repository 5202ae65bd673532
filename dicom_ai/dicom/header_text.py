"""Element values as trimmed text, taken from the raw bytes: a malformed value never stops the reading of a header."""

import struct
from collections.abc import Iterable, Sequence

from pydicom.charset import decode_bytes
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from dicom_ai.domain.study import Element

_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_SINGLE_TEXT = frozenset({"LT", "ST", "UT", "UR"})
"""VRs whose value may hold a backslash and only loses trailing spaces (PS3.5 6.2)."""

_TEXT = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UC", "UI"}) | _SINGLE_TEXT
_CHARSET_TEXT = frozenset({"LO", "PN", "SH", "UC", "LT", "ST", "UT"})
_LONGEST_VALUE = 1 << 20
_ENCODING_DELIMITERS = {0x5C, 0x5E, 0x3D, 0x0A, 0x0C, 0x0D, 0x09}
"""Characters after which an ISO 2022 text is back in its first character set (PS3.5 6.1.2.5.3)."""


def header_elements(dataset: Dataset, tags: Iterable[BaseTag] | None = None) -> dict[str, Element]:
    """Return keyword -> Element for the public elements of one level; sequences and binary values are left out."""
    encodings = _encodings(dataset)
    header: dict[str, Element] = {}
    for tag in dataset.keys() if tags is None else tags:
        keyword = keyword_for_tag(tag)
        if not keyword or tag.is_private:
            continue
        element = text_element(dataset, tag, encodings)
        if element is not None:
            header[keyword] = element
    return header


def text_element(dataset: Dataset, tag: BaseTag, encodings: Sequence[str] | None = None) -> Element | None:
    """Return one element as text, or None where it is a sequence, binary, or too long to be a header value."""
    item = dataset.get_item(tag, keep_deferred=True)
    if item is None:
        return None
    vr = _vr(dataset, item)
    if vr not in _TEXT and vr not in _NUMBERS and vr != "AT":
        return None
    if isinstance(item, RawDataElement):
        return _from_bytes(item, vr, encodings or _encodings(dataset))
    return Element(vr, _trimmed(_as_texts(item), vr))


def _vr(dataset: Dataset, item: RawDataElement | DataElement) -> str:
    vr = item.VR
    if vr is None or (vr == "UN" and not item.tag.is_private):
        try:
            vr = dictionary_VR(item.tag)
        except KeyError:
            return "UN"
    if vr == "US or SS":
        signed = dataset.get_item("PixelRepresentation")
        return "SS" if signed is not None and signed.value in (1, b"\x01\x00", b"\x00\x01") else "US"
    return str(vr)


def _from_bytes(raw: RawDataElement, vr: str, encodings: Sequence[str]) -> Element | None:
    if raw.length > _LONGEST_VALUE and raw.length != 0xFFFFFFFF:
        return None
    value = raw.value or b""
    if vr in _NUMBERS:
        return Element(vr, _numbers(value, vr, little_endian=raw.is_little_endian))
    if vr == "AT":
        return Element(vr, _tags(value, little_endian=raw.is_little_endian))
    text = _decode(value, encodings) if vr in _CHARSET_TEXT else value.decode("latin-1")
    return Element(vr, _trimmed([text] if vr in _SINGLE_TEXT else text.split("\\"), vr))


def _decode(value: bytes, encodings: Sequence[str]) -> str:
    if len(encodings) == 1 or b"\x1b" not in value:
        return value.decode(encodings[0], errors="replace")
    return decode_bytes(value, encodings, _ENCODING_DELIMITERS)


def _numbers(value: bytes, vr: str, *, little_endian: bool) -> tuple[str, ...]:
    code = _NUMBERS[vr]
    count = len(value) // struct.calcsize(code)
    layout = f"{'<' if little_endian else '>'}{count}{code}"
    return tuple(_number(number) for number in struct.unpack_from(layout, value))


def _number(value: float) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _tags(value: bytes, *, little_endian: bool) -> tuple[str, ...]:
    count = len(value) // 4
    words = struct.unpack_from(f"{'<' if little_endian else '>'}{2 * count}H", value)
    return tuple(f"{words[2 * i]:04X}{words[2 * i + 1]:04X}" for i in range(count))


def _as_texts(element: DataElement) -> list[str]:
    value = element.value
    if value is None:
        return []
    values = list(value) if element.VM > 1 or isinstance(value, list | tuple) else [value]
    if element.VR == "AT":
        return [f"{int(one):08X}" for one in values]
    if element.VR in _NUMBERS:
        return [_number(one) for one in values]
    if element.VR == "PN":
        return [str(one) for one in values]
    return [str(getattr(one, "original_string", one)) for one in values]


def _trimmed(texts: Sequence[str], vr: str) -> tuple[str, ...]:
    """Strip padding; a value that is empty as a whole becomes no values."""
    if vr in _SINGLE_TEXT:
        values = tuple(text.rstrip(" \0\r\n") for text in texts)
    else:
        values = tuple(text.strip(" \0\r\n\t") for text in texts)
    return () if not any(values) else values


def _encodings(dataset: Dataset) -> list[str]:
    found = dataset.original_character_set or "iso8859"
    return [found] if isinstance(found, str) else list(found)
