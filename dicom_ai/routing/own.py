"""Whether a series is one of this product's own results, or anybody's: results are never routed.

The node knows its own objects by their UIDs when they come back. A copy that was anonymised has other UIDs, one that
was re-encoded has other bytes, and either may have lost some of what names its maker. So every mark that a result
carries counts alone, and results are told by their kind as well.

The listener looks for the marks too (pipeline/receive.py), so that a copy re-opens no study and resets no timer. It has
those at the top level of a data set only; the others stand in sequences, into which nobody looks while a sender waits.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dicom_ai.domain.result import MANUFACTURER
from dicom_ai.routing.candidate import Candidate
from dicom_ai.routing.evidence import values

RESULT_MODALITIES = frozenset({"SEG", "SR", "PR", "KO", "PM", "DOC", "REG", "FID", "AU", "RTSTRUCT"})

RESULT_CLASSES: Sequence[tuple[str, str]] = (
    ("1.2.840.10008.5.1.4.1.1.66.", "a segmentation, registration or fiducials"),
    ("1.2.840.10008.5.1.4.1.1.88.", "a structured report or key object selection"),
    ("1.2.840.10008.5.1.4.1.1.11.", "a presentation state"),
    ("1.2.840.10008.5.1.4.1.1.104.", "an encapsulated document"),
    ("1.2.840.10008.5.1.4.1.1.30", "a parametric map"),
    ("1.2.840.10008.5.1.4.1.1.481.3", "an RT structure set"),
)
"""Beginning of a SOP class UID -> what it is; a copy keeps its class also where its Modality was changed."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A header value by which this product's results are known, wherever it occurs."""

    keyword: str
    pattern: re.Pattern[str]


_NAME = re.compile(rf"{MANUFACTURER}\b".replace("_", "[-_ ]?"), re.IGNORECASE)

MARKS: Sequence[Mark] = (
    Mark("Manufacturer", _NAME),
    Mark("ManufacturerModelName", _NAME),
    Mark("SoftwareVersions", _NAME),
    Mark("ContributingManufacturers", _NAME),
    Mark("CodingSchemes", re.compile("99DICOMAI")),
    Mark("SeriesDescription", re.compile(r"^AI .*\(RUO\)")),
)
"""Any of them is enough."""


def mark_in(values_of: Callable[[str], Sequence[str]]) -> str:
    """Return the first mark of this product, as keyword and value; "" where there is none.

    values_of: keyword -> the values that stand there.
    """
    for mark in MARKS:
        for value in values_of(mark.keyword):
            if mark.pattern.search(value):
                return f"{mark.keyword} {value!r}"
    return ""


def own_or_result(series: Candidate) -> str:
    """Return why a series is a result rather than an acquisition, or the empty string."""
    mark = mark_in(lambda keyword: values(series.header, keyword))
    if mark:
        return f"made by this product ({mark})"
    if series.modality.upper() in RESULT_MODALITIES:
        return f"objects of modality {series.modality} are results, not acquisitions"
    for beginning, what in RESULT_CLASSES:
        if series.sop_class_uid.startswith(beginning):
            return f"the series is {what}: a result, not an acquisition"
    return ""
