"""The DICOM keywords a rule may name, with their VR (PS3.6 chapter 6), without a toolkit.

keywords.txt holds one "Keyword VR" per line; a test holds it against the toolkit's dictionary.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

NUMERIC_VRS = frozenset({"DS", "IS", "FL", "FD", "US", "SS", "UL", "SL", "UV", "SV"})
"""VRs compared as numbers."""

ORDERED_VRS = NUMERIC_VRS | {"AS", "DA", "DT", "TM"}
"""VRs with an order, on which a range makes sense."""


@cache
def vr_by_keyword() -> Mapping[str, str]:
    """Return keyword -> VR; where the standard allows several, they are joined by "/"."""
    text = files("dicom_ai.routing").joinpath("keywords.txt").read_text(encoding="ascii")
    return dict(line.split(" ", 1) for line in text.splitlines())


def is_ordered(keyword: str) -> bool:
    """Tell whether values of this keyword can be put in order."""
    return all(vr in ORDERED_VRS for vr in vr_by_keyword()[keyword].split("/"))
