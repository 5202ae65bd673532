"""What becomes of a finding, and from where on it is in doubt."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What becomes of a finding, the gravest last. warn: it is reported with a warning. hold: a person looks first."""

    REPORT = "report"
    WARN = "warn"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on a finding is in doubt. The first of a pair is the smallest that passes, the second the largest.

    missing_level, repeated_level, body_part: what becomes of findings by level when a level is left out, when one
    occurs twice, or when none belongs to the part of the spine that the header names. area_warn_mm2, area_hold_mm2:
    mean CSA of a site. jump_warn_percent, jump_hold_percent: change of the CSA from one slice to the next.
    """

    missing_level: Verdict = Verdict.HOLD
    repeated_level: Verdict = Verdict.HOLD
    body_part: Verdict = Verdict.HOLD
    area_warn_mm2: tuple[float, float] = (25.0, 105.0)
    area_hold_mm2: tuple[float, float] = (10.0, 150.0)
    jump_warn_percent: float = 25.0
    jump_hold_percent: float = 80.0


USUAL = Thresholds()
