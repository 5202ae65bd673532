"""Every number this product reports, once: SR, CSV, findings.json and docs/measurements.md take their words from here.

To add a measurement: add a row here (of vertebrae and discs: in vertebra_rows.py) and a function that computes it;
dicom/codes.py codes the row's concept.
"""

import math
from types import MappingProxyType

from dicom_ai.domain.findings import Quantity
from dicom_ai.measurements.definition import MeasurementDefinition
from dicom_ai.measurements.vertebra_rows import VERTEBRA_ROWS

_CSA_VALID = (
    "voxels across the cord are at most 1.5 mm in both directions; at least 3 slices of the site can be measured: "
    "not within 2 mm of the mask's ends (at least one slice), not where it fades out there, "
    "not touching the border of the image, not near a signal void as metal makes it, not below the conus; "
    "no axial series of the study measures the site where this one is not axial"
)
_SHAPE_VALID = "as for CSA"
_AREA = "sum of soft values x pixel area x cosine between slice normal and cord, per slice"
_SCT = "SCT process_seg (De Leener 2017, doi 10.1016/j.neuroimage.2016.10.009)"
_SOFT = "soft mask: Bedard 2025, arXiv 2310.15402; exact cosine: this project"
_PRIOR_VALID = (
    "the site is a vertebral level, or C2 and C3 pooled; the archive has a report of an earlier date, of the same "
    "patient (ID, issuer, birth date and sex), in which the same family of models measured the same site"
)
_PRIOR = "this project"
_NORMS = "Valosek 2024, doi 10.1162/imag_a_00075"

_ROWS = (
    MeasurementDefinition(
        "csa_mean", "Mean CSA over {site}", "mm2", 1, f"mean over slices of: {_AREA}", _CSA_VALID, _SOFT, "area", "mean"
    ),
    MeasurementDefinition(
        "csa_prior",
        "Prior mean CSA over {site}",
        "mm2",
        1,
        "the mean CSA that the newest earlier report of the same patient gives for the same site",
        _PRIOR_VALID,
        _PRIOR,
        "area",
        "mean",
    ),
    MeasurementDefinition(
        "csa_change",
        "Change of mean CSA over {site}",
        "mm2",
        1,
        "mean CSA now - mean CSA of the earlier report, both as reported",
        _PRIOR_VALID,
        _PRIOR,
        "area_change",
        sign="positive: larger than before",
        plus=True,
    ),
    MeasurementDefinition(
        "csa_change_percent",
        "Percent change of CSA over {site}",
        "%",
        1,
        "100 x change of mean CSA / mean CSA of the earlier report",
        _PRIOR_VALID,
        _PRIOR,
        "area_change_percent",
        sign="positive: larger than before",
        plus=True,
    ),
    MeasurementDefinition(
        "csa_sd",
        "SD of CSA over {site}",
        "mm2",
        1,
        f"population standard deviation over slices of: {_AREA}",
        _CSA_VALID,
        _SOFT,
        "area",
        "sd",
    ),
    MeasurementDefinition(
        "csa_min",
        "Minimum CSA over {site}",
        "mm2",
        1,
        f"smallest over slices of: {_AREA}",
        _CSA_VALID,
        _SOFT,
        "area",
        "min",
    ),
    MeasurementDefinition(
        "csa_max",
        "Maximum CSA over {site}",
        "mm2",
        1,
        f"largest over slices of: {_AREA}",
        _CSA_VALID,
        _SOFT,
        "area",
        "max",
    ),
    MeasurementDefinition(
        "csa_slices",
        "Slices measured",
        "1",
        0,
        "number of slices of the site whose CSA could be measured",
        "always",
        "this project",
        "slice_count",
    ),
    MeasurementDefinition(
        "csa_slice",
        "CSA in the outlined slice",
        "mm2",
        1,
        f"{_AREA}, of the one slice whose outline the group carries",
        "as for CSA, for that slice; source slices cut the cord across",
        _SOFT,
        "area",
    ),
    MeasurementDefinition(
        "ap_mean",
        "Mean AP diameter over {site}",
        "mm",
        1,
        "mean over slices of: thickness from front to back, averaged over a strip 3 mm wide through the centroid, seen "
        "along the cord and turned with the section",
        _SHAPE_VALID,
        f"{_SCT}, as since version 7.2",
        "ap_diameter",
        "mean",
    ),
    MeasurementDefinition(
        "rl_mean",
        "Mean RL diameter over {site}",
        "mm",
        1,
        "mean over slices of: 4 x square root of the variance from right to left of the section across the cord, less "
        "the blur of the voxels (the axis of the ellipse with the same second moments)",
        _SHAPE_VALID,
        _SCT,
        "rl_diameter",
        "mean",
    ),
    MeasurementDefinition(
        "ap_midsagittal",
        "Mid-sagittal AP diameter over {site}",
        "mm",
        1,
        "mean over slices of: thickness from front to back in the strip through the centroid, 3 mm or one voxel wide",
        "voxels are at most 1.5 mm from front to back but wider from right to left (thick sagittal slices), so that "
        "CSA is withheld; at least 3 slices",
        "this project",
        "ap_diameter",
        "mean",
    ),
    MeasurementDefinition(
        "mscc",
        "MSCC of {site}",
        "%",
        0,
        "1 - AP diameter there / mean of the AP diameters above and below; each is the mean over 20 mm of cord that "
        "begin 10 mm above the uppermost, or below the lowermost, candidate",
        "the AP diameter may be said; it is at least 15 % smaller than above and below, or 25 % where one side is "
        "not seen",
        "maximum spinal cord compression: SCT sct_compute_compression; when it counts: this project",
        "mscc",
    ),
    MeasurementDefinition(
        "ap_flattest",
        "AP diameter of {site}",
        "mm",
        1,
        "thickness from front to back in the strip through the centroid, mean over 3 mm of cord",
        "as for the MSCC",
        "this project",
        "ap_diameter",
    ),
    MeasurementDefinition(
        "ap_above",
        "AP diameter above {site}",
        "mm",
        1,
        "mean over the 20 mm of cord above that the MSCC compares with",
        "as for the MSCC; cord is measured there",
        "this project",
        "ap_diameter",
        "mean",
    ),
    MeasurementDefinition(
        "ap_below",
        "AP diameter below {site}",
        "mm",
        1,
        "mean over the 20 mm of cord below that the MSCC compares with",
        "as for the MSCC; cord is measured there",
        "this project",
        "ap_diameter",
        "mean",
    ),
    MeasurementDefinition(
        "ap_rl_ratio",
        "AP/RL ratio of {site}",
        "1",
        2,
        "AP diameter / RL diameter of the flattest slice",
        "as for the MSCC; voxels allow a CSA",
        "compression ratio: Horakova 2022",
        "ratio",
    ),
    MeasurementDefinition(
        "ascor_mean",
        "aSCOR over {site}",
        "%",
        1,
        "mean over slices of: area of the cord / area of the spinal canal around it",
        "as for CSA; a model has segmented the canal in the same series; at least 3 slices with both",
        "adapted spinal canal occupation ratio: SCT sct_compute_ascor. Published cut-offs hold for their own "
        "segmentations of the canal, not for this one",
        "ascor",
        "mean",
    ),
    MeasurementDefinition(
        "eccentricity_mean",
        "Mean eccentricity over {site}",
        "1",
        2,
        "mean over slices of: square root of 1 - smallest / largest variance of the section across the cord",
        _SHAPE_VALID,
        _SCT,
        "eccentricity",
        "mean",
    ),
    MeasurementDefinition(
        "solidity_mean",
        "Mean solidity over {site}",
        "1",
        2,
        "mean over slices of: area inside the outline at half value / area of its convex hull",
        _SHAPE_VALID,
        _SCT,
        "solidity",
        "mean",
    ),
    MeasurementDefinition(
        "angle_max",
        "Maximum cord angle over {site}",
        "deg",
        0,
        "largest over slices of: angle between slice normal and cord",
        _SHAPE_VALID,
        "this project",
        "angle",
        "max",
    ),
    MeasurementDefinition(
        "cord_length",
        "Length of the cord seen",
        "mm",
        0,
        "arc length of the centre-line from the top of the highest to the bottom of the lowest slice with cord",
        "cord seen in at least 3 slices",
        "this project",
        "length",
    ),
    MeasurementDefinition(
        "volume",
        "Volume of {site}",
        "mm3",
        0,
        "number of voxels of the segment x volume of a voxel",
        "the image is a volume",
        "this project",
        "volume",
    ),
    MeasurementDefinition(
        "csa_z",
        "Z-score of CSA over {site}",
        "1",
        1,
        "(mean CSA - the model's own offset - mean of the cohort) / standard deviation of the cohort",
        "T2w; age within the cohort's; C1-T10; the model card states the model's offset against the cohort's segmenter",
        _NORMS,
        "z_score",
        sign="positive: larger than the mean of the cohort",
        plus=True,
    ),
    MeasurementDefinition(
        "csa_percentile",
        "Percentile of CSA over {site}",
        "%",
        0,
        "share of the cohort with a smaller CSA, ties counted half (mean CSA less the model's own offset)",
        "as for the z-score",
        _NORMS,
        "percentile",
    ),
)

