"""The results of one run: the sent objects on the received images, the curve, the numbers, what people make of them."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Form, HTTPException, Query
from starlette.responses import Response

from dicom_ai.domain.judgement import NewJudgement, Verdict
from dicom_ai.domain.result import ResultKind
from dicom_ai.measurements.csa_plot import csa_svg, curve_from_entry
from dicom_ai.storage import browse, judgements
from dicom_ai.web import downloads, numbers
from dicom_ai.web.pages.study import require, viewer_link
from dicom_ai.web.pictures import Stack
from dicom_ai.web.sent import present
from dicom_ai.web.visit import Visiting

WORDS: Mapping[ResultKind, str] = {
    ResultKind.SEG: "Segmentation (SEG)",
    ResultKind.SR: "Report with the numbers (SR)",
    ResultKind.PDF: "Report on one page",
    ResultKind.SC: "The page as a picture (secondary capture)",
    ResultKind.KO: "Note that rejects an earlier result (KO)",
}
"""Kind of object -> what it is called among the downloads."""

Chosen = Annotated[list[int], Query()]


def show(
    visit: Visiting,
    study_uid: str,
    number: int,
    seg: int = 0,
    slice: int | None = None,
    segments: Annotated[list[int] | None, Query()] = None,
) -> Response:
    """Show the results of a run; seg, slice and segments choose what is drawn where no script runs."""
    sent = downloads.require_run(visit, study_uid, number)
    with visit.database.read() as session:
        study = require(browse.study(session, study_uid))
        judged = judgements.of_run(session, sent.run.id)
    segs = present(sent.of_kind(ResultKind.SEG))
    chosen = segs[min(seg, len(segs) - 1)] if segs else None
    stack, missing = downloads.stack_or_why(visit, chosen)
    report = sent.report
    findings = report.findings if report else ()
    visit.viewed(f"study {study_uid}")
    return visit.page(
        "result.html",
        study=study,
        sent=sent,
        segs=segs,
        chosen=chosen,
        stack=stack,
        missing=missing,
        index=_index(stack, slice),
        shown=segments if segments is not None else [item.number for item in stack.segments] if stack else [],
        plots=[uid for uid, entry in sent.entries.items() if curve_from_entry(entry)],
        notes=report.notes if report else (),
        models=report.models if report else (),
        tables=numbers.tables(findings, {uid: item.description for uid, item in sent.series.items()}),
        levels=numbers.levels(findings),
        downloads=present(sent.objects),
        words=WORDS,
        radiographs=downloads.RADIOGRAPHS,
        judged=judged,
        verdicts=list(Verdict),
        viewer=viewer_link(visit, study_uid),
    )


def judge(
    visit: Visiting,
    study_uid: str,
    number: int,
    verdict: Annotated[Verdict, Form()],
    reason: Annotated[str, Form(max_length=2000)] = "",
    levels: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Keep what a person makes of the results."""
    sent = downloads.require_run(visit, study_uid, number)
    known = numbers.levels(sent.report.findings) if sent.report else ()
    meant = tuple(level for level in levels or [] if level in known)
    with visit.database.write() as session:
        judgements.add(session, sent.run.id, NewJudgement(verdict, reason, meant, sent.scanner, visit.who))
    return visit.go(f"/studies/{study_uid}/runs/{number}", notice=f"Kept: {verdict.value}.")


def picture(visit: Visiting, sop_instance_uid: str, index: int, segments: Chosen) -> Response:
    """Return one slice with the chosen segments drawn over it."""
    return downloads.picture(visit, sop_instance_uid, index, segments)


def plot(visit: Visiting, study_uid: str, number: int, series_uid: str) -> Response:
    """Return the CSA along the cord of a series."""
    sent = downloads.require_run(visit, study_uid, number)
    curve = curve_from_entry(sent.entries.get(series_uid, {}))
    if curve is None:
        raise HTTPException(404)
    downloads.note_look(visit, study_uid)
    return Response(csa_svg(curve), media_type="image/svg+xml")


def table(visit: Visiting, study_uid: str, number: int) -> Response:
    """Return the numbers of the report as CSV."""
    return downloads.table(visit, study_uid, number)


def download(visit: Visiting, sop_instance_uid: str) -> Response:
    """Return an object as it was sent."""
    return downloads.sent_object(visit, sop_instance_uid)


def document(visit: Visiting, sop_instance_uid: str) -> Response:
    """Return the PDF inside the object that was sent."""
    return downloads.document(visit, sop_instance_uid)


def sheet(visit: Visiting, sop_instance_uid: str) -> Response:
    """Return the secondary capture that was sent as PNG."""
    return downloads.sheet(visit, sop_instance_uid)


def nifti(visit: Visiting, sop_instance_uid: str) -> Response:
    """Return the labels of a SEG as NIfTI, on the grid of its images."""
    return downloads.labels(visit, sop_instance_uid)


def _index(stack: Stack | None, asked: int | None) -> int:
    if stack is None:
        return 0
    return stack.fullest if asked is None else max(0, min(asked, len(stack.frames) - 1))
