"""The peers: who may send images to the node, who called lately, and who was not let in."""

from typing import Annotated

from fastapi import Form
from starlette.responses import Response

from dicom_ai.errors import ConfigError
from dicom_ai.pipeline import neighbours
from dicom_ai.pipeline.neighbours import Change
from dicom_ai.storage import callers
from dicom_ai.web.pages.destinations import Seen, Why, in_force
from dicom_ai.web.visit import Visit, Visiting

AeTitle = Annotated[str, Form(max_length=64)]
Addresses = Annotated[str, Form(max_length=2000)]


def show(visit: Visiting) -> Response:
    """Show who may connect, and who called."""
    return _page(visit)


def save(
    visit: Visiting,
    ae_title: AeTitle,
    seen: Seen,
    addresses: Addresses = "",
    is_new: Annotated[bool, Form()] = False,
    why: Why = "",
) -> Response:
    """Let a peer connect, or change where it may come from."""
    put = neighbours.add_peer if is_new else neighbours.change_peer
    try:
        words = addresses.replace(",", " ").split()
        peer = neighbours.peer_from({"ae_title": ae_title.strip(), "addresses": words})
        with visit.database.write() as session:
            saved = put(session, visit.app.neighbours.home, peer, Change(visit.who, why.strip(), seen))
    except ConfigError as error:
        return _page(visit, problem=str(error), ae_title=ae_title, addresses=addresses)
    visit.app.neighbours.forget()
    return visit.go("/peers", notice=f"{peer.ae_title} may connect: version {saved.version}. It holds at once.")


def remove(visit: Visiting, ae_title: AeTitle, seen: Seen, why: Why = "") -> Response:
    """Let a peer no longer connect."""
    with visit.database.write() as session:
        change = Change(visit.who, why.strip(), seen)
        saved = neighbours.remove_peer(session, visit.app.neighbours.home, ae_title, change)
    visit.app.neighbours.forget()
    return visit.go("/peers", notice=f"{ae_title} may no longer connect: version {saved.version}.")


def _page(visit: Visit, *, problem: str = "", ae_title: str = "", addresses: str = "") -> Response:
    with visit.database.read() as session:
        stored = in_force(visit, session)
        contacts, strangers = callers.contacts(session), callers.turned_away(session)
    known = stored.neighbours
    node, tls = visit.app.settings.node, visit.app.settings.tls
    return visit.page(
        "peers.html",
        status=422 if problem else 200,
        stored=stored,
        peers=known.each_peer,
        contacts={title: [item for item in contacts if item.calling_ae_title == title] for title in known.ae_titles},
        strangers=strangers,
        node=node,
        tls=tls,
        problem=problem,
        ae_title=ae_title,
        addresses=addresses,
    )
