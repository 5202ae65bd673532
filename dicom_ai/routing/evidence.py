"""A fact and what speaks for it, and how facts read a header."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from dicom_ai.domain.study import Header
from dicom_ai.routing.values import Scalar


@dataclass(frozen=True, slots=True)
class Fact:
    """What was derived about a series. value: None for unknown. evidence: where it comes from, for people."""

    value: Scalar | None
    evidence: str


@dataclass(frozen=True, slots=True)
class Said:
    """A text of the header. keyword: where it stands. text: as it stands there. words: normalised for searching."""

    keyword: str
    text: str
    words: str


def values(header: Header, keyword: str) -> tuple[str, ...]:
    """Return the values of an element; none where it is absent or empty."""
    element = header.get(keyword)
    return tuple(value for value in element.values if value) if element else ()


def upper_values(header: Header, keyword: str) -> tuple[str, ...]:
    """Return the values in upper case. Converters join values with "_" (GR_IR): those are taken apart too."""
    return tuple(part.upper() for value in values(header, keyword) for part in re.split(r"[\\/_]", value) if part)


def number(header: Header, keyword: str) -> float | None:
    """Return the first value as a number; None where there is none."""
    try:
        return float(values(header, keyword)[0])
    except (IndexError, ValueError):
        return None


def said(header: Header, keywords: Sequence[str]) -> list[Said]:
    """Return the texts of some elements that are there."""
    texts = ((keyword, " ".join(values(header, keyword))) for keyword in keywords)
    return [Said(keyword, text, normalised(text)) for keyword, text in texts if text]


def normalised(text: str) -> str:
    """Return text without case, accents and punctuation: "Halswirbelsäule_T2*" is "halswirbelsaule t2"."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join(re.sub(r"[\W_]+", " ", plain).split())
