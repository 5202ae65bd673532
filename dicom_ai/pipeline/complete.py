"""What has become complete: series that wait for routing, and studies whose report may begin."""

from dicom_ai.storage import evidence, holds, runs, studies, versions
from dicom_ai.storage.database import Database
from dicom_ai.storage.evidence import LOOK_S, SETTLE_S
from dicom_ai.storage.holds import HELD_AGAIN_S, HoldKind
from dicom_ai.storage.runs import Patience


def run(database: Database, *, series_quiet_s: float, patience: Patience) -> tuple[str, ...]:
    """Queue every report that may begin; return the studies that wait for another step.

    To be compared, routed, asked about again at a destination, or looked at for evidence that they are complete.

    Safe to call at any time, any number of times, by any number of processes.
    """
    with database.write() as session:
        runs.settle_parked(session)
        runs.reopen_partial(session)
        holds.lapse_empty(session)
        runs.begin_due_reports(session, patience)
        due = {*versions.waiting(session), *studies.unrouted(session, quiet_s=series_quiet_s)}
        due.update(evidence.waiting(session, settle_s=SETTLE_S, look_s=LOOK_S))
        due.update(holds.stale(session, HoldKind.DESTINATION, every_s=HELD_AGAIN_S))
    return tuple(due)
