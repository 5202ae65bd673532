"""The overview: what needs a person, then whether the node receives, analyses and delivers."""

from starlette.responses import Response

from dicom_ai.storage import jobs, outbox, pauses, runs, studies
from dicom_ai.storage.disk import disk_of
from dicom_ai.web.visit import Visiting


def show(visit: Visiting) -> Response:
    """Show the node at a glance."""
    app = visit.app
    with visit.database.read() as session:
        return visit.page(
            "overview.html",
            last_received_at=studies.last_received_at(session),
            jobs=jobs.counts(session),
            runs=runs.counts(session),
            deliveries=outbox.counts(session),
            destinations=outbox.statuses(session),
            pauses=pauses.all_of(session),
            disk=disk_of(app.files.root),
            disk_warning=disk_of(app.files.root).warning(reserve_bytes=app.files.reserve_bytes),
        )
