"""Version 1 of the API: studies, results, queue, pauses. To add a call: a function here, named in CALLS."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from dicom_ai import __version__
from dicom_ai.app import App
from dicom_ai.domain.account import Role
from dicom_ai.domain.browsing import Place, Progress, Search
from dicom_ai.domain.judgement import NewJudgement, Verdict
from dicom_ai.errors import ConfigError, DicomAiError, Unavailable
from dicom_ai.storage import (
    browse,
    decisions,
    deliveries,
    jobs,
    judgements,
    outbox,
    pauses,
    runs,
    studies,
    timeline,
    worklist,
)
from dicom_ai.storage.pauses import PauseKind, Subject
from dicom_ai.web.api.access import Calling, needs

Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]


class Act(BaseModel):
    """What to do with a job or a delivery."""

    act: Literal["retry", "give-up"]
    why: Text = ""


class Priority(BaseModel):
    """A job's priority: higher goes first."""

    priority: Annotated[int, Field(ge=worklist.LOWEST, le=worklist.HIGHEST)]


class PauseWish(BaseModel):
    """What to pause or resume."""

    kind: Literal["all", "destination"]
    name: Text = ""
    why: Text = ""


class Judged(BaseModel):
    """A verdict on the results of a run."""

    verdict: Verdict
    reason: Text = ""
    levels: Annotated[list[Text], Field(max_length=100)] = []


class Wanted(BaseModel):
    """What to look for. before: the place that the page before gave as "older"."""

    patient: Text = ""
    accession: Text = ""
    state: Progress | None = None
    before: Text = ""
    most: Annotated[int, Field(ge=1, le=100)] = 25


def list_studies(call: Calling, wanted: Annotated[Wanted, Query()]) -> dict[str, Any]:
    """Return studies, newest first."""
    search = Search(wanted.patient, wanted.accession, progress=wanted.state)
    with call.database.read() as session:
        page = browse.search(session, search, before=Place.parse(wanted.before), most=wanted.most)
    call.viewed("list of studies")
    return {"studies": [asdict(item) for item in page.studies], "older": page.older.text if page.older else None}


def show_study(call: Calling, study_uid: str) -> dict[str, Any]:
    """Return a study: its series, decisions with reasons, jobs, runs, deliveries and what happened."""
    with call.database.read() as session:
        found = browse.study(session, study_uid)
        if found is None:
            raise HTTPException(404, "the node has no such study")
        parts = {
            "series": browse.series(session, study_uid),
            "decisions": decisions.all_of(session, study_uid),
            "jobs": jobs.all_of(session, study_uid),
            "runs": runs.all_of(session, study_uid),
            "deliveries": deliveries.of_study(session, study_uid),
            "timeline": timeline.of_study(session, study_uid),
        }
    call.viewed(f"study {study_uid}")
    return asdict(found) | {name: [asdict(item) for item in items] for name, items in parts.items()}  # type: ignore[call-overload]


def ask(call: Calling, study_uid: str) -> dict[str, str]:
    """Ask for a study's analysis, whatever its age."""
    with call.database.write() as session:
        if not studies.ask_for(session, study_uid, who=call.who):
            raise HTTPException(404, "the node has no such study")
    return {"done": "the study is routed again"}


def judge(call: Calling, study_uid: str, number: Number, judged: Judged) -> dict[str, str]:
    """Keep a verdict on the results of a run."""
    with call.database.write() as session:
        run = next((item for item in runs.all_of(session, study_uid) if item.number == number), None)
        if run is None:
            raise HTTPException(404, "the node has no such run")
        new = NewJudgement(judged.verdict, judged.reason, tuple(judged.levels), "by the API", call.who)
        judgements.add(session, run.id, new)
    return {"done": judged.verdict.value}


def show_queue(call: Calling) -> dict[str, Any]:
    """Return what runs, waits and failed."""
    with call.database.read() as session:
        lists = {
            "jobs": worklist.open_jobs(session, most=1000),
            "failed_jobs": worklist.failed_jobs(session, most=1000),
            "deliveries": worklist.open_deliveries(session, most=1000),
            "failed_deliveries": worklist.failed_deliveries(session, most=1000),
        }
        paused = [item.subject.text for item in pauses.all_of(session)]
        destinations = [asdict(item) for item in outbox.statuses(session)]
    found: dict[str, Any] = {name: [asdict(item) for item in items] for name, items in lists.items()}  # type: ignore[call-overload]
    return found | {"paused": paused, "destinations": destinations}


