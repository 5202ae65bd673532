"""Facts about how a series was made: contrast family, diffusion, angiography, localizer, derived, phase, screenshot.

Each fact is decided by signs in the header, with the sign as evidence. Where a header has nothing in which a sign could
stand, the fact is unknown.
"""

import re
from collections.abc import Callable, Sequence

from dicom_ai.domain.study import Header, Series
from dicom_ai.routing.evidence import Fact, number, said, upper_values, values

DESCRIPTIONS = ("SeriesDescription", "ProtocolName")
"""Where people and scanners write what a series is."""

_SEQUENCE_KEYWORDS = (
    "ImageType",
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "SequenceName",
    "PulseSequenceName",
    "AcquisitionContrast",
    "ComplexImageComponent",
    "EchoPulseSequence",
    "DiffusionBValue",
)
_SCREENSHOT_CLASSES = ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.", "1.2.840.10008.5.1.4.1.1.77.1.")
_SHORT_ECHO_MS, _LONG_ECHO_MS = 30.0, 70.0
_SHORT_REPETITION_MS = 1200.0

Sign = tuple[str, Sequence[str], str]
"""Pattern, keywords in which it is looked for, and what it means."""

DIFFUSION: Sequence[Sign] = (
    (r"\bDIFFUSION\b|\bTRACEW?\b|\bADC\b|\bFA\b|\bDIFFUSION_?MAP\b|\bEXP(ONENTIAL)?\b", ("ImageType",), "image type"),
    (r"\bDIFFUSION\b", ("AcquisitionContrast",), "acquisition contrast"),
    (r"\*?EP_?B\d|_?EZ_B\d|DIFF|\bDWI|DTI", ("SequenceName", "PulseSequenceName"), "sequence"),
    (
        r"(?<![a-z])(dwi|dti|dki|adc|ivim|noddi|trace)(?![a-z])|diffusion|diffusie|difusion|difusao"
        r"|diffusione|zoomit|resolve|\bfa map|拡散"
        r"|(?<![a-z])b ?[=_]? ?(50|100|400|500|600|800|1000|1500|2000)(?!\d)|ep2d_?diff",
        DESCRIPTIONS,
        "description",
    ),
)
ANGIOGRAPHY: Sequence[Sign] = (
    (r"\bTOF\b|\bANGIO\w*\b|\bPCA\b", ("ImageType",), "image type"),
    (r"TIME_OF_FLIGHT|\bTOF\b|FLOW_ENCODED|PHASE_CONTRAST", ("AcquisitionContrast",), "acquisition contrast"),
    (r"(?<![A-Z])(TOF|FI3D|PC3D|PC2D|FL_PC|TWIST)", ("SequenceName", "PulseSequenceName"), "sequence"),
    (
        r"(?<![a-z])(tof|mra|mrv|angio\w*|inhance|twist|tricks|ce ?mra|veno\w*)(?![a-z])|time of flight"
        r"|phase contrast|pc_?flow|4d ?flow",
        DESCRIPTIONS,
        "description",
    ),
    (r"\bY(ES)?\b", ("AngioFlag",), "angio flag"),
)
FUNCTIONAL: Sequence[Sign] = (
    (r"\b(FMRI|ASL|PERFUSION|T-?MAP|MOCO_FMRI|CBF|CBV|MTT|TTP)\b", ("ImageType",), "image type"),
    (r"PERFUSION|BOLD", ("AcquisitionContrast",), "acquisition contrast"),
    (r"(?<![A-Z])(EPFID|EP2D_?BOLD|EPI?2D_?PERF)", ("SequenceName", "PulseSequenceName"), "sequence"),
    (
        r"(?<![a-z])(bold|fmri|asl|pcasl|pasl|dsc|dce|perf\w*|cbf|resting|rsfmri|mrs|svs|csi|press)(?![a-z])"
        r"|spectroscop|spektroskop",
        DESCRIPTIONS,
        "description",
    ),
)
ECHO_PLANAR: Sequence[Sign] = (
    (r"(?<![A-Z])EP(?![A-Z])", ("ScanningSequence",), "scanning sequence"),
    (r"(?<![A-Z])EPI(?![A-Z])", ("ScanOptions", "PulseSequenceName"), "sequence"),
    (r"(?<![a-z])(epi|ep2d\w*)(?![a-z])", DESCRIPTIONS, "description"),
)
DERIVED: Sequence[Sign] = (
    (r"\b(DERIVED)\b(?!.*\b(COMPOSED|COMP_\w+|NORM|DIS2D|DIS3D)\b)", ("ImageType",), "image type"),
    (
        r"\b(MPR|CPR|CSA MPR|MIP|MINIP|MNIP|MAX_IP|MIN_IP|PROJECTION IMAGE|VOLREN|SUB(TRACTION)?"
        r"|REFORMATTED|CURVED|ADD|DIV|MEAN|RESAMPLED"
        r"|SCREEN SAVE|SECONDARY|MAP|(T1|T2|T2\*|T2_STAR|R2|R2\*|PD|MT|MTR) ?_?MAP)\b",
        ("ImageType",),
        "image type",
    ),
    (
        r"(?<![a-z])(mpr|mip|minip|subtr\w*|reformat\w*|projection|curved|t[12]\*?[ _]?map|mtr|mtsat"
        r"|relaxometr\w*|fusion|fused)(?![a-z])",
        ("SeriesDescription",),
        "description",
    ),
)
PHASE: Sequence[Sign] = (
    (r"(^|\\)(P|PHASE|PHASE MAP|R|I|REAL|IMAGINARY|PHASE CONTRAST)(\\|$)|\bVELOCITY\b", ("ImageType",), "image type"),
    (r"\b(PHASE|REAL|IMAGINARY|MIXED)\b", ("ComplexImageComponent",), "complex component"),
    (
        r"(?<![a-z])(pha|phase|phasemap|b0 ?map|field ?map\w*|gre_?field\w*|b1 ?map\w*|shim\w*|tfl_b1)(?![a-z])",
        ("SeriesDescription",),
        "description",
    ),
)
LOCALIZER: Sequence[Sign] = (
    (r"\b(LOCALIZER|SCOUT|SURVEY)\b", ("ImageType",), "image type"),
    (
        r"(?<![a-z])(loc|localis\w*|localiz\w*|lokaliz\w*|lokalis\w*|scout\w*|survey|pilot|plan"
        r"|haste_loc|3[ -]?plane\w*|3[ -]?pl|autoalign"
        r"|aascout|aahead\w*|aaspine\w*|localizador|localizzatore|reperage|topogram\w*|calibration"
        r"|cal|asset cal|ref ?scan|smartbrain\w*"
        r"|posdisp)(?![a-z])|位置決め",
        DESCRIPTIONS,
        "description",
    ),
)
SCREENSHOT: Sequence[Sign] = (
    (r"\b(SECONDARY|SCREEN SAVE|SCREENSHOT)\b", ("ImageType",), "image type"),
    (r"\bYES\b", ("BurnedInAnnotation",), "burned-in annotation"),
    (r"\b(WSD|DF|SD|SI|DRW)\b", ("ConversionType",), "conversion type"),
    (r"\b(RGB|YBR_\w+|PALETTE COLOR)", ("PhotometricInterpretation",), "colour"),
    (
        r"(?<![a-z])(screen ?(save|shot|capture)\w*|posdisp|key ?images?|report|dose report)(?![a-z])",
        ("SeriesDescription",),
        "description",
    ),
)
CONTRAST_AGENT: Sequence[Sign] = (
    (r"\S", ("ContrastBolusAgent", "ContrastBolusAgentSequence", "ContrastBolusStartTime"), "contrast agent"),
    (
        r"(?<![a-z])(post|gd|gad\w*|dotarem|gadovist|\+ ?c|c ?\+|\+ ?k?km|nach km|mit km|ce|with contrast"
        r"|avec (inj\w*|contraste|gado)|con (mdc|contraste)"
        r"|mdc|pc|com contraste|na contrast|造影)(?![a-z])",
        DESCRIPTIONS,
        "description",
    ),
)

