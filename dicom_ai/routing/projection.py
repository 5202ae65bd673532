"""From which side a radiograph was taken, by several tags that must agree.

Tags contradict each other in real archives: obliques whose ViewPosition says AP, laterals whose PatientOrientation says
L\\F. Every tag has points for a view; a view counts where two tags or more speak for it and it outweighs the others.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dicom_ai.domain.study import Header, Instance, Series
from dicom_ai.routing.evidence import Fact, said, upper_values, values

VIEWS = ("lateral", "frontal", "oblique", "axial")

_POSITIONS = {
    "LL": "lateral",
    "RL": "lateral",
    "LLD": "lateral",
    "RLD": "lateral",
    "LAT": "lateral",
    "LATERAL": "lateral",
    "AP": "frontal",
    "PA": "frontal",
    "LLO": "oblique",
    "RLO": "oblique",
    "LAO": "oblique",
    "RAO": "oblique",
    "LPO": "oblique",
    "RPO": "oblique",
    "AX": "axial",
}

_WORDS: Sequence[tuple[str, str]] = (
    ("oblique", r"obli|\bobl\b|schrag|\b[lr][ap]o\b|3 ?4|trois quarts|oblicu|foramin|斜"),
    (
        "frontal",
        r"\ba ?p\b|\bp ?a\b|frontal|antero ?post|postero ?ant|\bface\b|facial|\bfront|正面|odontoid"
        r"|open mouth|\bdens\b|transoral",
    ),
    (
        "lateral",
        r"\blat\b|later[ao]l|\blatl?\b|seitlich|\bseitl|profil|zijdelings|latero ?lat|\bll\b|\brl\b|flexion|extension"
        r"|inklination|reklination|swimmer|側面",
    ),
    ("axial", r"\baxial|axiaal|tunnel|skyline|vertex"),
)

_TEXT_KEYWORDS = (
    "SeriesDescription",
    "ProtocolName",
    "AcquisitionDeviceProcessingDescription",
    "PerformedProcedureStepDescription",
    "ScheduledProcedureStepDescription",
    "ViewName",
)


@dataclass(frozen=True, slots=True)
class _Vote:
    view: str
    points: int
    told: str


def projection_facts(series: Series) -> dict[str, Fact]:
    """Return the fact `view`: lateral, frontal, oblique, axial, mixed, or unknown where the tags do not agree."""
    views = [view_of(instance) for instance in series.instances]
    first = views[0]
    if any(view.value != first.value for view in views[1:]):
        told = ", ".join(sorted({str(view.value or "unknown") for view in views}))
        return {"view": Fact("mixed", f"the images of the series differ: {told}")}
    return {"view": first}


def view_of(instance: Instance) -> Fact:
    """Return the view of one radiograph. At least two tags must say it, and say more than the rest together."""
    votes = list(_votes(instance.header))
    if not votes:
        return Fact(None, "no tag names a view")
    points: dict[str, int] = defaultdict(int)
    tags: dict[str, int] = defaultdict(int)
    for vote in votes:
        points[vote.view] += vote.points
        tags[vote.view] += 1
    best = max(points, key=lambda view: points[view])
    told = "; ".join(vote.told for vote in votes)
    if tags[best] < 2:
        return Fact(None, f"only one tag says {best}: {told}")
    if points[best] <= sum(points.values()) - points[best]:
        return Fact(None, f"the tags contradict each other: {told}")
    return Fact(best, told)


def _votes(header: Header) -> Iterator[_Vote]:
    for value in upper_values(header, "ViewPosition"):
        if value in _POSITIONS:
            yield _Vote(_POSITIONS[value], 2, f"ViewPosition {value} ({_POSITIONS[value]})")
    for text in said(header, ("ViewCodeSequence",)):
        for view in _views_named(text.words):
            yield _Vote(view, 3, f"ViewCodeSequence {text.text!r} ({view})")
    for text in said(header, _TEXT_KEYWORDS):
        views = _views_named(text.words)
        if len(views) == 1:
            yield _Vote(views[0], 3, f"{text.keyword} {text.text!r} ({views[0]})")
    yield from _orientation_votes(header)


def _views_named(words: str) -> list[str]:
    """Return the views a text names; "lateral oblique" and "left anterior oblique" are oblique only."""
    found = [view for view, pattern in _WORDS if re.search(pattern, words)]
    return ["oblique"] if "oblique" in found else found


def _orientation_votes(header: Header) -> Iterator[_Vote]:
    """Read PatientOrientation (PS3.3 C.7.6.1.1.1): towards A or P is a lateral; L or R may be a default."""
    orientation = [value.upper() for value in values(header, "PatientOrientation")]
    if len(orientation) != 2:
        return
    letters = {value[0] for value in orientation}
    if letters & {"A", "P"} and letters & {"H", "F"}:
        yield _Vote("lateral", 2, f"PatientOrientation {orientation[0]}\\{orientation[1]} (lateral)")
    elif letters & {"L", "R"} and letters & {"H", "F"}:
        yield _Vote("frontal", 1, f"PatientOrientation {orientation[0]}\\{orientation[1]} (frontal)")
