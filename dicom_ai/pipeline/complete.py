"""What has become complete: series that wait for routing, and studies whose report may begin."""

from dataclasses import dataclass

from dicom_ai.storage import runs, studies, versions
from dicom_ai.storage.database import Database
from dicom_ai.storage.runs import Patience


@dataclass(frozen=True, slots=True)
class Completed:
    """What a look at the database found: studies to compare or to route, and runs whose report was queued."""

    studies_to_route: tuple[str, ...]
    reports_begun: tuple[int, ...]


def run(database: Database, *, series_quiet_s: float, patience: Patience) -> Completed:
    """Queue every report that may begin, and say which studies have quiet series that routing has not seen.

    Safe to call at any time, any number of times, by any number of processes.
    """
    with database.write() as session:
        runs.settle_parked(session)
        runs.reopen_partial(session)
        begun = runs.begin_due_reports(session, patience)
        to_route = {*versions.waiting(session), *studies.unrouted(session, quiet_s=series_quiet_s)}
    return Completed(tuple(to_route), tuple(begun))
