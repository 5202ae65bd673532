"""What a destination may be sent, and the slots that results have within a run."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Output(StrEnum):
    """A form in which results leave. OUTPUTS says what each is."""

    SEG = "seg"
    LABELMAP = "labelmap"
    SOFT_SEG = "soft_seg"
    XRAY_SEG = "xray_seg"
    SR = "sr"
    PDF = "pdf"
    PICTURE = "picture"
    REJECTION_NOTE = "rejection_note"


OUTPUTS: Mapping[Output, str] = MappingProxyType(
    {
        Output.SEG: "SEG of each MR series, BINARY; every viewer of SEGs shows it",
        Output.LABELMAP: "SEG of each MR series as LABELMAP; few archives take it",
        Output.SOFT_SEG: "SEG of the soft cord, FRACTIONAL / OCCUPANCY: for reuse, most viewers do not show it",
        Output.XRAY_SEG: "SEG of each radiograph, BINARY; OHIF does not show it, the report has the outlines",
        Output.SR: "the report, Comprehensive 3D SR",
        Output.PDF: "the report on one page, as Encapsulated PDF",
        Output.PICTURE: "the report on one page, as Secondary Capture; it says who the patient is in its header only",
        Output.REJECTION_NOTE: "a Key Object that rejects what an earlier run of the study sent here (IHE IOCM)",
    }
)

USUAL_OUTPUTS = frozenset({Output.SEG, Output.SR})

MASKS = frozenset({Output.SEG, Output.LABELMAP, Output.SOFT_SEG, Output.XRAY_SEG})
"""Forms of what was found where; the others are forms of the report."""

SR_SLOT = "sr"
SR_FALLBACK_SLOT = "sr:comprehensive"
PDF_SLOT = "pdf"
PICTURE_SLOT = "picture"
_NOTE = "ko"

_VARIANTS = MappingProxyType({Output.LABELMAP: "labelmap", Output.SOFT_SEG: "soft", Output.XRAY_SEG: "xray"})
_OF_FIRST_WORD = MappingProxyType(
    {"sr": Output.SR, "pdf": Output.PDF, "picture": Output.PICTURE, _NOTE: Output.REJECTION_NOTE}
)


def seg_slot(model: str, series_uid: str, output: Output = Output.SEG) -> str:
    """Return the slot of a SEG of a series: the same for every run of the study."""
    return ":".join(["seg", model, series_uid, *([_VARIANTS[output]] if output in _VARIANTS else [])])


def note_slot(destination: str) -> str:
    """Return the slot of the note that rejects what a destination was sent before."""
    return f"{_NOTE}:{destination}"


def output_of(slot: str) -> Output:
    """Return the form in which the object of a slot shows results."""
    first, *others = slot.split(":")
    if first != "seg":
        return _OF_FIRST_WORD[first]
    variant = others[2] if len(others) > 2 else ""
    return next((output for output, name in _VARIANTS.items() if name == variant), Output.SEG)


def next_best(slot: str) -> str | None:
    """Return the slot of what a destination gets that does not take the object of a slot; None where nothing is left.

    A LABELMAP is sent as BINARY, a report as Comprehensive SR, and what is left as a picture.
    """
    if slot == SR_SLOT:
        return SR_FALLBACK_SLOT
    output = output_of(slot)
    if output is Output.LABELMAP:
        return slot.rpartition(":")[0]
    return PICTURE_SLOT if output in MASKS or output in (Output.SR, Output.PDF) else None
