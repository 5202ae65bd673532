"""What two versions of the rules differ in, and who made every version between them."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from dicom_ai.routing.changes import changes
from dicom_ai.storage import rules
from dicom_ai.web.visit import Visiting

Version = Annotated[int, Query(ge=1, le=2**31 - 1)]


def show(visit: Visiting, old: Version, new: Version) -> Response:
    """Show two versions side by side, the older first."""
    old, new = sorted((old, new))
    with visit.database.read() as session:
        before, after = rules.version(session, old), rules.version(session, new)
        versions = [item for item in rules.history(session) if old < item.version <= new]
    return visit.page(
        "rules_compare.html",
        before=before,
        after=after,
        versions=versions,
        changes=changes(before.rule_set, after.rule_set),
    )
