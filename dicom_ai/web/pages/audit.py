"""The audit trail: who did what, and who looked at which study; for administrators."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from dicom_ai.storage import audit
from dicom_ai.web import trail
from dicom_ai.web.trail import Asked, Before
from dicom_ai.web.visit import Visiting

MOST = 50
"""Events on a page."""


class AskedPage(Asked):
    """What an address asks for. before: the number of the last event of the page before."""

    before: Before = None


def show(visit: Visiting, asked: Annotated[AskedPage, Query()]) -> Response:
    """Show the newest events that fit, or those older than one."""
    wanted = asked.search(visit.site.pages.zone)
    with visit.database.read() as session:
        found = audit.search(session, wanted, before=asked.before, most=MOST + 1)
        actors, actions = audit.actors(session), audit.actions(session)
    if asked.before is None:
        trail.note_look(visit.database, visit.who, asked)
    return visit.page(
        "audit.html",
        events=[(event, trail.study_of(event), trail.detail_text(event)) for event in found[:MOST]],
        asked=asked,
        actors=actors,
        actions=actions,
        newest=visit.here(before="") if asked.before else "",
        older=visit.here(before=found[MOST - 1].id) if len(found) > MOST else "",
        export=visit.here(before="").replace("/audit", "/audit/trail.csv", 1),
    )


def export(visit: Visiting, asked: Annotated[Asked, Query()]) -> Response:
    """Return every event that fits as CSV."""
    trail.note_look(visit.database, visit.who, asked, exported=True)
    return trail.download(visit.database, asked.search(visit.site.pages.zone))
