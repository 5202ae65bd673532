"""Which of several series of one acquisition a rule takes.

A scanner often makes an acquisition several times: repeated after motion, with and without distortion correction
(Siemens ND and DIS3D), before and after a contrast agent. Measuring all of them would give a study three areas for one
level. Series compete where plane, contrast family, spine region, flip angle, MT pulse and description (without words
such as _ND, DIS3D, repeat, post, Gd, fs) agree, echo and repetition times agree within a quarter, and where they show
the same part of the patient. Different contrasts and planes never compete, and neither do the stations of a whole
spine: the cord model takes the sagittal T2, the axial T2* and the MT pair of one neck each once. Of those that compete
one is taken: without contrast agent before with, then corrected before uncorrected, then more slices, finer pixels, and
of equal ones the later, because repeats are made for a reason.
"""

import re
from collections.abc import Mapping, Sequence

from dicom_ai.routing.candidate import Candidate
from dicom_ai.routing.evidence import number, said, upper_values
from dicom_ai.routing.sequences import times_ms

_LEAST_OVERLAP = 0.5
_TIME_TOLERANCE = 0.25
_VARIANT_WORDS = re.compile(
    r"\b(nd|dis2d|dis3d|norm|nonorm|repeat|rep|rpt|wdh|wiederholung|again|motion|new|neu|pre|post|gd|gad\w*|ce|km|c|"
    r"dotarem|mdc|kontrast|contrast|with|without|fs|fatsat|fat|sat|rr|\d)\b"
)


def losers(candidates: Sequence[Candidate]) -> Mapping[str, str]:
    """Return series UID -> why another series of the same acquisition was taken."""
    beaten: dict[str, str] = {}
    for group in _groups(candidates):
        best = max(group, key=_rank)
        for candidate in group:
            if candidate is not best:
                beaten[candidate.series_uid] = _why(best, candidate)
    return beaten


def _groups(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    groups: list[list[Candidate]] = []
    for candidate in candidates:
        for group in groups:
            if all(_compete(candidate, other) for other in group):
                group.append(candidate)
                break
        else:
            groups.append([candidate])
    return groups


def _compete(one: Candidate, other: Candidate) -> bool:
    if _study_part(one) != _study_part(other) or not _same_times(one, other):
        return False
    return _overlap(one, other)


def _study_part(candidate: Candidate) -> tuple[object, ...]:
    """Return what two series of one acquisition have in common."""
    header, facts = candidate.header, candidate.facts
    pulse = "MT" in upper_values(header, "ScanOptions")
    described = tuple(_plain(text.words) for text in said(header, ("SeriesDescription",)))
    posture_and_view = (facts["view"].value, number(header, "FlipAngle"))
    return (
        candidate.study_uid,
        facts["plane"].value,
        facts["contrast"].value,
        facts["spine_region"].value,
        pulse,
        described,
        *posture_and_view,
    )


def _plain(words: str) -> str:
    return " ".join(_VARIANT_WORDS.sub(" ", words).split())


def _same_times(one: Candidate, other: Candidate) -> bool:
    """Tell whether echo and repetition times agree within a quarter, where both are known."""
    pairs = zip(times_ms(one.header), times_ms(other.header), strict=True)
    return all(
        first is None or second is None or abs(first - second) <= _TIME_TOLERANCE * max(first, second)
        for first, second in pairs
    )


def _overlap(one: Candidate, other: Candidate) -> bool:
    """Tell whether two series show mostly the same part from feet to head; without positions it is assumed."""
    first, second = one.reach_mm, other.reach_mm
    if first is None or second is None:
        return True
    shared = min(first[1], second[1]) - max(first[0], second[0])
    shorter = min(first[1] - first[0], second[1] - second[0])
    return shared >= _LEAST_OVERLAP * shorter


def _rank(candidate: Candidate) -> tuple[float, ...]:
    """Return what makes a series better, the most important first."""
    facts, header = candidate.facts, candidate.header
    spacing = facts["in_plane_spacing_mm"].value
    return (
        float(facts["contrast_agent"].value is not True),
        float(_corrected(candidate)),
        float(facts["slices"].value or 0),
        -float(spacing) if isinstance(spacing, float) else 0.0,
        number(header, "SeriesNumber") or 0.0,
        number(header, "AcquisitionTime") or 0.0,
    )


def _corrected(candidate: Candidate) -> int:
    """Return how well geometric distortion is corrected: 2 in three directions, 1 in two, 0 not."""
    kinds = upper_values(candidate.header, "ImageType")
    return 2 if "DIS3D" in kinds else 1 if "DIS2D" in kinds else 0


_REASONS = (
    "it was made without contrast agent",
    "its distortion is corrected better",
    "it has more slices",
    "its pixels are finer",
    "it is the later one",
    "it is the later one",
)


def _why(best: Candidate, beaten: Candidate) -> str:
    for reason, better, worse in zip(_REASONS, _rank(best), _rank(beaten), strict=True):
        if better != worse:
            return f"series {best.series_uid} of the same acquisition was taken: {reason}"
    return f"series {best.series_uid} of the same acquisition came first"