_FAMILIES: Sequence[tuple[str, str]] = (
    ("MP2RAGE", r"mp2rage"),
    ("FLAIR", r"flair|dark ?fluid|fluid_attenuated"),
    ("STIR", r"stir|tirm|t2_?w?_?(fs_)?ir\b"),
    ("SWI", r"(?<![a-z])(swi|swan|venbold|swip)(?![a-z])"),
    ("MT", r"(?<![a-z])(mtc?[ _-]?(1|on)?|mts|ihmt)(?![a-z0-9])"),
    (
        "T2*",
        r"t2[ _]?(\*|star)|t2_star|(?<![a-z])(merge|medic|me2d\w*|me3d\w*|mffe|m ffe|m-ffe|gre[ _-]me"
        r"|cosmic|hemo|swi)(?![a-z])",
    ),
    ("PD", r"(?<![a-z])(pd|pdw|proton|proton_density|densite)(?![a-z])"),
    (
        "T1",
        r"(?<![a-z])(?<!c\d[-/_ ])t1(?!\d)(?![-/_ ]*t\d)|mp ?rage|bravo|(?<![a-z])(fspgr|tfl|tfe|vibe|t1w)(?![a-z])",
    ),
    (
        "T2",
        r"(?<![a-z])(?<!c\d[-/_ ])t2(?!\d)(?![-/_ ]*t\d)|(?<![a-z])(tse|fse|frfse|space|cube|haste"
        r"|ciss|fiesta|trufi\w*)(?![a-z])",
    ),
)


