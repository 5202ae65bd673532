"""Which letters can be drawn with what: DejaVu Sans (shipped) has Latin, Greek and Cyrillic; PDF readers have Japanese.

A PDF names a Japanese font that its readers bring (Adobe-Japan1, ISO 32000-1 9.7.5.2): to ship one takes megabytes.
"""

from functools import cache
from importlib.resources import as_file, files
from itertools import groupby

from PIL import ImageFont

FAMILY = "DejaVuSans"
JAPANESE = "HeiseiKakuGo-W5"
UNREADABLE = "?"


def font_bytes() -> bytes:
    """Return the shipped font, a TrueType file."""
    return files("dicom_ai.page").joinpath("font", f"{FAMILY}.ttf").read_bytes()


def runs(text: str, *, japanese: bool) -> list[tuple[str, str]]:
    """Return the text cut into (font, letters); what neither font has becomes a question mark.

    japanese: whether the surface can show the Japanese font.
    """
    letters = [_shown(letter, japanese=japanese) for letter in text]
    return [(font, "".join(one for _, one in group)) for font, group in groupby(letters, key=lambda pair: pair[0])]


def _shown(letter: str, *, japanese: bool) -> tuple[str, str]:
    if not letter.isprintable():
        return FAMILY, " "
    if _in_family(letter):
        return FAMILY, letter
    return (JAPANESE, letter) if japanese and _is_japanese(letter) else (FAMILY, UNREADABLE)


@cache
def _in_family(letter: str) -> bool:
    """Tell whether the shipped font has a shape for a letter: one without is drawn like a letter that nobody has."""
    font = _measuring_font()
    return bytes(font.getmask(letter)) != bytes(font.getmask("\uffff")) or letter == " "


@cache
def _measuring_font() -> ImageFont.FreeTypeFont:
    with as_file(files("dicom_ai.page").joinpath("font", f"{FAMILY}.ttf")) as path:
        return ImageFont.truetype(str(path), 24)


def _is_japanese(letter: str) -> bool:
    try:
        letter.encode("euc_jp")
    except UnicodeEncodeError:
        return False
    return True
