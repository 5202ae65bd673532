"""The results of one run: the sent objects on the received images, the curve, the numbers, what people make of them."""

import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import Form, HTTPException, Query
from starlette.responses import Response

from dicom_ai.dicom.kept_series import read_series
from dicom_ai.dicom.nifti import write_nifti
from dicom_ai.dicom.seg_reader import labels_on, read_seg
from dicom_ai.dicom.series_reader import read_volume
from dicom_ai.domain.image import Volume
from dicom_ai.domain.judgement import NewJudgement, Verdict
from dicom_ai.domain.result import ResultKind, ResultObject
from dicom_ai.errors import RejectedInput
from dicom_ai.measurements.csa_plot import csa_svg, curve_from_entry
from dicom_ai.storage import audit, browse, judgements, results, studies
from dicom_ai.web import numbers, pictures
from dicom_ai.web.pages.study import require, viewer_link
from dicom_ai.web.pictures import Stack
from dicom_ai.web.sent import Sent, present, sent_of, stack_of
from dicom_ai.web.visit import Visit, Visiting

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
    sent = _require(visit, study_uid, number)
    with visit.database.read() as session:
        study = require(browse.study(session, study_uid))
        judged = judgements.of_run(session, sent.run.id)
    segs = present(sent.of_kind(ResultKind.SEG))
    chosen = segs[min(seg, len(segs) - 1)] if segs else None
    stack, missing = _stack(visit, chosen)
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
    sent = _require(visit, study_uid, number)
    known = numbers.levels(sent.report.findings) if sent.report else ()
    meant = tuple(level for level in levels or [] if level in known)
    with visit.database.write() as session:
        judgements.add(session, sent.run.id, NewJudgement(verdict, reason, meant, sent.scanner, visit.who))
    return visit.go(f"/studies/{study_uid}/runs/{number}", notice=f"Kept: {verdict.value}.")


def picture(visit: Visiting, sop_instance_uid: str, index: int, segments: Chosen) -> Response:
    """Return one slice with the chosen segments drawn over it."""
    stack = _stack_or_404(visit, _object(visit, sop_instance_uid, ResultKind.SEG))
    if not 0 <= index < len(stack.frames):
        raise HTTPException(404)
    png = pictures.picture(stack, index, frozenset(segments))
    return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=600"})


def plot(visit: Visiting, study_uid: str, number: int, series_uid: str) -> Response:
    """Return the CSA along the cord of a series."""
    sent = _require(visit, study_uid, number)
    curve = curve_from_entry(sent.entries.get(series_uid, {}))
    if curve is None:
        raise HTTPException(404)
    return Response(csa_svg(curve), media_type="image/svg+xml")


def table(visit: Visiting, study_uid: str, number: int) -> Response:
    """Return the numbers of the report as CSV."""
    report = _require(visit, study_uid, number).report
    if report is None:
        raise HTTPException(404, "The report is no longer kept.")
    _downloaded(visit, study_uid, "csv")
    return _file(numbers.csv_text(report.findings).encode(), f"run-{number}.csv", "text/csv; charset=utf-8")


def download(visit: Visiting, sop_instance_uid: str) -> Response:
    """Return an object as it was sent."""
    item = _object(visit, sop_instance_uid)
    _downloaded(visit, item.study_uid, item.identity.kind.value)
    return _file(item.path.read_bytes(), f"{item.identity.kind.value}-{sop_instance_uid}.dcm", "application/dicom")


def nifti(visit: Visiting, sop_instance_uid: str) -> Response:
    """Return the labels of a SEG as NIfTI, on the grid of its images."""
    item = _object(visit, sop_instance_uid, ResultKind.SEG)
    with visit.database.read() as session:
        paths = studies.paths_of(session, item.study_uid, item.source_series_uid)
    source = read_volume(read_series(item.study_uid, item.source_series_uid, [visit.app.files.path(p) for p in paths]))
    assert isinstance(source.image, Volume)
    labels = labels_on(read_seg(item.path), source).astype("uint8")
    _downloaded(visit, item.study_uid, "nifti")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.nii.gz"
        write_nifti(source.image.with_voxels(labels), path)
        return _file(path.read_bytes(), f"seg-{sop_instance_uid}.nii.gz", "application/gzip")


def _require(visit: Visit, study_uid: str, number: int) -> Sent:
    sent = sent_of(visit, study_uid, number)
    if sent is None:
        raise HTTPException(404, "The node has no such run.")
    return sent


def _object(visit: Visit, sop_instance_uid: str, kind: ResultKind | None = None) -> ResultObject:
    with visit.database.read() as session:
        item = results.find_written(session, sop_instance_uid, visit.app.files.root)
    if item is None or kind not in (None, item.identity.kind) or not item.path.is_file():
        raise HTTPException(404, "The node has no such object, or keeps it no longer.")
    return item


def _stack(visit: Visit, seg: ResultObject | None) -> tuple[Stack | None, str]:
    """Return the images to show, or why there are none."""
    if seg is None:
        return None, "This run has no segmentation, or keeps it no longer."
    try:
        return stack_of(visit, seg), ""
    except RejectedInput as error:
        return None, f"The images cannot be shown: {error}."


def _stack_or_404(visit: Visit, seg: ResultObject) -> Stack:
    stack, missing = _stack(visit, seg)
    if stack is None:
        raise HTTPException(404, missing)
    return stack


def _index(stack: Stack | None, asked: int | None) -> int:
    if stack is None:
        return 0
    return stack.fullest if asked is None else max(0, min(asked, len(stack.frames) - 1))


def _downloaded(visit: Visit, study_uid: str, what: str) -> None:
    with visit.database.write() as session:
        audit.record(session, visit.who, "downloaded", f"study {study_uid}", {"what": what})


def _file(content: bytes, name: str, media_type: str) -> Response:
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})
