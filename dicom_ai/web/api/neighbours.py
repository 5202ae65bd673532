"""Destinations, peers and models: as they are, changed with versions, tried by hand, turned on and off."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import HTTPException, Query
from pydantic import BaseModel, Field

from dicom_ai.destinations.trials import TrialKind
from dicom_ai.errors import ModelError
from dicom_ai.inference.installed import Installed, installed, look
from dicom_ai.pipeline import neighbours, versions_of_models
from dicom_ai.pipeline.neighbours import Change, Waiting
from dicom_ai.sections import DestinationSettings
from dicom_ai.storage import callers, model_runs, models_off, signs, traffic
from dicom_ai.storage import neighbours as stored_neighbours
from dicom_ai.storage.database import Session
from dicom_ai.storage.neighbours import SECRET, StoredNeighbours
from dicom_ai.web.api.access import ADMINISTRATOR, OPERATOR, VIEWER, ApiCall, Call, Calling, Name, Text, Version, found

Parameter = str | int | float | bool
Seen = Annotated[Version, Field(description="the version that the change was made on")]


class NewDestination(BaseModel):
    """A destination to add, or as it shall be. A secret parameter that is left out of a known one stays."""

    name: Name
    kind: Name
    parameters: Annotated[dict[Name, Parameter], Field(max_length=50)] = {}
    outputs: Annotated[list[Name], Field(max_length=20)] | None = None
    largest_mb: float = 0
    most_per_hour: int | None = None
    seen: Seen
    why: Text = ""


class NewPeer(BaseModel):
    """A peer to let in, or from where it may come. addresses: none: any."""

    ae_title: Name
    addresses: Annotated[list[Name], Field(max_length=100)] = []
    seen: Seen
    why: Text = ""


class Remove(BaseModel):
    """What to leave out. waiting: what becomes of results that wait for a destination."""

    seen: Seen
    waiting: Waiting | None = None
    why: Text = ""


class RollBack(BaseModel):
    """The version of destinations and peers to make the newest."""

    version: Version
    seen: Seen
    why: Text = ""


class Try(BaseModel):
    """What to try: whether it answers, what it accepts, or a test object stored there."""

    what: TrialKind


class Turn(BaseModel):
    """Whether a model makes analyses."""

    on: bool
    why: Text = ""


def list_destinations(call: Calling) -> dict[str, Any]:
    """Return the destinations with what waits for each, without secrets."""
    with call.database.read() as session:
        stored = _in_force(call, session)
        rows = [
            _shown(item) | {"traffic": asdict(traffic.of_destination(session, item.name))}
            for item in stored.neighbours.destinations
        ]
    return {"version": stored.version, "destinations": rows}


def show_destination(call: Calling, name: Name) -> dict[str, Any]:
    """Return a destination, what waits for it, and what trials by hand showed."""
    with call.database.read() as session:
        item = found(_in_force(call, session).neighbours.destination(name), "destination")
        tried = {kind: asdict(trial) for kind, trial in traffic.trials(session, name).items()}
        return _shown(item) | {"traffic": asdict(traffic.of_destination(session, name)), "trials": tried}


def add_destination(call: Calling, wanted: NewDestination) -> dict[str, Any]:
    """Add a destination; it holds at once."""
    return _put(call, wanted, neighbours.add_destination)


def change_destination(call: Calling, wanted: NewDestination) -> dict[str, Any]:
    """Change the destination of that name; it holds at once."""
    return _put(call, wanted, neighbours.change_destination)


def remove_destination(call: Calling, name: Name, wanted: Remove) -> dict[str, Any]:
    """Remove a destination."""
    change, home = Change(call.who, wanted.why.strip(), wanted.seen), call.app.neighbours.home
    return _changed(
        call,
        lambda session: neighbours.remove_destination(session, home, name, change, waiting=wanted.waiting),
    )


def try_destination(call: Calling, name: Name, wanted: Try) -> list[dict[str, Any]]:
    """Call a destination, ask what it accepts, or store a test object there; return what came of it."""
    with call.database.read() as session:
        item = found(_in_force(call, session).neighbours.destination(name), "destination")
    destination = neighbours.destination_of(call.app.neighbours.home, item)
    said = neighbours.try_destination(call.database, destination, wanted.what, who=call.who)
    return [{"ok": one.ok, "says": one.says, "output": one.output} for one in said]


def send_again(call: Calling, name: Name) -> dict[str, int]:
    """Send again what did not arrive, and at once what waits for its next try."""
    with call.database.write() as session:
        found(_in_force(call, session).neighbours.destination(name), "destination")
        repeated = traffic.send_again(session, name, who=call.who)
        return {"repeated": repeated, "hurried": traffic.try_now(session, name, who=call.who)}


def list_peers(call: Calling) -> dict[str, Any]:
    """Return who may send images, and who called or was not let in."""
    with call.database.read() as session:
        stored = _in_force(call, session)
        contacts = [asdict(item) for item in callers.contacts(session)]
    known = stored.neighbours
    peers = [peer.model_dump(mode="json") for peer in known.each_peer]
    return {"version": stored.version, "peers": peers, "contacts": contacts}


def add_peer(call: Calling, wanted: NewPeer) -> dict[str, Any]:
    """Let a peer connect."""
    return _put_peer(call, wanted, neighbours.add_peer)


def change_peer(call: Calling, wanted: NewPeer) -> dict[str, Any]:
    """Change where a peer may come from."""
    return _put_peer(call, wanted, neighbours.change_peer)


def remove_peer(call: Calling, name: Name, wanted: Remove) -> dict[str, Any]:
    """Let a peer no longer connect."""
    change, home = Change(call.who, wanted.why.strip(), wanted.seen), call.app.neighbours.home
    return _changed(call, lambda session: neighbours.remove_peer(session, home, name, change))


def list_versions(call: Calling, most: Annotated[int, Query(ge=1, le=1000)] = 50) -> list[dict[str, Any]]:
    """Return the versions of destinations and peers, newest first."""
    with call.database.read() as session:
        return [_version(item) for item in stored_neighbours.history(session, most=most)]


def roll_back(call: Calling, wanted: RollBack) -> dict[str, Any]:
    """Make an older version of destinations and peers the newest."""
    change, home = Change(call.who, wanted.why.strip(), wanted.seen), call.app.neighbours.home
    return _changed(call, lambda session: neighbours.roll_back(session, home, wanted.version, change))


def list_models(call: Calling) -> list[dict[str, Any]]:
    """Return the models: release, licence, digests, whether their files are right, what runs them, on or off."""
    models = installed(call.app.models_folder)
    with call.database.read() as session:
        return [_model(session, item) for item in models]


def show_model(call: Calling, name: Name) -> dict[str, Any]:
    """Return a model with its card."""
    item = _installed(call, name)
    with call.database.read() as session:
        return _model(session, item) | {"card": item.card}


def turn_model(call: Calling, name: Name, wanted: Turn) -> dict[str, bool]:
    """Turn a model on or off; changed is false where it was so already."""
    _installed(call, name)
    change = models_off.turn_on if wanted.on else models_off.turn_off
    with call.database.write() as session:
        return {"changed": change(session, name, who=call.who, why=wanted.why.strip())}


def compare_models(call: Calling, name: Name, other: Name) -> dict[str, Any]:
    """Return what two models found on the studies that both have seen."""
    with call.database.read() as session:
        compared = versions_of_models.compare(session, name, other)
    call.viewed_many(sorted({study.study_uid for study in compared.studies}))
    return asdict(compared)


CALLS = (
    ApiCall("GET", "/destinations", list_destinations, VIEWER),
    ApiCall("POST", "/destinations/add", add_destination, ADMINISTRATOR),
    ApiCall("POST", "/destinations/change", change_destination, ADMINISTRATOR),
    ApiCall("GET", "/destinations/{name}", show_destination, VIEWER),
    ApiCall("POST", "/destinations/{name}/remove", remove_destination, ADMINISTRATOR),
    ApiCall("POST", "/destinations/{name}/try", try_destination, OPERATOR),
    ApiCall("POST", "/destinations/{name}/send-again", send_again, OPERATOR),
    ApiCall("GET", "/peers", list_peers, VIEWER),
    ApiCall("POST", "/peers/add", add_peer, ADMINISTRATOR),
    ApiCall("POST", "/peers/change", change_peer, ADMINISTRATOR),
    ApiCall("POST", "/peers/{name}/remove", remove_peer, ADMINISTRATOR),
    ApiCall("GET", "/neighbours/versions", list_versions, VIEWER),
    ApiCall("POST", "/neighbours/roll-back", roll_back, ADMINISTRATOR),
    ApiCall("GET", "/models", list_models, VIEWER),
    ApiCall("GET", "/models/{name}", show_model, VIEWER),
    ApiCall("POST", "/models/{name}/turn", turn_model, ADMINISTRATOR),
    ApiCall("GET", "/models/{name}/compared/{other}", compare_models, VIEWER),
)


def _in_force(call: Call, session: Session) -> StoredNeighbours:
    return stored_neighbours.in_force(session, call.app.neighbours.home.file)


def _shown(item: DestinationSettings) -> dict[str, Any]:
    """Return a destination; of a secret only that there is one."""
    known = item.model_dump(mode="json")
    hidden = {key: "(set)" for key in SECRET if known["parameters"].get(key)}
    return known | {"parameters": known["parameters"] | hidden}


def _put(call: Call, wanted: NewDestination, put: Callable[..., StoredNeighbours]) -> dict[str, Any]:
    values = wanted.model_dump(exclude={"seen", "why"}, exclude_none=True)
    with call.database.read() as session:
        before = _in_force(call, session).neighbours.destination(wanted.name)
    if before is not None:
        kept = {key: value for key, value in before.parameters.items() if key in SECRET}
        values["parameters"] = kept | values["parameters"]
    item = neighbours.destination_from(values)
    change, home = Change(call.who, wanted.why.strip(), wanted.seen), call.app.neighbours.home
    return _changed(call, lambda session: put(session, home, item, change))


def _put_peer(call: Call, wanted: NewPeer, put: Callable[..., StoredNeighbours]) -> dict[str, Any]:
    peer = neighbours.peer_from({"ae_title": wanted.ae_title.strip(), "addresses": wanted.addresses})
    change, home = Change(call.who, wanted.why.strip(), wanted.seen), call.app.neighbours.home
    return _changed(call, lambda session: put(session, home, peer, change))


def _changed(call: Call, change: Callable[[Session], StoredNeighbours]) -> dict[str, Any]:
    """Make a change, and work with it from now on."""
    with call.database.write() as session:
        saved = change(session)
    call.app.neighbours.forget()
    return _version(saved)


def _version(item: StoredNeighbours) -> dict[str, Any]:
    return {"version": item.version, "created_at": item.created_at, "author": item.author, "note": item.note}


def _installed(call: Call, name: str) -> Installed:
    try:
        return look(call.app.models_folder, name)
    except ModelError as error:
        raise HTTPException(404, str(error)) from error


def _model(session: Session, item: Installed) -> dict[str, Any]:
    off = models_off.all_of(session).get(item.name)
    manifest = item.manifest
    return {
        "name": item.name,
        "release": manifest.version if manifest else None,
        "licence": manifest.licence if manifest else None,
        "digests": dict(item.digests),
        "size_bytes": item.size_bytes,
        "problems": list(item.problems),
        "devices": [asdict(device) for device in signs.devices(session) if device.model == item.name],
        "work": asdict(model_runs.work_of(session, item.name)),
        "off": asdict(off) if off else None,
    }
