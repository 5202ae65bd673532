"""Findings of the cord with their place among healthy people, or the reason why none is given."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dicom_ai.domain.findings import Finding, StructureKind
from dicom_ai.domain.model import ModelOffset
from dicom_ai.measurements.norms import NormContext, Withheld, compare
from dicom_ai.measurements.sites import POOLED
from dicom_ai.measurements.table import quantity

POOLED_COHORT = "C2-C3"


@dataclass(frozen=True, slots=True)
class NormedFindings:
    """notes: why findings of levels have no comparison, each reason once with the sites that it holds for."""

    findings: tuple[Finding, ...] = field(repr=False)
    notes: tuple[str, ...]


def with_norms(findings: Sequence[Finding], context: NormContext) -> NormedFindings:
    """Return the findings; those of a vertebral level that have a mean CSA with z-score and percentile where they hold.

    The cohort stands in the finding's notes. Findings by position and of the whole cord are returned as they are.
    """
    normed: list[Finding] = []
    reasons: dict[str, list[str]] = {}
    for finding in findings:
        level, mean = _level(finding), _mean_csa(finding)
        if level is None or mean is None:
            normed.append(finding)
            continue
        compared = compare(mean, level, context)
        if isinstance(compared, Withheld):
            reasons.setdefault(compared.reason, []).append(level)
            normed.append(finding)
            continue
        given = (quantity("csa_z", compared.z), quantity("csa_percentile", compared.percentile))
        note = f"compared with {compared.cohort.described()} ({compared.cohort.citation}){_corrected(context.offset)}"
        normed.append(replace(finding, quantities=finding.quantities + given, notes=(*finding.notes, note)))
    notes = tuple(f"no comparison with healthy people: {reason} ({', '.join(at)})" for reason, at in reasons.items())
    return NormedFindings(tuple(normed), notes)


def _level(finding: Finding) -> str | None:
    """Return the level whose cohort a finding is compared with."""
    if finding.structure.kind is not StructureKind.SPINAL_CORD:
        return None
    return POOLED_COHORT if finding.site == POOLED else finding.site_level


def _mean_csa(finding: Finding) -> float | None:
    return next((item.value for item in finding.quantities if item.key == "csa_mean"), None)


def _corrected(offset: ModelOffset | None) -> str:
    if offset is None:
        return ""
    return f"; {offset.offset_mm2:+.1f} mm2 that this model reads more, on {offset.images} images, are taken off first"
