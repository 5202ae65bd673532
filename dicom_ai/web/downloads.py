"""What leaves the node as a file, for pages and API alike: the sent objects, labels as NIfTI, numbers as CSV."""

import tempfile
from pathlib import Path

from fastapi import HTTPException
from starlette.responses import Response

from dicom_ai.dicom.document_reader import read_pdf, read_picture
from dicom_ai.dicom.kept_series import read_series
from dicom_ai.dicom.nifti import write_nifti
from dicom_ai.dicom.seg_reader import labels_on, read_seg
from dicom_ai.dicom.series_reader import read_volume
from dicom_ai.domain.image import Volume
from dicom_ai.domain.result import ResultKind, ResultObject
from dicom_ai.errors import RejectedInput
from dicom_ai.imaging.overlay import png_bytes
from dicom_ai.storage import audit, browse, results, studies
from dicom_ai.storage.database import now
from dicom_ai.web import numbers, pictures
from dicom_ai.web.asker import Asker
from dicom_ai.web.pictures import Stack
from dicom_ai.web.sent import Sent, sent_of, stack_of

RADIOGRAPHS = ("CR", "DX")

LOOK_S = 900.0
"""Pictures of a study that somebody asks for within so long are one look at it."""


def require_run(asker: Asker, study_uid: str, number: int) -> Sent:
    """Return what a run sent. Raises HTTPException where there is no such run."""
    sent = sent_of(asker, study_uid, number)
    if sent is None:
        raise HTTPException(404, "The node has no such run.")
    return sent


def table(asker: Asker, study_uid: str, number: int) -> Response:
    """Return the numbers of a report as CSV."""
    report = require_run(asker, study_uid, number).report
    if report is None:
        raise HTTPException(404, "The report is no longer kept.")
    _note(asker, study_uid, "csv")
    return _file(numbers.csv_text(report.findings).encode(), f"run-{number}.csv", "text/csv; charset=utf-8")


def sent_object(asker: Asker, sop_instance_uid: str) -> Response:
    """Return an object as it was sent."""
    item = find(asker, sop_instance_uid)
    _note(asker, item.study_uid, item.identity.kind.value)
    return _file(item.path.read_bytes(), f"{item.identity.kind.value}-{sop_instance_uid}.dcm", "application/dicom")


def document(asker: Asker, sop_instance_uid: str) -> Response:
    """Return the PDF inside the object that was sent."""
    item = find(asker, sop_instance_uid, ResultKind.PDF)
    _note(asker, item.study_uid, "pdf file")
    return _file(read_pdf(item.path), f"report-{sop_instance_uid}.pdf", "application/pdf")


def sheet(asker: Asker, sop_instance_uid: str) -> Response:
    """Return the secondary capture that was sent as PNG."""
    item = find(asker, sop_instance_uid, ResultKind.SC)
    _note(asker, item.study_uid, "png file")
    return _file(png_bytes(read_picture(item.path)), f"report-{sop_instance_uid}.png", "image/png")


def labels(asker: Asker, sop_instance_uid: str) -> Response:
    """Return the labels of a SEG as NIfTI, on the grid of its images."""
    item = find(asker, sop_instance_uid, ResultKind.SEG)
    with asker.database.read() as session:
        paths = studies.paths_of(session, item.study_uid, item.source_series_uid)
        modality = {one.series_uid: one.modality for one in browse.series(session, item.study_uid)}
    if modality.get(item.source_series_uid) in RADIOGRAPHS:
        raise HTTPException(404, "Labels of a radiograph have no place in space: take the SEG.")
    files = [path for path in map(asker.app.files.path, paths) if path.exists()]
    if not files:
        raise HTTPException(404, "The images, on whose grid the labels would be, are no longer kept.")
    source = read_volume(read_series(item.study_uid, item.source_series_uid, files))
    assert isinstance(source.image, Volume)
    drawn = labels_on(read_seg(item.path), source).astype("uint8")
    _note(asker, item.study_uid, "nifti")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.nii.gz"
        write_nifti(source.image.with_voxels(drawn), path)
        return _file(path.read_bytes(), f"seg-{sop_instance_uid}.nii.gz", "application/gzip")


def picture(asker: Asker, sop_instance_uid: str, index: int, segments: list[int]) -> Response:
    """Return one slice with the chosen segments drawn over it."""
    seg = find(asker, sop_instance_uid, ResultKind.SEG)
    note_look(asker, seg.study_uid)
    stack, missing = stack_or_why(asker, seg)
    if stack is None or not 0 <= index < len(stack.frames):
        raise HTTPException(404, missing or "There is no such slice.")
    png = pictures.picture(stack, index, frozenset(segments))
    return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=600"})


def stack_or_why(asker: Asker, seg: ResultObject | None) -> tuple[Stack | None, str]:
    """Return the images to show, or why there are none."""
    if seg is None:
        return None, "This run has no segmentation, or keeps it no longer."
    try:
        return stack_of(asker, seg), ""
    except RejectedInput as error:
        return None, f"The images cannot be shown: {error}."


def find(asker: Asker, sop_instance_uid: str, kind: ResultKind | None = None) -> ResultObject:
    """Return a written object. Raises HTTPException where there is none, or none of the kind."""
    with asker.database.read() as session:
        item = results.find_written(session, sop_instance_uid, asker.app.files.root)
    if item is None or kind not in (None, item.identity.kind) or not item.path.is_file():
        raise HTTPException(404, "The node has no such object, or keeps it no longer.")
    return item


def note_look(asker: Asker, study_uid: str) -> None:
    """Note that somebody sees a picture of a study, unless the trail has that they looked at it just now."""
    subject = f"study {study_uid}"
    with asker.database.read() as session:
        is_noted = audit.is_recorded(session, asker.who, "viewed", subject, since=now(session) - LOOK_S)
    if not is_noted:
        with asker.database.write() as session:
            audit.record(session, asker.who, "viewed", subject)


def _file(content: bytes, name: str, media_type: str) -> Response:
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _note(asker: Asker, study_uid: str, what: str) -> None:
    with asker.database.write() as session:
        audit.record(session, asker.who, "downloaded", f"study {study_uid}", {"what": what})
