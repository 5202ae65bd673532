"""The list of studies: search, one page at a time."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from dicom_ai.domain.browsing import Place, Progress, Search
from dicom_ai.storage import browse
from dicom_ai.storage.browse import Page
from dicom_ai.web.visit import Visit, Visiting

MOST = 25
"""Studies on a page."""

Text = Annotated[str, Field(max_length=128)]


class Asked(BaseModel):
    """What an address asks for."""

    patient: Text = ""
    accession: Text = ""
    date_from: Text = ""
    date_to: Text = ""
    state: Text = ""
    before: Text = ""
    after: Text = ""

    @property
    def search(self) -> Search:
        """What to look for; a date or state that is none counts as not asked."""
        return Search(
            self.patient.strip(),
            self.accession.strip(),
            _date(self.date_from),
            _date(self.date_to),
            _progress(self.state),
        )


def show(visit: Visiting, asked: Annotated[Asked, Query()]) -> Response:
    """Show the newest studies that fit, or those beside a place."""
    wanted = asked.search
    with visit.database.read() as session:
        page = browse.search(
            session, wanted, before=Place.parse(asked.before), after=Place.parse(asked.after), most=MOST
        )
    visit.viewed_many([study.study_uid for study in page.studies])
    return visit.page(
        "studies.html",
        page=page,
        wanted=wanted,
        states=list(Progress),
        is_search=wanted != Search(),
        **_links(visit, page),
    )


def _links(visit: Visit, page: Page) -> Mapping[str, Any]:
    return {
        "newer": visit.here(after=page.newer.text, before="") if page.newer else "",
        "older": visit.here(before=page.older.text, after="") if page.older else "",
    }


def _date(text: str) -> str:
    """Return a date as DICOM writes it; browsers send it with hyphens."""
    digits = text.replace("-", "")
    return digits if len(digits) == 8 and digits.isdigit() else ""


def _progress(text: str) -> Progress | None:
    return Progress(text) if text in set(Progress) else None
