"""The queue and the failures: what a person decides, what failed and why, what runs and waits; pauses."""

from typing import Annotated, Literal

from fastapi import Form
from starlette.responses import Response

from dicom_ai.errors import ConfigError
from dicom_ai.storage import browse, holds, pauses, worklist
from dicom_ai.storage.holds import Decision, Hold, HoldKind
from dicom_ai.storage.pauses import PauseKind, Subject
from dicom_ai.web.reasons import plain
from dicom_ai.web.visit import Visit, Visiting

MOST = 100
"""Lines of each list."""

Why = Annotated[str, Form(max_length=500)]

DOUBTS = {
    HoldKind.CORRECTION: "patient or study were corrected",
    HoldKind.CONFLICT: "two images have the same UID",
    HoldKind.PATIENTS: "two patients in one study",
    HoldKind.DESTINATION: "another patient or study",
    HoldKind.VERSIONS: "many reports of one study",
    HoldKind.FINDING: "numbers in doubt",
}
"""What is in doubt, in few words."""

CHOICES = {
    Decision.RELEASE: ("Send it", "What is held goes to its destinations as it is."),
    Decision.DISCARD: ("Never send it", "What is held is not sent, now or later. It stays in the node."),
    Decision.SEEN: ("Seen", "The notice leaves this list. Nothing else happens."),
    Decision.FIRST: ("The first counts", "What came first is analysed and reported; what came later is put aside."),
    Decision.NEWEST: (
        "The newest counts",
        "What came last is analysed and reported; what came before is put aside, and results of it are withdrawn.",
    ),
}
"""What a person may say of a doubt: the button, and what comes of it."""


def show(visit: Visiting) -> Response:
    """Show what waits for a person, what failed, and the queues."""
    with visit.database.read() as session:
        lists = {
            "holds": holds.open_now(session),
            "failed_jobs": worklist.failed_jobs(session, most=MOST),
            "failed_deliveries": worklist.failed_deliveries(session, most=MOST),
            "open_jobs": worklist.open_jobs(session, most=MOST),
            "open_deliveries": worklist.open_deliveries(session, most=MOST),
        }
        uids = {item.study_uid for found in lists.values() for item in found}  # type: ignore[attr-defined]
        studies = browse.names(session, uids)
        paused = pauses.all_of(session)
    visit.viewed_many(sorted(uids))
    names = list(visit.app.destinations)
    words = {"plain": plain, "doubts": DOUBTS, "choices": _choices}
    return visit.page("queue.html", **lists, **words, studies=studies, pauses=paused, destinations=names, most=MOST)  # type: ignore[arg-type]


def job(
    visit: Visiting,
    job_id: int,
    act: Annotated[Literal["retry", "give-up", "first", "later"], Form()],
    why: Why = "",
) -> Response:
    """Try a job again, give it up, or let it go earlier or later."""
    with visit.database.write() as session:
        if act == "retry":
            worklist.retry_job(session, job_id, who=visit.who)
        elif act == "give-up":
            worklist.give_up_job(session, job_id, who=visit.who, why=why)
        else:
            priority = worklist.HIGHEST if act == "first" else worklist.LOWEST
            worklist.prioritise_job(session, job_id, priority, who=visit.who)
    return visit.go("/queue", notice=f"Job {job_id}: {_DONE[act]}.")


def delivery(
    visit: Visiting, delivery_id: int, act: Annotated[Literal["retry", "give-up"], Form()], why: Why = ""
) -> Response:
    """Send an object again, or give it up."""
    with visit.database.write() as session:
        if act == "retry":
            worklist.retry_delivery(session, delivery_id, who=visit.who)
        else:
            worklist.give_up_delivery(session, delivery_id, who=visit.who, why=why)
    return visit.go("/queue", notice=f"Delivery {delivery_id}: {_DONE[act]}.")


def hold(visit: Visiting, hold_id: int, decision: Annotated[Decision, Form()], why: Why = "") -> Response:
    """End a hold by a person's word."""
    if not why.strip() and decision is not Decision.SEEN:
        raise ConfigError("say why: the decision is kept with its reason")
    try:
        with visit.database.write() as session:
            holds.decide(session, hold_id, decision, who=visit.who, why=why.strip())
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return visit.go("/queue", notice=f"Decided: {decision.value}.")


def pause(
    visit: Visiting, kind: Annotated[PauseKind, Form()], name: Annotated[str, Form()] = "", why: Why = ""
) -> Response:
    """Hold what would be sent, of all or of one destination."""
    subject = _subject(visit, kind, name)
    with visit.database.write() as session:
        begun = pauses.pause(session, subject, who=visit.who, why=why)
    return visit.go("/queue", notice=f"{'Paused' if begun else 'Paused already'}: {subject.text}.")


def resume(
    visit: Visiting, kind: Annotated[PauseKind, Form()], name: Annotated[str, Form()] = "", why: Why = ""
) -> Response:
    """End a pause."""
    subject = Subject(kind, name)
    with visit.database.write() as session:
        ended = pauses.resume(session, subject, who=visit.who, why=why)
    return visit.go("/queue", notice=f"{'Resumed' if ended else 'Not paused'}: {subject.text}.")


_DONE = {
    "retry": "it is tried again",
    "give-up": "given up",
    "first": "it goes first",
    "later": "it goes last",
}


def _subject(visit: Visit, kind: PauseKind, name: str) -> Subject:
    """Return what to pause. Raises ConfigError for a destination that is not set: it would hold nothing."""
    if kind is PauseKind.DESTINATION and name not in visit.app.destinations:
        raise ConfigError(f"there is no destination {name!r}")
    return Subject(kind, "" if kind is PauseKind.ALL else name)


def _choices(hold: Hold) -> list[tuple[str, str, str]]:
    """Return what a person may say of a hold: the decision, the button, and what comes of it; the mildest first."""
    return [(answer.value, *words) for answer, words in CHOICES.items() if answer in hold.decisions]
