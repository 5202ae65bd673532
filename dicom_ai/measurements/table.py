"""Every number this product reports, once: SR, CSV, findings.json and docs/measurements.md take their words from here.

To add a measurement: add a row here and a function that computes it; dicom/codes.py codes the row's concept.
"""

import math
from dataclasses import dataclass
from types import MappingProxyType

from dicom_ai.domain.findings import Quantity


@dataclass(frozen=True, slots=True)
class MeasurementDefinition:
    """One row of the table.

    name: what viewers show; {site} stands for where ("C3"). It reads alone: viewers hide the derivation.
    unit: UCUM. decimals: values are rounded to these before anything is written.
    formula, valid_when, source: sentences for the docs. sign: what a positive value means, where it can be negative.
    concept: key of the quantity's concept in dicom/codes.py. derivation: "", "mean", "sd", "min" or "max".
    """

    key: str
    name: str
    unit: str
    decimals: int
    formula: str
    valid_when: str
    source: str
    concept: str
    derivation: str = ""
    sign: str = ""

    def displayed_name(self, site: str) -> str:
        """Return the name that stands beside the number, at most 64 characters for sites of at most 34 (SR, VR LO)."""
        return self.name.format(site=site)


_CSA_VALID = (
    "voxels across the cord are at most 1.5 mm in both directions; at least 3 slices of the site can be measured: "
    "not within 2 mm of the mask's ends (at least one slice), not where it fades out there, "
    "not touching the border of the image"
)
_SHAPE_VALID = "as for CSA"
_AREA = "sum of soft values x pixel area x cosine between slice normal and cord, per slice"
_SCT = "SCT process_seg (De Leener 2017, doi 10.1016/j.neuroimage.2016.10.009)"
_SOFT = "soft mask: Bedard 2025, arXiv 2310.15402; exact cosine: this project"
_NORMS = "Valosek 2024, doi 10.1162/imag_a_00075"

_ROWS = (
    MeasurementDefinition(
        "csa_mean", "Mean CSA over {site}", "mm2", 1, f"mean over slices of: {_AREA}", _CSA_VALID, _SOFT, "area", "mean"
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

_FOUR_SIDES = "lateral film or sagittal MR; the body is whole and has four sides; its anterior side is known"
_IN_MM = f"{_FOUR_SIDES}; a film is calibrated at the patient"

_RADIOGRAPH_ROWS = (
    MeasurementDefinition(
        "height_anterior",
        "Anterior height of {site}",
        "mm",
        1,
        "distance between the two anterior corners, where straight lines through the sides of the outline cross",
        _IN_MM,
        "Genant 1993, doi 10.1002/jbmr.5650080915; lines: this project",
        "height",
    ),
    MeasurementDefinition(
        "height_posterior",
        "Posterior height of {site}",
        "mm",
        1,
        "distance between the two posterior corners",
        _IN_MM,
        "as the anterior height",
        "height",
    ),
    MeasurementDefinition(
        "height_middle",
        "Middle height of {site}",
        "mm",
        1,
        "distance between the endplates of the outline half way between its sides",
        f"{_IN_MM}; the model draws curved endplates",
        "as the anterior height",
        "height",
    ),
    MeasurementDefinition(
        "wedge_ratio",
        "Wedge ratio of {site}",
        "1",
        2,
        "anterior height / posterior height",
        _FOUR_SIDES,
        "as the anterior height",
        "ratio",
    ),
    MeasurementDefinition(
        "biconcave_ratio",
        "Biconcavity ratio of {site}",
        "1",
        2,
        "middle height / mean of anterior and posterior height",
        f"{_FOUR_SIDES}; the model draws curved endplates",
        "as the anterior height",
        "ratio",
    ),
    MeasurementDefinition(
        "body_depth",
        "Depth of {site}",
        "mm",
        1,
        "mean length of the two endplates from the posterior to the anterior corner",
        _FOUR_SIDES,
        "corners: this project",
        "length",
    ),
    MeasurementDefinition(
        "compress_ratio",
        "Compression ratio of {site}",
        "1",
        2,
        "mean of anterior, middle and posterior height / mean of the same of the bodies above and below",
        f"{_FOUR_SIDES}, and so is a neighbour",
        "this project, after Genant 1993",
        "ratio",
    ),
    MeasurementDefinition(
        "disc_height",
        "Disc height at {site}",
        "mm",
        1,
        "mean distance of the corners that face each other across the disc, median over the middle slices",
        "sagittal MR; both bodies are whole and have four sides",
        "this project",
        "height",
    ),
    MeasurementDefinition(
        "disc_angle",
        "Disc angle at {site}",
        "deg",
        0,
        "angle between the endplates that face each other across the disc, median over the middle slices",
        "as the height of a disc",
        "Cobb 1948",
        "angle",
        sign="positive: opens forwards",
    ),
    MeasurementDefinition(
        "disc_volume",
        "Disc volume at {site}",
        "mm3",
        0,
        "number of voxels x volume of a voxel",
        "the disc is seen",
        "this project",
        "volume",
    ),
    MeasurementDefinition(
        "slip",
        "Listhesis of {site}",
        "%",
        0,
        "distance of the posterior corners along the upper endplate of the body below / depth of that endplate",
        f"{_FOUR_SIDES}, and so is the next one; no body is missing between them",
        "Meyerding 1932; posterior corners: this project",
        "slip",
        sign="positive: slipped forwards",
    ),
    MeasurementDefinition(
        "angle_c2_c7",
        "Cobb angle C2-C7",
        "deg",
        0,
        "angle between the lower endplate of C2 and the lower endplate of C7",
        "lateral film with both levels; their anterior side is known",
        "Cobb 1948; Harrison 2000, doi 10.1097/00007632-200008150-00011",
        "angle",
        sign="positive: lordosis",
    ),
    MeasurementDefinition(
        "angle_l1_s1",
        "Cobb angle L1-S1",
        "deg",
        0,
        "angle between the upper endplate of L1 and the upper endplate of S1",
        "lateral film with both levels; their anterior side is known",
        "Cobb 1948",
        "angle",
        sign="positive: lordosis",
    ),
)

MEASUREMENTS: MappingProxyType[str, MeasurementDefinition] = MappingProxyType(
    {row.key: row for row in (*_ROWS, *_RADIOGRAPH_ROWS)}
)
"""Key -> row. The key is what a Quantity carries."""


def quantity(key: str, value: float | None, *, reason: str = "") -> Quantity:
    """Return a value rounded to its row's decimals; None, or a value that is not finite, needs a reason."""
    row = MEASUREMENTS[key]
    if value is None or not math.isfinite(value):
        return Quantity(key, None, reason or "the value is not a finite number")
    return Quantity(key, round(float(value), row.decimals) + 0.0)


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
        lines += [f"- sign: {row.sign}"] if row.sign else []
        lines += [f"- source: {row.source}", ""]
    return "\n".join(lines).rstrip() + "\n"
