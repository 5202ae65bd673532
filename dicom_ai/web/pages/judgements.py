"""What people made of the results of a month, by scanner and level."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from dicom_ai.domain.judgement import Verdict
from dicom_ai.storage import judgements
from dicom_ai.web.visit import Visiting


def show(visit: Visiting, month: Annotated[str, Query(max_length=7)] = "") -> Response:
    """Show a month, this one where none is named."""
    zone = visit.site.pages.zone
    try:
        begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=zone)
    except ValueError:
        begin = datetime.now(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    with visit.database.read() as session:
        rows = judgements.tally(session, begin=begin.timestamp(), end=end.timestamp())
    return visit.page("judgements.html", month=begin.strftime("%Y-%m"), rows=rows, verdicts=list(Verdict))