MEASUREMENTS: MappingProxyType[str, MeasurementDefinition] = MappingProxyType(
    {row.key: row for row in (*_ROWS, *VERTEBRA_ROWS)}
)
"""Key -> row. The key is what a Quantity carries."""


def quantity(key: str, value: float | None, *, reason: str = "") -> Quantity:
    """Return a value rounded to its row's decimals; None, or a value that is not finite, needs a reason."""
    row = MEASUREMENTS[key]
    if value is None or not math.isfinite(value):
        return Quantity(key, None, reason or "the value is not a finite number")
    return Quantity(key, round(float(value), row.decimals) + 0.0)


_PLUS = "; pages, picture and PDF put a plus before it"


def measurements_page() -> str:
    """Return docs/measurements.md, generated from the table."""
    lines = [
        "# Measurements",
        "",
        "Generated from `dicom_ai/measurements/table.py`; do not edit. SR, CSV and findings.json use these names,",
        "units and decimals. *site* is a vertebral level, several levels pooled, a stretch of the cord, or",
        "the cord seen.",
        "",
    ]
    for row in MEASUREMENTS.values():
        lines += [f"## {row.name.format(site='*site*')}", ""]
        lines += [f"- key: `{row.key}`", f"- unit (UCUM): `{row.unit}`, {row.decimals} decimals"]
        lines += [f"- formula: {row.formula}", f"- valid when: {row.valid_when}"]
        lines += [f"- sign: {row.sign}{_PLUS if row.plus else ''}"] if row.sign else []
        lines += [f"- source: {row.source}", ""]
    return "\n".join(lines).rstrip() + "\n"
