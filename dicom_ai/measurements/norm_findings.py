"""Findings of the cord with their place among healthy people, or with the reason why none is given."""

from collections.abc import Sequence
from dataclasses import replace

from dicom_ai.domain.findings import Finding, Quantity, StructureKind
from dicom_ai.measurements.norms import NormContext, Withheld, compare
from dicom_ai.measurements.sites import POOLED
from dicom_ai.measurements.table import quantity

POOLED_COHORT = "C2-C3"
NORM_KEYS = ("csa_z", "csa_percentile")


def with_norms(findings: Sequence[Finding], context: NormContext) -> tuple[Finding, ...]:
    """Return the findings; those of a vertebral level that have a mean CSA with z-score and percentile, or the reason.

    The cohort stands in the notes. Findings by position and of the whole cord are returned as they are.
    """
    return tuple(_with_norm(finding, context) for finding in findings)


def _with_norm(finding: Finding, context: NormContext) -> Finding:
    level = POOLED_COHORT if finding.site == POOLED else finding.site_level
    mean = next((item.value for item in finding.quantities if item.key == "csa_mean"), None)
    if finding.structure.kind is not StructureKind.SPINAL_CORD or not level or mean is None:
        return finding
    compared = compare(mean, level, context)
    if isinstance(compared, Withheld):
        missing = tuple(Quantity(key, None, compared.reason) for key in NORM_KEYS)
        return replace(
            finding,
            quantities=finding.quantities + missing,
            notes=(*finding.notes, f"no comparison with healthy people: {compared.reason}"),
        )
    given = (quantity("csa_z", compared.z), quantity("csa_percentile", compared.percentile))
    note = f"compared with {compared.cohort.described()} ({compared.cohort.citation})"
    return replace(finding, quantities=finding.quantities + given, notes=(*finding.notes, note))
