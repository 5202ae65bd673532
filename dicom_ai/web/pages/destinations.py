"""The destinations: what each gets and takes, what waits and why, tries by hand, and changes with versions."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Form, HTTPException, Query, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from dicom_ai.destinations.trials import TrialKind, forms_of
from dicom_ai.domain.destination import Destination
from dicom_ai.errors import ConfigError
from dicom_ai.pipeline import neighbours
from dicom_ai.pipeline.neighbours import Change, Waiting
from dicom_ai.sections import DestinationSettings, Neighbours
from dicom_ai.storage import browse, pauses, rules, traffic, worklist
from dicom_ai.storage import neighbours as stored_neighbours
from dicom_ai.storage.database import Session, now
from dicom_ai.storage.neighbours import SECRET, StoredNeighbours
from dicom_ai.storage.pauses import Pause, PauseKind, Subject
from dicom_ai.web.pages import destinations_form
from dicom_ai.web.reasons import plain
from dicom_ai.web.visit import Visit, Visiting

MOST = 50
"""Lines of each list."""

Name = Annotated[str, Form(max_length=128)]
Named = Annotated[str, Query(max_length=128)]
Why = Annotated[str, Form(max_length=500)]
WaitingToo = Annotated[Waiting | None, Form(description="what becomes of results that wait")]
Seen = Annotated[int, Form(description="the version that the page showed")]


async def _form(request: Request) -> FormData:
    return await request.form()


Filled = Annotated[FormData, Depends(_form)]


def show(visit: Visiting) -> Response:
    """Show the destinations, and who changed what when."""
    with visit.database.read() as session:
        stored = in_force(visit, session)
        rows = [
            (item, where(item), traffic.of_destination(session, item.name), _pause_of(session, item.name))
            for item in stored.neighbours.destinations
        ]
        versions = stored_neighbours.history(session, most=MOST)
    return visit.page(
        "destinations.html",
        stored=stored,
        rows=rows,
        versions=versions,
        kinds=destinations_form.KINDS,
        file_differs=_file_differs(visit, stored),
        plain=plain,
    )


def show_one(visit: Visiting, name: Named) -> Response:
    """Show one destination."""
    with visit.database.read() as session:
        stored = in_force(visit, session)
        item = _one(stored.neighbours, name)
        lists: dict[str, Any] = _lists(session, name)
        values: dict[str, Any] = {
            "stored": stored,
            "traffic": traffic.of_destination(session, name),
            "trials": traffic.trials(session, name),
            "pause": _pause_of(session, name),
            "at": now(session),
            "rules": [rule for rule in rules.in_force(session).rule_set.rules if _gets(rule.destinations, name)],
            "studies": browse.names(session, {entry.study_uid for entries in lists.values() for entry in entries}),
        }
    visit.viewed_many(sorted(values["studies"]))
    destination = neighbours.destination_of(visit.app.neighbours.home, item)
    return visit.page(
        "destination.html",
        item=item,
        facts=_facts(destination),
        outputs=_outputs(item, values["trials"]),
        cap=destination.most_per_hour,
        plain=plain,
        kinds=destinations_form.KINDS,
        lately=traffic.LATELY_DAYS,
        **(lists | values),
    )


def edit(visit: Visiting, name: Named = "", kind: Named = "") -> Response:
    """Show the form of a destination, or of a new one of a kind."""
    with visit.database.read() as session:
        stored = in_force(visit, session)
    if name:
        item = _one(stored.neighbours, name)
        return _form_page(visit, stored, destinations_form.shown(item), before=item)
    if kind not in destinations_form.FIELDS:
        raise HTTPException(404)
    return _form_page(visit, stored, destinations_form.blank(kind), before=None)


def save(visit: Visiting, form: Filled, seen: Seen, is_new: Annotated[bool, Form()] = False, why: Why = "") -> Response:
    """Add or change a destination."""
    change = Change(visit.who, why.strip(), seen)
    with visit.database.read() as session:
        stored = in_force(visit, session)
    before = None if is_new else stored.neighbours.destination(str(form.get("name", "")))
    put = neighbours.add_destination if is_new else neighbours.change_destination
    try:
        item = neighbours.destination_from(destinations_form.values_of(form, before))
        with visit.database.write() as session:
            saved = put(session, visit.app.neighbours.home, item, change)
    except ConfigError as error:
        return _form_page(visit, stored, destinations_form.typed(form), before=before, problem=str(error))
    visit.app.neighbours.forget()
    return visit.go(address(item.name), notice=f"Saved: version {saved.version}. It holds at once; no restart.")


def remove(visit: Visiting, name: Name, seen: Seen, waiting: WaitingToo = None, why: Why = "") -> Response:
    """Remove a destination."""
    with visit.database.write() as session:
        change = Change(visit.who, why.strip(), seen)
        saved = neighbours.remove_destination(session, visit.app.neighbours.home, name, change, waiting=waiting)
    visit.app.neighbours.forget()
    return visit.go("/destinations", notice=f"{name} is removed: version {saved.version}.")


def roll_back(
    visit: Visiting, version: Annotated[int, Form(ge=0, le=2**31 - 1)], seen: Seen, why: Why = ""
) -> Response:
    """Make an older version of destinations and peers the newest."""
    with visit.database.write() as session:
        change = Change(visit.who, why.strip(), seen)
        saved = neighbours.roll_back(session, visit.app.neighbours.home, version, change)
    visit.app.neighbours.forget()
    return visit.go("/destinations", notice=f"{saved.note}: version {saved.version}.")


def try_it(visit: Visiting, name: Name, what: Annotated[TrialKind, Form()]) -> Response:
    """Call a destination, ask what it takes, or send it the test object; the page then shows what came of it."""
    with visit.database.read() as session:
        item = _one(in_force(visit, session).neighbours, name)
    destination = neighbours.destination_of(visit.app.neighbours.home, item)
    neighbours.try_destination(visit.database, destination, what, who=visit.who)
    return visit.go(f"{address(name)}#trials")


def again(visit: Visiting, name: Name) -> Response:
    """Send again what did not arrive, and at once what waits for its next try."""
    with visit.database.write() as session:
        repeated = traffic.send_again(session, name, who=visit.who)
        hurried = traffic.try_now(session, name, who=visit.who)
    return visit.go(address(name), notice=f"{repeated} sent again, {hurried} tried at once.")


def pause(visit: Visiting, name: Name, why: Why = "") -> Response:
    """Hold what would be sent there."""
    with visit.database.write() as session:
        _one(in_force(visit, session).neighbours, name)
        pauses.pause(session, Subject(PauseKind.DESTINATION, name), who=visit.who, why=why)
    return visit.go(address(name), notice=f"Paused: {name}.")


def resume(visit: Visiting, name: Name, why: Why = "") -> Response:
    """End the pause."""
    with visit.database.write() as session:
        pauses.resume(session, Subject(PauseKind.DESTINATION, name), who=visit.who, why=why)
    return visit.go(address(name), notice=f"Resumed: {name}.")


def in_force(visit: Visit, session: Session) -> StoredNeighbours:
    """Return destinations and peers as they are, also what another process has just changed."""
    return stored_neighbours.in_force(session, visit.app.neighbours.home.file)


def address(name: str) -> str:
    """Return the path of a destination's page."""
    return f"/destinations/one?{urlencode({'name': name})}"


