"""What has become complete: series that wait for routing, and studies whose report may begin."""

from dataclasses import dataclass

from dicom_ai.storage import evidence, holds, runs, studies, versions
from dicom_ai.storage.database import Database
from dicom_ai.storage.evidence import LOOK_S, SETTLE_S
from dicom_ai.storage.holds import HELD_AGAIN_S, HoldKind
from dicom_ai.storage.runs import Patience


@dataclass(frozen=True, slots=True)
class Completed:
    """What a look at the database found, and runs whose report was queued.

    studies_due: those to compare, to route, to ask a destination about again, or to look at for evidence.
    """

    studies_due: tuple[str, ...]
    reports_begun: tuple[int, ...]


def run(database: Database, *, series_quiet_s: float, patience: Patience) -> Completed:
    """Queue every report that may begin, and say which studies have quiet series that routing has not seen.

    Safe to call at any time, any number of times, by any number of processes.
    """
    with database.write() as session:
        runs.settle_parked(session)
        runs.reopen_partial(session)
        begun = runs.begin_due_reports(session, patience)
        due = {*versions.waiting(session), *studies.unrouted(session, quiet_s=series_quiet_s)}
        due.update(evidence.waiting(session, settle_s=SETTLE_S, look_s=LOOK_S))
        due.update(holds.stale(session, HoldKind.DESTINATION, every_s=HELD_AGAIN_S))
    return Completed(tuple(due), tuple(begun))
