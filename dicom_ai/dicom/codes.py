"""Coded concepts of everything a SEG or SR names (PS3.16): SNOMED CT and DCM where they have it, else 99DICOMAI.

A code of the private scheme is stable: its value never changes meaning, and the table below is all there is. A private
meaning may carry a place ("Mean CSA over C3"): the value says what was measured, the finding site says where.
"""

from types import MappingProxyType
from zlib import crc32

from pydicom.sr.coding import Code

from dicom_ai.domain.findings import Finding, Quality, Structure, StructureKind
from dicom_ai.domain.prior import Change
from dicom_ai.measurements.table import MEASUREMENTS, MeasurementDefinition

SCHEME = "99DICOMAI"
SCHEME_NAME = "dicom_ai private codes"

ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
SPINAL_CORD = Code("2748008", "SCT", "Spinal cord")
VERTEBRAL_CANAL = Code("61853006", "SCT", "Vertebral canal")
VERTEBRA = Code("51282000", "SCT", "Vertebra")
SACRUM = Code("54735007", "SCT", "Sacrum")
DISC = Code("DISC", SCHEME, "Intervertebral disc")

VERTEBRAE = MappingProxyType(
    {
        "C1": Code("14806007", "SCT", "C1 vertebra"),
        "C2": Code("39976000", "SCT", "C2 vertebra"),
        "C3": Code("113205007", "SCT", "C3 vertebra"),
        "C4": Code("5329002", "SCT", "C4 vertebra"),
        "C5": Code("36978003", "SCT", "C5 vertebra"),
        "C6": Code("36054005", "SCT", "C6 vertebra"),
        "C7": Code("87391001", "SCT", "C7 vertebra"),
        "T1": Code("64864005", "SCT", "T1 vertebra"),
        "T2": Code("53733008", "SCT", "T2 vertebra"),
        "T3": Code("1626008", "SCT", "T3 vertebra"),
        "T4": Code("73071006", "SCT", "T4 vertebra"),
        "T5": Code("56401006", "SCT", "T5 vertebra"),
        "T6": Code("45296009", "SCT", "T6 vertebra"),
        "T7": Code("62487009", "SCT", "T7 vertebra"),
        "T8": Code("11068009", "SCT", "T8 vertebra"),
        "T9": Code("82687006", "SCT", "T9 vertebra"),
        "T10": Code("7610001", "SCT", "T10 vertebra"),
        "T11": Code("12989004", "SCT", "T11 vertebra"),
        "T12": Code("23215003", "SCT", "T12 vertebra"),
        "L1": Code("66794005", "SCT", "L1 vertebra"),
        "L2": Code("14293000", "SCT", "L2 vertebra"),
        "L3": Code("36470004", "SCT", "L3 vertebra"),
        "L4": Code("11994002", "SCT", "L4 vertebra"),
        "L5": Code("49668003", "SCT", "L5 vertebra"),
    }
)
"""CID 7603."""

DISCS = MappingProxyType(
    {
        "C2/C3": Code("1078209008", "SCT", "C2/C3 disc"),
        "C3/C4": Code("58820006", "SCT", "C3/C4 disc"),
        "C4/C5": Code("49400002", "SCT", "C4/C5 disc"),
        "C5/C6": Code("73959003", "SCT", "C5/C6 disc"),
        "C6/C7": Code("75095006", "SCT", "C6/C7 disc"),
        "C7/T1": Code("37414007", "SCT", "C7/T1 disc"),
        "T1/T2": Code("40908007", "SCT", "T1/T2 disc"),
        "T2/T3": Code("6004007", "SCT", "T2/T3 disc"),
        "T3/T4": Code("2620004", "SCT", "T3/T4 disc"),
        "T4/T5": Code("82965004", "SCT", "T4/T5 disc"),
        "T5/T6": Code("72692000", "SCT", "T5/T6 disc"),
        "T6/T7": Code("74401007", "SCT", "T6/T7 disc"),
        "T7/T8": Code("28693002", "SCT", "T7/T8 disc"),
        "T8/T9": Code("9188009", "SCT", "T8/T9 disc"),
        "T9/T10": Code("113209001", "SCT", "T9/T10 disc"),
        "T10/T11": Code("34959001", "SCT", "T10/T11 disc"),
        "T11/T12": Code("1537001", "SCT", "T11/T12 disc"),
        "T12/L1": Code("76206002", "SCT", "T12/L1 disc"),
        "L1/L2": Code("80064006", "SCT", "L1/L2 disc"),
        "L2/L3": Code("67459009", "SCT", "L2/L3 disc"),
        "L3/L4": Code("62551000", "SCT", "L3/L4 disc"),
        "L4/L5": Code("84020006", "SCT", "L4/L5 disc"),
        "L5/S1": Code("715056000", "SCT", "L5/S1 disc"),
    }
)
"""CID 7604."""

