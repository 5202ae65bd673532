"""Studies and their results: search, one study, what a run sent, downloads, verdicts, the table of a month."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import HTTPException, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from dicom_ai.domain.browsing import Place, Progress, Search
from dicom_ai.domain.judgement import NewJudgement, Verdict
from dicom_ai.measurements.csa_plot import csa_svg, curve_from_entry
from dicom_ai.storage import browse, decisions, deliveries, holds, jobs, judgements, runs, studies, timeline
from dicom_ai.web import downloads, numbers
from dicom_ai.web.api.access import OPERATOR, VIEWER, ApiCall, Calling, Number, Text, found
from dicom_ai.web.days import month_of
from dicom_ai.web.pages.study import thumbnail_of
from dicom_ai.web.rendering import zone_of

Date = Annotated[str, Field(pattern=r"^(\d{8})?$", description="YYYYMMDD")]


class Wanted(BaseModel):
    """What to look for. before: the place that the page before gave as "older"."""

    patient: Text = ""
    accession: Text = ""
    date_from: Date = ""
    date_to: Date = ""
    state: Progress | None = None
    before: Text = ""
    most: Annotated[int, Field(ge=1, le=100)] = 25


class Judged(BaseModel):
    """A verdict on the results of a run. levels: those it is about; none: the result as a whole."""

    verdict: Verdict
    reason: Text = ""
    levels: Annotated[list[Text], Field(max_length=100)] = []


def list_studies(call: Calling, wanted: Annotated[Wanted, Query()]) -> dict[str, Any]:
    """Return studies, newest first."""
    search = Search(wanted.patient, wanted.accession, wanted.date_from, wanted.date_to, wanted.state)
    with call.database.read() as session:
        page = browse.search(session, search, before=Place.parse(wanted.before), most=wanted.most)
    call.viewed_many([item.study_uid for item in page.studies])
    return {"studies": [asdict(item) for item in page.studies], "older": page.older.text if page.older else None}


def show_study(call: Calling, study_uid: str) -> dict[str, Any]:
    """Return a study: its series, decisions with reasons, jobs, runs, deliveries, holds and what happened."""
    with call.database.read() as session:
        study = found(browse.study(session, study_uid), "study")
        parts: dict[str, Sequence[Any]] = {
            "series": browse.series(session, study_uid),
            "decisions": decisions.all_of(session, study_uid),
            "jobs": jobs.all_of(session, study_uid),
            "runs": runs.all_of(session, study_uid),
            "deliveries": deliveries.of_study(session, study_uid),
            "holds": holds.of_study(session, study_uid),
            "timeline": timeline.of_study(session, study_uid),
        }
    call.viewed(f"study {study_uid}")
    return asdict(study) | {name: [asdict(item) for item in items] for name, items in parts.items()}


def ask(call: Calling, study_uid: str) -> dict[str, str]:
    """Ask for a study's analysis, whatever its age."""
    with call.database.write() as session:
        if not studies.ask_for(session, study_uid, who=call.who):
            raise HTTPException(404, "the node has no such study")
    return {"done": "the study is routed again"}


def thumbnail(call: Calling, study_uid: str, series_uid: str) -> Response:
    """Return a small picture of a series."""
    return thumbnail_of(call, study_uid, series_uid)


def show_run(call: Calling, study_uid: str, number: Number) -> dict[str, Any]:
    """Return what a run sent: its objects, the numbers of its report with their quality, remarks, and verdicts."""
    sent = downloads.require_run(call, study_uid, number)
    with call.database.read() as session:
        judged = judgements.of_run(session, sent.run.id)
    report = sent.report
    names = {uid: item.description for uid, item in sent.series.items()}
    call.viewed(f"study {study_uid}")
    return {
        "run": asdict(sent.run),
        "scanner": sent.scanner,
        "objects": [
            {
                "kind": item.identity.kind.value,
                "slot": item.identity.slot,
                "sop_instance_uid": item.identity.sop_instance_uid,
                "series_uid": item.identity.series_uid,
                "source_series_uid": item.source_series_uid,
                "is_kept": item.path.is_file(),
            }
            for item in sent.objects
        ],
        "tables": [asdict(item) for item in numbers.tables(report.findings, names)] if report else [],
        "levels": list(numbers.levels(report.findings)) if report else [],
        "notes": list(report.notes) if report else [],
        "plots": [uid for uid, entry in sent.entries.items() if curve_from_entry(entry)],
        "judgements": [asdict(item) for item in judged],
    }


