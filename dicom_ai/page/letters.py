"""Which letters can be drawn with what: DejaVu Sans has Latin, Greek and Cyrillic, Unifont Japanese; both are shipped.

Unifont's letters are 16 dots high. A smooth font of as many signs takes megabytes, and one that is left to whoever
reads a PDF is blank where it is not installed (docs/quirks.md).
"""

import gzip
from collections.abc import Mapping
from functools import cache
from importlib.resources import as_file, files
from itertools import groupby

import numpy as np
from PIL import ImageFont

FAMILY = "DejaVuSans"
JAPANESE = "Unifont"
UNREADABLE = "?"
DOTS = 16
"""Height of a Japanese letter; it is as wide, or half as wide."""

DOTS_BELOW = 2
"""Of these, below the line on which letters stand."""


def font_bytes() -> bytes:
    """Return the font of all letters but the Japanese ones, a TrueType file."""
    return files("dicom_ai.page").joinpath("font", f"{FAMILY}.ttf").read_bytes()


def runs(text: str) -> list[tuple[str, str]]:
    """Return the text cut into (font, letters); what neither font has becomes a question mark."""
    letters = [_shown(letter) for letter in text]
    return [(font, "".join(one for _, one in group)) for font, group in groupby(letters, key=lambda pair: pair[0])]


@cache
def dots(letter: str) -> np.ndarray:
    """Return a Japanese letter as bool, shape (DOTS, DOTS) or (DOTS, DOTS // 2)."""
    bits = _japanese()[letter]
    rows = np.frombuffer(bytes.fromhex(bits), np.uint8).reshape(DOTS, -1)
    return np.unpackbits(rows, axis=1).astype(bool)


def width(letters: str, size: float) -> float:
    """Return the width of Japanese letters of a size."""
    return sum(size * dots(letter).shape[1] / DOTS for letter in letters)


def _shown(letter: str) -> tuple[str, str]:
    if not letter.isprintable():
        return FAMILY, " "
    if _in_family(letter):
        return FAMILY, letter
    return (JAPANESE, letter) if letter in _japanese() else (FAMILY, UNREADABLE)


@cache
def _in_family(letter: str) -> bool:
    """Tell whether the font has a shape for a letter: one without is drawn like a letter that nobody has."""
    font = _measuring_font()
    return bytes(font.getmask(letter)) != bytes(font.getmask("\uffff")) or letter == " "


@cache
def _measuring_font() -> ImageFont.FreeTypeFont:
    with as_file(files("dicom_ai.page").joinpath("font", f"{FAMILY}.ttf")) as path:
        return ImageFont.truetype(str(path), 24)


@cache
def _japanese() -> Mapping[str, str]:
    """Return letter -> its dots, row by row in hexadecimal digits (Unifont's .hex format)."""
    packed = files("dicom_ai.page").joinpath("font", "unifont-jp.hex.gz").read_bytes()
    lines = (line.split(":") for line in gzip.decompress(packed).decode("ascii").splitlines())
    return {chr(int(code, 16)): bits for code, bits in lines}