_OF_KIND = MappingProxyType(
    {
        StructureKind.SPINAL_CORD: SPINAL_CORD,
        StructureKind.SPINAL_CANAL: VERTEBRAL_CANAL,
        StructureKind.VERTEBRA: VERTEBRA,
        StructureKind.DISC: DISC,
        StructureKind.SACRUM: SACRUM,
    }
)

QUALITY = Code("QC", SCHEME, "Quality")
QUALITY_VALUES = MappingProxyType(
    {
        Quality.PASS: Code("QC-PASS", SCHEME, "Passed"),
        Quality.WARN: Code("QC-WARN", SCHEME, "Warning"),
        Quality.FAIL: Code("QC-FAIL", SCHEME, "Failed"),
    }
)

OUTLINE = Code("OUTLINE", SCHEME, "Outline")
OUTLINE_MEASURED = Code("OUTLINE-MEASURED", SCHEME, "Is the measured area of this slice")
OUTLINE_LOCATES = Code("OUTLINE-LOCATES", SCHEME, "Locates the finding, is not the measured area")
OUTLINE_SEARCHED = Code("OUTLINE-SEARCHED", SCHEME, "The image that was searched")

CHANGE = Code("CHANGE", SCHEME, "Change of mean CSA since the prior")
CHANGE_VALUES = MappingProxyType(
    {
        Change.WITHIN_ERROR: Code("CHANGE-WITHIN", SCHEME, "Within measurement error"),
        Change.LARGER: Code("CHANGE-LARGER", SCHEME, "Larger than the prior"),
        Change.SMALLER: Code("CHANGE-SMALLER", SCHEME, "Smaller than the prior"),
        Change.UNKNOWN: Code("CHANGE-UNKNOWN", SCHEME, "Measurement error is not known"),
    }
)

SCANNER = Code("SCANNER", SCHEME, "Scanner")
CONTRAST = Code("CONTRAST", SCHEME, "Contrast of the image")
"""Of a source image: what an area depends on beside the cord (dicom/sr_library.py)."""

QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
NOTHING_FOUND_TITLE = Code("AI-REPORT", SCHEME, "AI analysis without measurements (research use only)")
PAGE = Code("AI-PAGE", SCHEME, "AI report on one page (research use only)")
ANALYSIS_RESULT = Code("RESULT", SCHEME, "Result of the analysis")
ALGORITHMS = Code("ALGORITHMS", SCHEME, "Algorithms")
NOTHING_MEASURED = Code("NOTHING-MEASURED", SCHEME, "Nothing could be measured")

METHODS = MappingProxyType(
    {
        "area": Code("CSA-PERP", SCHEME, "Area perpendicular to cord centerline, angle corrected"),
        "ap_diameter": Code("AP-PERP", SCHEME, "Thickness from front to back of the section across the cord"),
        "rl_diameter": Code("RL-PERP", SCHEME, "Width from right to left of the section across the cord"),
        "mscc": Code("MSCC-AP", SCHEME, "1 - AP / mean AP of 20 mm of cord, 10 mm above and below"),
        "ascor": Code("ASCOR", SCHEME, "Area of the cord over area of the spinal canal"),
        "z_score": Code("Z-COHORT", SCHEME, "Compared with a healthy cohort of the same level"),
        "percentile": Code("PCT-COHORT", SCHEME, "Ranked in a healthy cohort of the same level"),
    }
)
"""Concept of a measurement -> how it is measured; concepts whose name says it all are not here."""