def plot(call: Calling, study_uid: str, number: Number, series_uid: str) -> Response:
    """Return the CSA along the cord of a series as SVG."""
    sent = downloads.require_run(call, study_uid, number)
    curve = found(curve_from_entry(sent.entries.get(series_uid, {})), "curve")
    downloads.note_look(call, study_uid)
    return Response(csa_svg(curve), media_type="image/svg+xml")


def table(call: Calling, study_uid: str, number: Number) -> Response:
    """Return the numbers of a report as CSV."""
    return downloads.table(call, study_uid, number)


def sent_object(call: Calling, sop_instance_uid: str) -> Response:
    """Return a SEG, SR, PDF or secondary capture as it was sent."""
    return downloads.sent_object(call, sop_instance_uid)


def document(call: Calling, sop_instance_uid: str) -> Response:
    """Return the PDF inside the object that was sent."""
    return downloads.document(call, sop_instance_uid)


def sheet(call: Calling, sop_instance_uid: str) -> Response:
    """Return the secondary capture that was sent as PNG."""
    return downloads.sheet(call, sop_instance_uid)


def labels(call: Calling, sop_instance_uid: str) -> Response:
    """Return the labels of a SEG as NIfTI, on the grid of its images."""
    return downloads.labels(call, sop_instance_uid)


def picture(
    call: Calling,
    sop_instance_uid: str,
    index: Annotated[int, Field(ge=0, le=100_000)],
    segments: Annotated[list[int], Query(max_length=300)],
) -> Response:
    """Return one slice as PNG with the chosen segments drawn over it."""
    return downloads.picture(call, sop_instance_uid, index, segments)


def judge(call: Calling, study_uid: str, number: Number, judged: Judged) -> dict[str, str]:
    """Keep a verdict on the results of a run."""
    sent = downloads.require_run(call, study_uid, number)
    known = numbers.levels(sent.report.findings) if sent.report else ()
    unknown = [level for level in judged.levels if level not in known]
    if unknown:
        raise HTTPException(422, f"the report has no level {unknown[0]!r}")
    with call.database.write() as session:
        new = NewJudgement(judged.verdict, judged.reason, tuple(judged.levels), sent.scanner, call.who)
        judgements.add(session, sent.run.id, new)
    return {"done": judged.verdict.value}


def tally(call: Calling, month: Annotated[str, Query(pattern=r"^(\d{4}-\d{2})?$")] = "") -> dict[str, Any]:
    """Return how the results judged in a month (2026-01; none: this one) were judged, by scanner and level."""
    begin, end = month_of(month, zone_of(call.app.settings.web.time_zone))
    with call.database.read() as session:
        rows = judgements.tally(session, begin=begin.timestamp(), end=end.timestamp())
    return {"month": begin.strftime("%Y-%m"), "rows": [asdict(row) for row in rows]}


CALLS = (
    ApiCall("GET", "/studies", list_studies, VIEWER),
    ApiCall("GET", "/studies/{study_uid}", show_study, VIEWER),
    ApiCall("POST", "/studies/{study_uid}/ask", ask, OPERATOR),
    ApiCall("GET", "/studies/{study_uid}/series/{series_uid}/thumbnail.png", thumbnail, VIEWER),
    ApiCall("GET", "/studies/{study_uid}/runs/{number}", show_run, VIEWER),
    ApiCall("GET", "/studies/{study_uid}/runs/{number}/table.csv", table, VIEWER),
    ApiCall("GET", "/studies/{study_uid}/runs/{number}/plots/{series_uid}.svg", plot, VIEWER),
    ApiCall("POST", "/studies/{study_uid}/runs/{number}/judgements", judge, OPERATOR),
    ApiCall("GET", "/results/{sop_instance_uid}/object.dcm", sent_object, VIEWER),
    ApiCall("GET", "/results/{sop_instance_uid}/report.pdf", document, VIEWER),
    ApiCall("GET", "/results/{sop_instance_uid}/report.png", sheet, VIEWER),
    ApiCall("GET", "/results/{sop_instance_uid}/labels.nii.gz", labels, VIEWER),
    ApiCall("GET", "/results/{sop_instance_uid}/slices/{index}.png", picture, VIEWER),
    ApiCall("GET", "/judgements", tally, VIEWER),
)
