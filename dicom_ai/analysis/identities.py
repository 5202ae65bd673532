"""Which objects a run of a study writes, each with an identity that is saved before anything is written."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from dicom_ai.analysis.series import SeriesAnalysis
from dicom_ai.dicom.fallbacks import PICTURE_NUMBER
from dicom_ai.dicom.uids import new_uid
from dicom_ai.domain.image import Radiograph
from dicom_ai.domain.output import MASKS, PDF_SLOT, PICTURE_SLOT, SR_SLOT, USUAL_OUTPUTS, Output, output_of, seg_slot
from dicom_ai.domain.result import ResultIdentity, ResultKind

Predecessor = tuple[str, str, str]

SERIES_NUMBER: Mapping[Output, int] = MappingProxyType(
    {
        Output.SR: 9001,
        Output.PDF: 9003,
        Output.PICTURE: PICTURE_NUMBER,
        Output.REJECTION_NOTE: 9005,
        Output.SEG: 9100,
        Output.XRAY_SEG: 9100,
        Output.SOFT_SEG: 9300,
        Output.LABELMAP: 9500,
    }
)
"""SeriesNumber of the first object of a form: far above what scanners use, so results sort last; 9002 is the fall-back
of the report (dicom/sr_fallback.py)."""

KINDS: Mapping[Output, ResultKind] = MappingProxyType(
    {
        **dict.fromkeys(MASKS, ResultKind.SEG),
        Output.SR: ResultKind.SR,
        Output.PDF: ResultKind.PDF,
        Output.PICTURE: ResultKind.SC,
        Output.REJECTION_NOTE: ResultKind.KO,
    }
)

_DOCUMENT_SLOTS = {Output.PDF: PDF_SLOT, Output.PICTURE: PICTURE_SLOT}


def plan_identities(
    analyses: Sequence[SeriesAnalysis],
    *,
    run: int,
    created_at: datetime,
    predecessors: Mapping[str, Predecessor] | None = None,
    outputs: frozenset[Output] = USUAL_OUTPUTS,
) -> dict[str, ResultIdentity]:
    """Return new identities, by slot, for every object that a run may write; save them before writing.

    predecessors: slot -> (study, series, SOP instance UID) of what an earlier run sent. outputs: the forms in which
    some destination wants results. The SR is always written, a BINARY SEG also where only a LABELMAP is wanted.
    """
    before = predecessors or {}
    places = [(SR_SLOT, 0), *((slot, 0) for output, slot in _DOCUMENT_SLOTS.items() if output in outputs)]
    segmented = [analysis for analysis in analyses if analysis.segmentation.segments]
    for offset, analysis in enumerate(segmented):
        name, uid = analysis.model.name, analysis.source.series_uid
        places += [(seg_slot(name, uid, form), offset) for form in _forms(analysis, outputs)]
    return {
        slot: new_identity(slot, run=run, created_at=created_at, predecessor=before.get(slot), offset=offset)
        for slot, offset in places
    }


def new_identity(
    slot: str, *, run: int, created_at: datetime, predecessor: Predecessor | None = None, offset: int = 0
) -> ResultIdentity:
    """Return a new identity for the object of a slot. offset: its place among the objects of its form."""
    output = output_of(slot)
    return ResultIdentity(
        kind=KINDS[output],
        series_uid=new_uid(),
        sop_instance_uid=new_uid(),
        series_number=SERIES_NUMBER[output] + offset,
        run=run,
        created_at=created_at,
        predecessor=predecessor,
        slot=slot,
    )


def _forms(analysis: SeriesAnalysis, outputs: frozenset[Output]) -> list[Output]:
    """Return the forms of SEG that are written of a series."""
    possible = [Output.SEG, Output.LABELMAP]
    if isinstance(analysis.source.image, Radiograph):
        possible = [Output.XRAY_SEG]
    elif not analysis.source.image.frame_of_reference_uid:
        return []
    elif analysis.segmentation.soft is not None:
        possible.append(Output.SOFT_SEG)
    wanted = outputs | {Output.SEG} if Output.LABELMAP in outputs else outputs
    return [form for form in possible if form in wanted]
