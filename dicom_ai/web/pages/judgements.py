"""What people made of the results of a month, by scanner and level."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from dicom_ai.domain.judgement import Verdict
from dicom_ai.storage import judgements
from dicom_ai.web.days import month_of
from dicom_ai.web.visit import Visiting


def show(visit: Visiting, month: Annotated[str, Query(max_length=7)] = "") -> Response:
    """Show a month, this one where none is named."""
    begin, end = month_of(month, visit.site.pages.zone)
    with visit.database.read() as session:
        rows = judgements.tally(session, begin=begin.timestamp(), end=end.timestamp())
    return visit.page("judgements.html", month=begin.strftime("%Y-%m"), rows=rows, verdicts=list(Verdict))
