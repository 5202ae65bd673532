"""What the node does: overview, queue and failures, what a person decides, pauses."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from dicom_ai.errors import ConfigError
from dicom_ai.storage import holds, outbox, pauses, signs, studies, worklist
from dicom_ai.storage.database import now
from dicom_ai.storage.disk import disk_of
from dicom_ai.storage.holds import Decision
from dicom_ai.storage.pauses import PauseKind, Subject
from dicom_ai.web.api.access import OPERATOR, VIEWER, ApiCall, Call, Calling, Name, Number, Text
from dicom_ai.web.pages.overview import needs_of
from dicom_ai.web.reasons import plain

MOST = 1000
"""Entries of each list."""


class Act(BaseModel):
    """What to do with a job or a delivery."""

    act: Literal["retry", "give-up"]
    why: Text = ""


class Priority(BaseModel):
    """A job's priority: higher goes first."""

    priority: Annotated[int, Field(ge=worklist.LOWEST, le=worklist.HIGHEST)]


class Decided(BaseModel):
    """A person's word on a hold. why: needed but for a notice that was seen."""

    decision: Decision
    why: Text = ""


class PauseWish(BaseModel):
    """What to pause or resume: everything, or the rule, model or destination of a name."""

    kind: PauseKind
    name: Name = ""
    why: Text = ""


def overview(call: Calling) -> dict[str, Any]:
    """Return what needs a person, the worst first, and whether the node receives, analyses and delivers."""
    disk = disk_of(call.app.files.root)
    with call.database.read() as session:
        return {
            "needs": [asdict(item) for item in needs_of(call.app, session)],
            "at": now(session),
            "last_received_at": studies.last_received_at(session),
            "queues": {name: asdict(item) for name, item in signs.queues(session).items()},
            "destinations": [asdict(item) for item in outbox.statuses(session)],
            "devices": [asdict(item) for item in signs.devices(session)],
            "disk": asdict(disk),
        }


def show_queue(call: Calling) -> dict[str, Any]:
    """Return what runs, waits and failed, each failure also in plain words."""
    with call.database.read() as session:
        lists: dict[str, Sequence[Any]] = {
            "jobs": worklist.open_jobs(session, most=MOST),
            "failed_jobs": worklist.failed_jobs(session, most=MOST),
            "deliveries": worklist.open_deliveries(session, most=MOST),
            "failed_deliveries": worklist.failed_deliveries(session, most=MOST),
        }
        paused = [asdict(item) for item in pauses.all_of(session)]
        destinations = [asdict(item) for item in outbox.statuses(session)]
    call.viewed_many(sorted({item.study_uid for items in lists.values() for item in items}))
    told = {name: [_with_plain(asdict(item)) for item in items] for name, items in lists.items()}
    return told | {"paused": paused, "destinations": destinations}


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


def list_holds(call: Calling) -> list[dict[str, Any]]:
    """Return what waits for a person, oldest first, with the decisions that would end each."""
    with call.database.read() as session:
        waiting = holds.open_now(session)
    call.viewed_many(sorted({item.study_uid for item in waiting}))
    return [asdict(item) | {"decisions": list(item.decisions)} for item in waiting]


def decide(call: Calling, hold_id: Number, decided: Decided) -> dict[str, str]:
    """End a hold by a person's word."""
    if not decided.why.strip() and decided.decision is not Decision.SEEN:
        raise ConfigError("say why: the decision is kept with its reason")
    try:
        with call.database.write() as session:
            holds.decide(session, hold_id, decided.decision, who=call.who, why=decided.why.strip())
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return {"done": decided.decision.value}


def pause(call: Calling, wish: PauseWish) -> dict[str, bool]:
    """Hold what would be sent; changed is false where it was held already."""
    subject = _subject(call, wish)
    with call.database.write() as session:
        return {"changed": pauses.pause(session, subject, who=call.who, why=wish.why)}


def resume(call: Calling, wish: PauseWish) -> dict[str, bool]:
    """End a pause; changed is false where there was none."""
    with call.database.write() as session:
        return {"changed": pauses.resume(session, _meant(wish), who=call.who, why=wish.why)}


CALLS = (
    ApiCall("GET", "/overview", overview, VIEWER),
    ApiCall("GET", "/queue", show_queue, VIEWER),
    ApiCall("POST", "/jobs/{job_id}", act_on_job, OPERATOR),
    ApiCall("POST", "/jobs/{job_id}/priority", prioritise, OPERATOR),
    ApiCall("POST", "/deliveries/{delivery_id}", act_on_delivery, OPERATOR),
    ApiCall("GET", "/holds", list_holds, VIEWER),
    ApiCall("POST", "/holds/{hold_id}", decide, OPERATOR),
    ApiCall("POST", "/pause", pause, OPERATOR),
    ApiCall("POST", "/resume", resume, OPERATOR),
)


def _with_plain(item: dict[str, Any]) -> dict[str, Any]:
    return item | {"plain": plain(str(item.get("reason") or item.get("error") or ""))}


def _meant(wish: PauseWish) -> Subject:
    return Subject(wish.kind, "" if wish.kind is PauseKind.ALL else wish.name)


def _subject(call: Call, wish: PauseWish) -> Subject:
    """Return what to pause. Raises ConfigError for a destination that is not set, or no name: it would hold nothing."""
    if wish.kind is PauseKind.DESTINATION and wish.name not in call.app.destinations:
        raise ConfigError(f"there is no destination {wish.name!r}")
    if wish.kind is not PauseKind.ALL and not wish.name.strip():
        raise ConfigError(f"which {wish.kind.value}?")
    return _meant(wish)
