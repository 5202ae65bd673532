"""Values as rules compare them: by VR (PS3.5 6.2), text trimmed and case-blind unless told."""

import re
from datetime import date

from dicom_ai.routing.keywords import NUMERIC_VRS

Scalar = str | float | bool
"""What a rule may hold as one value, and what a fact may be."""

_DAYS_PER_UNIT = {"Y": 365.25, "M": 365.25 / 12, "W": 7.0, "D": 1.0}
_DATE = re.compile(r"(\d{4})[-.]?(\d{2})[-.]?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(?:(\d{2}):?(?:(\d{2})(\.\d+)?)?)?")


def key(vr: str, value: Scalar, *, case: bool = False) -> float | str | None:
    """Return the value in the form in which this VR is compared, or None where it cannot be read.

    Numbers compare as numbers, AS as years, DA and DT as days, TM as seconds, anything else as text.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if vr in NUMERIC_VRS:
        return _number(value)
    if vr in _READERS:
        return _READERS[vr](value)
    text = _plain(value)
    return text if case else text.casefold()


def _plain(value: Scalar) -> str:
    """Return text without padding; a whole number without its decimal point."""
    return f"{value:g}" if isinstance(value, float | int) else " ".join(value.split())


def _number(value: Scalar) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _years(value: Scalar) -> float | None:
    if not isinstance(value, str):
        return float(value)
    match = re.fullmatch(r"(\d{1,4})([DWMY])", value.strip().upper())
    return int(match[1]) * _DAYS_PER_UNIT[match[2]] / _DAYS_PER_UNIT["Y"] if match else _number(value)


def _days(value: Scalar) -> float | None:
    match = _DATE.match(_plain(value))
    try:
        return float(date(int(match[1]), int(match[2]), int(match[3])).toordinal()) if match else None
    except ValueError:
        return None


def _day_and_time(value: Scalar) -> float | None:
    text = _plain(value)
    day, seconds = _days(text), _seconds(text[8:14]) if len(text) > 8 else 0.0
    return None if day is None else day + (seconds or 0.0) / 86400


def _seconds(value: Scalar) -> float | None:
    match = _TIME.fullmatch(_plain(value))
    if not match:
        return None
    return int(match[1]) * 3600 + int(match[2] or 0) * 60 + int(match[3] or 0) + float(match[4] or 0)


_READERS = {"AS": _years, "DA": _days, "DT": _day_and_time, "TM": _seconds}
