"""What becomes of every finding: it is reported, reported with a warning, or held until a person has looked at it.

A check looks at one measured series and yields its doubts; the gravest doubt about a finding is its verdict. To add a
check: a function here, a row in CHECKS, and what an administrator may set of it in Thresholds and settings.Findings.

    series measured -> CHECKS -> doubts -> findings with verdict, warning and the reason in words
                                       \\-> any "hold": nothing of the run leaves until a person decides
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from dicom_ai.analysis.measure import Measured
from dicom_ai.anatomy.levels import LEVELS, level_index, levels_below
from dicom_ai.domain.findings import Finding, Quality, StructureKind
from dicom_ai.domain.verdict import USUAL, Thresholds, Verdict
from dicom_ai.measurements.sites import WHOLE
from dicom_ai.routing.facts import series_facts

_GRAVITY = {verdict: place for place, verdict in enumerate(Verdict)}

REGION_LEVELS = {
    "cervical": frozenset(LEVELS[: level_index("T5") + 1]),
    "thoracic": frozenset(LEVELS[level_index("C5") : level_index("L3") + 1]),
    "lumbar": frozenset(LEVELS[level_index("T9") :]),
}
"""Spine region of the header -> levels of which at least one is to be expected in its images."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A doubt about a series. site: of the finding in doubt; "" for every finding that names a level."""

    verdict: Verdict
    series_uid: str
    site: str
    reason: str

    @property
    def text(self) -> str:
        """The reason, with the site in doubt where it is one."""
        return f"{self.site}: {self.reason}" if self.site else self.reason

    def concerns(self, finding: Finding) -> bool:
        """Tell whether a finding of the series is in doubt."""
        return finding.site == self.site if self.site else finding.site_level is not None


@dataclass(frozen=True, slots=True)
class Judged:
    """The series of a study with a verdict on every finding, and the doubts, the gravest first."""

    measured: tuple[Measured, ...]
    doubts: tuple[Doubt, ...]

    @property
    def verdict(self) -> Verdict:
        """The gravest verdict of the study."""
        return self.doubts[0].verdict if self.doubts else Verdict.REPORT


def judge(measured: Sequence[Measured], thresholds: Thresholds = USUAL) -> Judged:
    """Put every finding of a study through every check."""
    doubts: list[Doubt] = []
    judged = []
    for item in measured:
        own = [doubt for check in CHECKS.values() for doubt in check(item, thresholds)]
        own = [doubt for doubt in own if doubt.verdict is not Verdict.REPORT]
        judged.append(replace(item, findings=tuple(_with_verdict(finding, own) for finding in item.findings)))
        doubts += own
    return Judged(tuple(judged), tuple(sorted(doubts, key=lambda doubt: -_GRAVITY[doubt.verdict])))


def repeated_level(item: Measured, thresholds: Thresholds) -> Iterator[Doubt]:
    """A level occurs twice, or above one that is higher: the labels cannot all be right."""
    names = _levels(item)
    wrong = [lower for upper, lower in pairwise(names) if level_index(lower) <= level_index(upper)]
    if wrong:
        reason = f"levels are repeated or out of order: {', '.join(names)}"
        yield Doubt(thresholds.repeated_level, item.analysis.source.series_uid, "", reason)


def missing_level(item: Measured, thresholds: Thresholds) -> Iterator[Doubt]:
    """A level between two found ones is left out: what lies below may be named wrongly."""
    names = _levels(item)
    gaps = [
        f"{upper} and {lower}"
        for upper, lower in pairwise(names)
        if level_index(lower) > level_index(upper) and lower not in [level for level, _ in levels_below(upper)]
    ]
    if gaps:
        reason = f"a level is missing between {', '.join(gaps)}"
        yield Doubt(thresholds.missing_level, item.analysis.source.series_uid, "", reason)


def body_part(item: Measured, thresholds: Thresholds) -> Iterator[Doubt]:
    """No level that was found belongs to the part of the spine that the header names."""
    names, series = _levels(item), item.analysis.series
    if not names or series is None:
        return
    region = str(series_facts(series)["spine_region"].value)
    if region in REGION_LEVELS and not REGION_LEVELS[region] & set(names):
        reason = f"levels {names[0]} to {names[-1]} were found where the header names the {region} spine"
        yield Doubt(thresholds.body_part, series.series_uid, "", reason)


def area(item: Measured, thresholds: Thresholds) -> Iterator[Doubt]:
    """A mean CSA is outside of what a living cord has."""
    limits = ((Verdict.HOLD, thresholds.area_hold_mm2), (Verdict.WARN, thresholds.area_warn_mm2))
    for finding in item.findings:
        mean = _mean_csa(finding)
        for verdict, (least, most) in limits:
            if mean is not None and not least <= mean <= most:
                reason = f"the mean CSA of {mean:.1f} mm2 is outside of {least:g} to {most:g} mm2"
                yield Doubt(verdict, finding.series_uid, finding.site, reason)
                break


def jump(item: Measured, thresholds: Thresholds) -> Iterator[Doubt]:
    """The CSA jumps from one slice to the next: the mask may have left the cord."""
    if item.profile is None or item.profile.csa_withheld:
        return
    areas = item.profile.areas_mm2
    if areas.size < 2 or not np.isfinite(areas).any():
        return
    with np.errstate(invalid="ignore", divide="ignore"):
        change = 200 * np.abs(np.diff(areas)) / (areas[1:] + areas[:-1])
    if not np.isfinite(change).any():
        return
    place = int(np.nanargmax(change))
    verdict = _by_limits(float(change[place]), thresholds)
    where = f"at {item.profile.slices[place].position_mm:.0f} mm below the top of the cord seen"
    reason = f"the CSA changes by {change[place]:.0f} % from one slice to the next, {where}"
    yield Doubt(verdict, item.analysis.source.series_uid, WHOLE, reason)


CHECKS: dict[str, Callable[[Measured, Thresholds], Iterator[Doubt]]] = {
    "repeated_level": repeated_level,
    "missing_level": missing_level,
    "body_part": body_part,
    "area": area,
    "jump": jump,
}
"""Name -> check; docs/results.md explains each."""


def _by_limits(change_percent: float, thresholds: Thresholds) -> Verdict:
    if change_percent > thresholds.jump_hold_percent:
        return Verdict.HOLD
    return Verdict.WARN if change_percent > thresholds.jump_warn_percent else Verdict.REPORT


def _levels(item: Measured) -> list[str]:
    return [label.level for label in item.levels if label.level]


def _mean_csa(finding: Finding) -> float | None:
    if finding.structure.kind is not StructureKind.SPINAL_CORD:
        return None
    return next((item.value for item in finding.quantities if item.key == "csa_mean"), None)


def _with_verdict(finding: Finding, doubts: Sequence[Doubt]) -> Finding:
    """Return a finding with the gravest verdict on it, which warns, and with the reasons among its notes."""
    own = [doubt for doubt in doubts if doubt.concerns(finding)]
    if not own:
        return finding
    verdict = max((doubt.verdict for doubt in own), key=lambda one: _GRAVITY[one])
    quality = Quality.WARN if finding.quality is Quality.PASS else finding.quality
    reasons = tuple(dict.fromkeys(doubt.reason for doubt in own))
    return replace(finding, verdict=verdict, quality=quality, notes=(*finding.notes, *reasons))