def sequence_facts(series: Series) -> dict[str, Fact]:
    """Return the contrast family, and a fact for each kind of sign."""
    header = series.header
    facts = {name: _signed(header, signs) for name, signs in _SIGNS.items()}
    facts["diffusion"] = _with_b_values(header, facts["diffusion"])
    facts["screenshot"] = _with_class(series, facts["screenshot"])
    facts["contrast"] = _contrast(header, facts)
    return facts


_SIGNS = {
    "diffusion": DIFFUSION,
    "angiography": ANGIOGRAPHY,
    "functional": FUNCTIONAL,
    "echo_planar": ECHO_PLANAR,
    "derived": DERIVED,
    "phase": PHASE,
    "localizer": LOCALIZER,
    "screenshot": SCREENSHOT,
    "contrast_agent": CONTRAST_AGENT,
}


def times_ms(header: Header) -> tuple[float | None, float | None]:
    """Return echo and repetition time in milliseconds; headers that came by way of BIDS carry seconds."""
    echo, repetition = number(header, "EchoTime"), number(header, "RepetitionTime")
    # No scanner repeats within 20 ms and echoes below 1 ms at once where tissue contrast is wanted
    if echo is not None and repetition is not None and 0 < echo < 1 and 0 < repetition < 20 and echo < repetition:
        return echo * 1000, repetition * 1000
    return echo, repetition


def _signed(header: Header, signs: Sequence[Sign]) -> Fact:
    """Return true with the first sign found, false where none is, unknown where the header has no place for any."""
    looked = False
    for pattern, keywords, meaning in signs:
        for keyword in keywords:
            text = "\\".join(values(header, keyword))
            looked = looked or bool(text)
            if text and (hit := re.search(pattern, text, re.IGNORECASE)):
                return Fact(True, f"{meaning}: {keyword} {text!r} has {hit[0]!r}")
    told = any(values(header, keyword) for keyword in (*_SEQUENCE_KEYWORDS, *DESCRIPTIONS))
    if looked or told:
        return Fact(False, "no sign of it")
    return Fact(None, "the header has nothing that would tell")


def _with_b_values(header: Header, fact: Fact) -> Fact:
    b_value = number(header, "DiffusionBValue")
    if fact.value is not True and b_value is not None and b_value > 0:
        return Fact(True, f"DiffusionBValue {b_value:g}")
    return fact


def _with_class(series: Series, fact: Fact) -> Fact:
    uid = series.instances[0].sop_class_uid
    if uid == _SCREENSHOT_CLASSES[0] or uid.startswith(_SCREENSHOT_CLASSES[1:]):
        return Fact(True, "the SOP class is Secondary Capture or a photograph")
    return Fact(False, "an image class without other sign") if fact.value is None and uid else fact


def _contrast(header: Header, facts: dict[str, Fact]) -> Fact:
    """Return the contrast family, from what is said first, then from the times."""
    for fact, family in (("diffusion", "DWI"), ("angiography", "TOF"), ("functional", "FUNCTIONAL")):
        if facts[fact].value is True:
            return Fact(family, facts[fact].evidence)
    for decide in _DECIDERS:
        if fact_found := decide(header):
            return fact_found
    return Fact(None, "neither descriptions nor times tell")


def _contrast_stated(header: Header) -> Fact | None:
    """Enhanced MR says it in AcquisitionContrast (PS3.3 C.8.13.3.1)."""
    names = {
        "T1": "T1",
        "T2": "T2",
        "T2_STAR": "T2*",
        "PROTON_DENSITY": "PD",
        "FLUID_ATTENUATED": "FLAIR",
        "STIR": "STIR",
        "SUSCEPTIBILITY": "SWI",
    }
    for value in values(header, "AcquisitionContrast"):
        if value.upper() in names:
            return Fact(names[value.upper()], f"AcquisitionContrast {value}")
    return None


def _contrast_described(header: Header) -> Fact | None:
    for text in said(header, (*DESCRIPTIONS, "SequenceName", "PulseSequenceName")):
        for family, pattern in _FAMILIES:
            if hit := re.search(pattern, text.text.casefold()):
                return Fact(family, f"{text.keyword} {text.text!r} has {hit[0]!r}")
    return None


def _contrast_timed(header: Header) -> Fact | None:
    echo, repetition = times_ms(header)
    if echo is None or repetition is None:
        return None
    told = f"TE {echo:g} ms, TR {repetition:g} ms"
    gradient = "GR" in upper_values(header, "ScanningSequence")
    if "MT" in upper_values(header, "ScanOptions"):
        return Fact("MT", f"ScanOptions MT, {told}")
    if gradient:
        return Fact("T2*" if echo >= 10 else "T1", f"gradient echo, {told}")
    if echo >= _LONG_ECHO_MS:
        return Fact("T2", told)
    if echo <= _SHORT_ECHO_MS:
        return Fact("T1" if repetition <= _SHORT_REPETITION_MS else "PD", told)
    return None


_DECIDERS: Sequence[Callable[[Header], Fact | None]] = (_contrast_stated, _contrast_described, _contrast_timed)
