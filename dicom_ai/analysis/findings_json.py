"""findings.json: what was found, for scripts, as docs/reference/findings.schema.json describes it."""

from collections.abc import Mapping, Sequence

from dicom_ai.domain.findings import Contour, Finding, Quantity
from dicom_ai.domain.model import ModelReference
from dicom_ai.measurements.cross_section import CrossSection
from dicom_ai.measurements.spinal_cord_csa import CordProfile, CordSlice
from dicom_ai.measurements.table import MEASUREMENTS

SCHEMA_VERSION = 1


def document(studies: Sequence[Mapping]) -> dict:
    """Return the whole file: one entry per study, as analysis.study makes them."""
    return {"schema_version": SCHEMA_VERSION, "research_use_only": True, "studies": list(studies)}


def model_entry(model: ModelReference) -> dict:
    """Return how a model is named in the file."""
    return {
        "name": model.name,
        "version": model.version,
        "family": model.family,
        "sha256": model.digest,
        "device": model.device,
        "notes": list(model.notes),
    }


def finding_entry(finding: Finding) -> dict:
    """Return one finding: where, its numbers with displayed names and units, and its outline."""
    return {
        "structure": finding.structure.kind.value,
        "name": finding.structure.name,
        "site": finding.site,
        "level": finding.site_level,
        "segment_number": finding.segment_number,
        "tracking_id": finding.tracking_id,
        "tracking_uid": finding.tracking_uid,
        "quality": finding.quality.value,
        "verdict": finding.verdict.value,
        "change": finding.change.value if finding.change else None,
        "notes": list(finding.notes),
        "quantities": [_quantity(quantity, site=finding.site) for quantity in finding.quantities],
        "contour": _contour(finding.contour) if finding.contour else None,
    }


def slice_entry(one: CordSlice, profile: CordProfile) -> dict:
    """Return the cord in one cross-section; numbers that may not be said are null, with the reason."""
    section = one.section if one.measured else None
    whole = None if profile.csa_withheld else section
    return {
        "position_mm": round(one.position_mm, 2),
        "centroid_mm": [round(float(x), 2) for x in one.section.centroid_mm] if one.section else None,
        "area_mm2": _said(whole, "area_mm2", 1),
        "ap_mm": None if profile.ap_withheld else _said(section, "ap_mm", 2),
        "rl_mm": _said(whole, "rl_mm", 2),
        "angle_deg": _said(section, "angle_deg", 1),
        "eccentricity": _said(whole, "eccentricity", 3),
        "solidity": _said(whole, "solidity", 3),
        "valid": whole is not None,
        "reason": one.withheld or profile.csa_withheld,
    }


def _said(section: CrossSection | None, name: str, decimals: int) -> float | None:
    return round(float(getattr(section, name)), decimals) if section else None


def _quantity(quantity: Quantity, *, site: str) -> dict:
    row = MEASUREMENTS[quantity.key]
    return {
        "key": quantity.key,
        "name": row.displayed_name(site),
        "value": quantity.value,
        "unit": row.unit,
        "reason": quantity.reason,
    }


def _contour(contour: Contour) -> dict:
    return {
        "series_uid": contour.series_uid,
        "slice_index": contour.slice_index,
        "locates_only": contour.locates_only,
        "points": [[round(float(x), 2), round(float(y), 2)] for x, y in contour.points],
    }
