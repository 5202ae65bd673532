"""How urgent a study was ordered, as points of priority that are added to those of its rule."""

from collections.abc import Iterable, Mapping

from dicom_ai.domain.study import Series
from dicom_ai.routing.candidate import Candidate
from dicom_ai.routing.evidence import upper_values

POINTS: Mapping[str, int] = {"STAT": 240, "URGENT": 120, "HIGH": 120, "LOW": -60}
"""RequestedProcedurePriority (0040,1003) -> points; ROUTINE, MEDIUM and what is not stated have none.

A point is worth a minute of waiting (storage/jobs.py): what is STAT goes before all routine work that came up to four
hours earlier. URGENT is no value of DICOM's, but some systems write it.
"""


def urgency(series: Iterable[Series | Candidate]) -> int:
    """Return the points of a study: those of its most urgent order."""
    stated = [POINTS[word] for one in series for word in _words(one) if word in POINTS]
    return max(stated, default=0)


def _words(series: Series | Candidate) -> tuple[str, ...]:
    return upper_values(series.header, "RequestedProcedurePriority")
