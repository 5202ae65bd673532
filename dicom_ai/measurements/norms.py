"""CSA of healthy adults, and when a patient's may be set beside it."""

import json
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import numpy as np

from dicom_ai.domain.model import ModelOffset

TABLE = "csa_norms.json"
CONTRAST = "T2w"
NOT_STATED = "not stated"


@dataclass(frozen=True, slots=True)
class Cohort:
    """Healthy people measured at one level.

    values_mm2: their CSA, ascending. segmenter: what drew the masks. ages: youngest and oldest, in years.
    """

    name: str
    level: str
    segmenter: str
    citation: str
    ages: tuple[int, int]
    values_mm2: tuple[float, ...]
    mean_mm2: float
    sd_mm2: float

    @property
    def n(self) -> int:
        """How many people."""
        return len(self.values_mm2)

    def described(self) -> str:
        """Return what must stand beside every comparison with this cohort."""
        youngest, oldest = self.ages
        return f"{self.name}, n={self.n}, ages {youngest}-{oldest}, {CONTRAST}, segmenter {self.segmenter}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A CSA beside a cohort. percentile: share of the cohort below, ties counted half, 0..100."""

    cohort: Cohort
    z: float
    percentile: float


@dataclass(frozen=True, slots=True)
class NormalRange:
    """What the middle 95 % of a cohort, and its mean, are as a model with a stated offset would read them."""

    low_mm2: float
    mean_mm2: float
    high_mm2: float
    cohort: Cohort


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why a CSA may not be set beside norms."""

    reason: str


@dataclass(frozen=True, slots=True)
class NormContext:
    """What decides whether norms hold for an image.

    contrast: "T2w", ..., "" where not known. age_years: None where not known. offset: None where the card states none.
    """

    contrast: str
    age_years: float | None
    offset: ModelOffset | None


def compare(csa_mm2: float, level: str, context: NormContext) -> Comparison | Withheld:
    """Set a mean CSA beside the healthy cohort of its level, or say why not; nothing is ever extrapolated.

    level: "C3", ..., or "C2-C3" for both pooled.
    """
    cohort = cohorts().get(level)
    reason = _why_not(cohort, context) if cohort else _unknown(level)
    if reason or cohort is None or context.offset is None:
        return Withheld(reason)
    value = csa_mm2 - context.offset.offset_mm2
    below = bisect_left(cohort.values_mm2, value)
    ties = bisect_right(cohort.values_mm2, value) - below
    return Comparison(cohort, (value - cohort.mean_mm2) / cohort.sd_mm2, 100 * (below + ties / 2) / cohort.n)


def normal_range(level: str, context: NormContext) -> NormalRange | Withheld:
    """Return what the middle 95 % of the level's cohort read, as this model would read them, or why not."""
    cohort = cohorts().get(level)
    reason = _why_not(cohort, context) if cohort else _unknown(level)
    if reason or cohort is None or context.offset is None:
        return Withheld(reason)
    low, high = np.percentile(cohort.values_mm2, (2.5, 97.5)) + context.offset.offset_mm2
    return NormalRange(float(low), cohort.mean_mm2 + context.offset.offset_mm2, float(high), cohort)


def _unknown(level: str) -> str:
    return f"no healthy cohort is known for {level}: norms reach from C1 to T10"


def _why_not(cohort: Cohort, context: NormContext) -> str:
    """Return why a measurement cannot be set beside a cohort, or ""."""
    youngest, oldest = cohort.ages
    if context.contrast != CONTRAST:
        return f"norms hold for {CONTRAST} only; this contrast is {context.contrast or 'not known'}"
    if context.age_years is None:
        return f"the patient's age is not known; norms hold for ages {youngest}-{oldest}"
    if not youngest <= context.age_years < oldest + 1:
        return f"the patient's age is outside the cohort's {youngest}-{oldest}"
    return _why_not_by_model(cohort, context.offset)


def _why_not_by_model(cohort: Cohort, offset: ModelOffset | None) -> str:
    """Return why what the model reads cannot be set beside what a cohort's segmenter reads, or ""."""
    if cohort.segmenter == NOT_STATED:
        return f"the segmenter of the cohort {cohort.name} is not stated: no offset can be known"
    if offset is None:
        return f"the model card states no offset of this model against the cohort's segmenter ({cohort.segmenter})"
    if offset.segmenter != cohort.segmenter:
        return f"the model's offset is against {offset.segmenter}; the cohort's segmenter is {cohort.segmenter}"
    return ""


@cache
def cohorts() -> MappingProxyType[str, Cohort]:
    """Return the cohort of every level that has one: C1 to T10, and C2-C3 pooled."""
    content = json.loads(files("dicom_ai.measurements").joinpath(TABLE).read_text(encoding="utf-8"))
    return MappingProxyType({entry["level"]: _cohort(entry, content) for entry in content["levels"]})


def _cohort(entry: dict, content: dict) -> Cohort:
    about = content["cohorts"][entry["cohort"]]
    return Cohort(
        name=entry["cohort"],
        level=entry["level"],
        segmenter=about["segmenter"],
        citation=content["citation"],
        ages=(about["ages"][0], about["ages"][1]),
        values_mm2=tuple(entry["values_mm2"]),
        mean_mm2=entry["mean_mm2"],
        sd_mm2=entry["sd_mm2"],
    )