def where(item: DestinationSettings) -> str:
    """Return where a destination is, in a line."""
    of = item.parameters.get
    if item.kind == "c_store":
        tls = " with TLS" if of("tls") is True else ""
        return f"{of('called_ae_title', '')} at {of('host', '')}:{of('port', '')}{tls}"
    return str(of("url", "") if item.kind == "stow_rs" else of("folder", ""))


def _one(known: Neighbours, name: str) -> DestinationSettings:
    found = known.destination(name)
    if found is None:
        raise HTTPException(404, f"There is no destination {name!r}.")
    return found


def _gets(named: Sequence[str], name: str) -> bool:
    """Say whether a rule sends to a destination; one that names none sends to all."""
    return not named or name in named


def _pause_of(session: Session, name: str) -> Pause | None:
    kinds = (Subject(PauseKind.ALL), Subject(PauseKind.DESTINATION, name))
    return next((item for item in pauses.all_of(session) if item.subject in kinds), None)


def _lists(session: Session, name: str) -> dict[str, Any]:
    """Return what waits for a destination, and what is not there."""
    return {
        "waiting": worklist.open_deliveries(session, most=MOST, destination=name),
        "not_there": worklist.failed_deliveries(session, most=MOST, destination=name),
    }


def _facts(destination: Destination) -> list[tuple[str, str]]:
    """Return what is set, by the words of the form; of a secret only that there is one."""
    found = []
    for field in destinations_form.FIELDS[destination.kind]:
        value = destination.parameters.get(field.key)
        if value in (None, "", False):
            continue
        words = dict(field.choices).get(str(value), str(value))
        found.append((field.label, "set, not shown" if field.key in SECRET else "yes" if value is True else words))
    return found


def _outputs(item: DestinationSettings, trials: Mapping[str, traffic.Trial]) -> list[dict[str, Any]]:
    """Return, per form of results, whether it goes there, what stands in where it is refused, and what was said."""
    asked = trials.get(TrialKind.ACCEPTS)
    said = {output: (ok, says) for ok, says, output in (asked.said if asked else ()) if output}
    return [
        {
            "value": value,
            "text": text,
            "chosen": value in item.outputs,
            "forms": forms_of(value),
            "said": said.get(value),
        }
        for value, text in destinations_form.OUTPUT_WORDS
    ]


def _file_differs(visit: Visit, stored: StoredNeighbours) -> list[str]:
    """Return what the settings file says otherwise than what is in force; nothing while the file is in force."""
    return [] if stored.from_file else neighbours.differences(stored.neighbours, visit.app.neighbours.home.file)


def _form_page(
    visit: Visit,
    stored: StoredNeighbours,
    values: Mapping[str, Any],
    *,
    before: DestinationSettings | None,
    problem: str = "",
) -> Response:
    kind = str(values.get("kind", ""))
    return visit.page(
        "destination_form.html",
        status=422 if problem else 200,
        stored=stored,
        values=values,
        fields=destinations_form.FIELDS.get(kind, ()),
        kind=kind,
        kinds=destinations_form.KINDS,
        output_words=destinations_form.OUTPUT_WORDS,
        instead={value: forms_of(value)[1:] for value, _ in destinations_form.OUTPUT_WORDS},
        before=before,
        has_secret=bool(before and SECRET & before.parameters.keys()),
        usual_cap=visit.app.neighbours.home.most_per_hour,
        problem=problem,
    )