def act_on_job(call: Calling, job_id: Number, wish: Act) -> dict[str, str]:
    """Try a job again, or give it up."""
    with call.database.write() as session:
        if wish.act == "retry":
            worklist.retry_job(session, job_id, who=call.who)
        else:
            worklist.give_up_job(session, job_id, who=call.who, why=wish.why)
    return {"done": wish.act}


def prioritise(call: Calling, job_id: Number, wish: Priority) -> dict[str, int]:
    """Let a waiting job go earlier or later."""
    with call.database.write() as session:
        worklist.prioritise_job(session, job_id, wish.priority, who=call.who)
    return {"priority": wish.priority}


def act_on_delivery(call: Calling, delivery_id: Number, wish: Act) -> dict[str, str]:
    """Send an object again, or give it up."""
    with call.database.write() as session:
        if wish.act == "retry":
            worklist.retry_delivery(session, delivery_id, who=call.who)
        else:
            worklist.give_up_delivery(session, delivery_id, who=call.who, why=wish.why)
    return {"done": wish.act}


def pause(call: Calling, wish: PauseWish) -> dict[str, bool]:
    """Hold what would be sent, of all or of one destination; changed is false where it was held already."""
    subject = _subject(call.app, wish)
    with call.database.write() as session:
        return {"changed": pauses.pause(session, subject, who=call.who, why=wish.why)}


def resume(call: Calling, wish: PauseWish) -> dict[str, bool]:
    """End a pause; changed is false where there was none."""
    subject = _subject(call.app, wish)
    with call.database.write() as session:
        return {"changed": pauses.resume(session, subject, who=call.who, why=wish.why)}


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call, and the role that a token needs for it."""

    method: Literal["GET", "POST"]
    path: str
    view: Callable[..., Any]
    role: Role


CALLS = (
    ApiCall("GET", "/studies", list_studies, Role.VIEWER),
    ApiCall("GET", "/studies/{study_uid}", show_study, Role.VIEWER),
    ApiCall("POST", "/studies/{study_uid}/ask", ask, Role.OPERATOR),
    ApiCall("POST", "/studies/{study_uid}/runs/{number}/judgements", judge, Role.OPERATOR),
    ApiCall("GET", "/queue", show_queue, Role.VIEWER),
    ApiCall("POST", "/jobs/{job_id}", act_on_job, Role.OPERATOR),
    ApiCall("POST", "/jobs/{job_id}/priority", prioritise, Role.OPERATOR),
    ApiCall("POST", "/deliveries/{delivery_id}", act_on_delivery, Role.OPERATOR),
    ApiCall("POST", "/pause", pause, Role.OPERATOR),
    ApiCall("POST", "/resume", resume, Role.OPERATOR),
)
"""Every call of version 1."""

_ANSWERS: Mapping[int | str, dict[str, Any]] = {
    401: {"description": "No valid token"},
    403: {"description": "The token's role does not suffice"},
    404: {"description": "The node has no such thing"},
    422: {"description": "The request is malformed, or what it asks for cannot be done"},
}


def create(app: App) -> FastAPI:
    """Return the API of a node; its description is at /openapi.json below it."""
    api = FastAPI(title="dicom-ai", version=__version__, docs_url=None, redoc_url=None)
    api.state.node = app
    for item in CALLS:
        api.add_api_route(
            item.path,
            item.view,
            methods=[item.method],
            dependencies=[Depends(needs(item.role))],
            responses=dict(_ANSWERS),
        )
    api.add_exception_handler(DicomAiError, _refused)
    return api


def _refused(_request: Request, error: Exception) -> Response:
    status = 422 if isinstance(error, ConfigError) else 503 if isinstance(error, Unavailable) else 500
    return JSONResponse({"detail": str(error)}, status_code=status)


def _subject(app: App, wish: PauseWish) -> Subject:
    """Return what is meant. Raises ConfigError for a destination that is not set."""
    if wish.kind == "destination" and wish.name not in app.destinations:
        raise ConfigError(f"there is no destination {wish.name!r}")
    return Subject(PauseKind(wish.kind), wish.name if wish.kind == "destination" else "")
