"""A series as rules see it: what was read and derived when its images were looked at, and none of its images.

It can be kept and read back, so that rules can be tried on series whose images have been deleted since.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dicom_ai.domain.study import Element, Header, Series
from dicom_ai.routing.evidence import Fact
from dicom_ai.routing.facts import FACTS, Facts, series_facts
from dicom_ai.routing.geometry import head_feet_range
from dicom_ai.routing.values import Scalar

_NOT_DERIVED = Fact(None, "was not derived when the series came")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A series as rules see it. reach_mm: lowest and highest z (LPS) of its frames; None where not known."""

    study_uid: str
    series_uid: str
    sop_class_uid: str
    header: Header = field(repr=False)
    facts: Facts = field(repr=False)
    reach_mm: tuple[float, float] | None

    @property
    def modality(self) -> str:
        """Modality (0008,0060), or the empty string."""
        return self.text("Modality")

    def text(self, keyword: str) -> str:
        """Return the values of an element as one text; "" where it is absent."""
        element = self.header.get(keyword)
        return element.text if element else ""


def candidate_of(series: Series) -> Candidate:
    """Return what rules see of a series."""
    return Candidate(
        study_uid=series.study_uid,
        series_uid=series.series_uid,
        sop_class_uid=series.instances[0].sop_class_uid,
        header=series.header,
        facts=series_facts(series),
        reach_mm=head_feet_range(series),
    )


def kept_header(candidate: Candidate) -> dict[str, list[str]]:
    """Return the header in the form in which it is kept: keyword -> [VR, value, ...]."""
    return {keyword: [element.vr, *element.values] for keyword, element in candidate.header.items()}


def kept_rest(candidate: Candidate) -> dict[str, Any]:
    """Return what is kept beside the header."""
    return {
        "sop_class_uid": candidate.sop_class_uid,
        "reach_mm": [_finite(z) for z in candidate.reach_mm or ()],
        "facts": {name: [_finite(fact.value), fact.evidence] for name, fact in candidate.facts.by_name.items()},
    }


def read_kept(study_uid: str, series_uid: str, header: Mapping[str, Any], rest: Mapping[str, Any]) -> Candidate:
    """Return a series from what was kept of it. A fact of a later release is unknown."""
    reach, facts = rest["reach_mm"], rest["facts"]
    return Candidate(
        study_uid=study_uid,
        series_uid=series_uid,
        sop_class_uid=rest["sop_class_uid"],
        header=_KeptHeader(header),
        facts=Facts({name: Fact(*facts[name]) if name in facts else _NOT_DERIVED for name in FACTS}),
        reach_mm=(reach[0], reach[1]) if reach and None not in reach else None,
    )


class _KeptHeader(Mapping[str, Element]):
    """A header in the form in which it is kept. Rules ask few of its elements, so that none is made before."""

    def __init__(self, kept: Mapping[str, Any]) -> None:
        self._kept = kept

    def __getitem__(self, keyword: str) -> Element:
        vr, *values = self._kept[keyword]
        return Element(vr, tuple(values))

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def _finite(value: Scalar | None) -> Scalar | None:
    """Return a value as JSON can hold it: a position of 1e999 becomes unknown."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