DERIVATIONS = MappingProxyType(
    {
        "mean": Code("373098007", "SCT", "Mean"),
        "sd": Code("386136009", "SCT", "Standard Deviation"),
        "min": Code("255605001", "SCT", "Minimum"),
        "max": Code("56851009", "SCT", "Maximum"),
    }
)
"""CID 7464."""

UNITS = MappingProxyType(
    {
        "mm2": Code("mm2", "UCUM", "square millimeter"),
        "mm3": Code("mm3", "UCUM", "cubic millimeter"),
        "mm": Code("mm", "UCUM", "millimeter"),
        "deg": Code("deg", "UCUM", "degree"),
        "%": Code("%", "UCUM", "percent"),
        "1": Code("1", "UCUM", "no units"),
    }
)

PROCEDURES = MappingProxyType(
    {
        "MR": Code("25056-3", "LN", "MRI unspecified body region"),
        "CT": Code("25045-6", "LN", "CT unspecified body region"),
        "CR": Code("43468-8", "LN", "XR unspecified body region"),
        "DX": Code("43468-8", "LN", "XR unspecified body region"),
    }
)
"""Procedure reported where the source names none (members of CID 100)."""

IMAGING_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")

_LONGEST_VALUE = 16
_LONGEST_MEANING = 64
_SHORTENED = MappingProxyType({"ECCENTRICITY": "ECC", "MIDSAGITTAL": "MIDSAG", "PERCENTILE": "PCT", "PERCENT": "PCT"})


def structure_code(structure: Structure) -> Code:
    """Return the segmented property type, or finding, of a structure: its level's code where there is one."""
    if structure.kind is StructureKind.OTHER:
        return Code(*structure.code) if structure.code else Code("OTHER", SCHEME, _meaning(structure.name))
    if structure.kind is StructureKind.VERTEBRA and structure.level == "S1":
        return SACRUM
    table = DISCS if structure.kind is StructureKind.DISC else VERTEBRAE
    return table.get(structure.level or "", _OF_KIND[structure.kind])


def level_modifier(structure: Structure) -> Code | None:
    """Return the private code of a level that structure_code cannot say: T13, L6, S1 and discs beside them."""
    if structure.level is None or structure.level in VERTEBRAE or structure.level in DISCS:
        return None
    return _level_code(structure.level)


def level_code(level: str) -> Code:
    """Return the code of a vertebra ("C3") or disc ("C2/C3"); private where no other scheme has one."""
    return VERTEBRAE.get(level) or DISCS.get(level) or _level_code(level)


def site_code(finding: Finding) -> Code:
    """Return the finding site whose meaning viewers draw: the level, else the site's own words."""
    if finding.site_level is not None:
        return level_code(finding.site_level)
    if finding.site == finding.structure.name:
        return structure_code(finding.structure)
    return Code(f"SITE-{crc32(finding.site.encode()):08X}", SCHEME, _meaning(finding.site))


def measurement_code(row: MeasurementDefinition, site: str) -> Code:
    """Return the concept name of a number. Its meaning reads alone, as viewers show nothing else beside the value."""
    return Code(measurement_value(row.key), SCHEME, _meaning(row.displayed_name(site)))


def measurement_value(key: str) -> str:
    """Return the private code value of a row of MEASUREMENTS, at most 16 characters (VR SH)."""
    words = [_SHORTENED.get(word, word) for word in key.upper().split("_")]
    value = "-".join(words)
    if len(value) > _LONGEST_VALUE:
        raise ValueError(f"measurement key {key!r} makes a code value of {len(value)} characters; shorten a word of it")
    return value


KEYS_BY_VALUE = MappingProxyType({measurement_value(key): key for key in MEASUREMENTS})
"""Private code value of a number -> its key, to read our own reports back."""


def _level_code(level: str) -> Code:
    return Code(level.replace("/", "-"), SCHEME, f"{level} disc" if "/" in level else f"{level} vertebra")


def _meaning(text: str) -> str:
    return text if len(text) <= _LONGEST_MEANING else f"{text[: _LONGEST_MEANING - 1]}…"
