"""The earlier report that a study is compared with: looked for in the archive just before the study is reported.

Whatever the archive does, the report is made: after a time limit it goes without a comparison and says so.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from dicom_ai.analysis.prior import Earlier
from dicom_ai.destinations.earlier_reports import Means, Retrieve, newest_report
from dicom_ai.dicom.sr_reader import Report
from dicom_ai.domain.destination import Destination
from dicom_ai.domain.prior import Examination
from dicom_ai.errors import DicomAiError, PeerUnavailable
from dicom_ai.storage import holdings, results, transfers
from dicom_ai.storage.database import Database

NOT_KNOWN_WHO = "the images do not name patient ID and birth date: nobody could tell whose report it is"
NO_DATE = "the study has no date"
NONE_THERE = "the archive has no earlier report of this product on this patient"
WITHDRAWN = "the earlier report was recalled"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Asker:
    """What asking needs. path: file store path -> file. ae_title: of the listener. limit_s: longest wait in all."""

    database: Database
    path: Callable[[str], Path]
    archive: Destination
    ae_title: str
    retrieve: Retrieve
    limit_s: float


def find(asker: Asker, examination: Examination) -> Earlier:
    """Return the newest earlier report of the patient, or why there is none to compare with."""
    if not examination.person.is_known:
        return Earlier(reason=NOT_KNOWN_WHO)
    if not examination.study_date:
        return Earlier(reason=NO_DATE)
    with asker.database.write() as session:
        transfers.queried(session, "reporter", asker.archive, [examination.study_uid], purpose="an earlier report")
    fetched: list[str] = []

    def arrived(sop_instance_uid: str) -> Path | None:
        fetched.append(sop_instance_uid)
        with asker.database.read() as session:
            kept = holdings.path_of_asked(session, sop_instance_uid)
        return asker.path(kept) if kept else None

    means = Means(asker.retrieve, asker.ae_title, arrived, asker.limit_s)
    try:
        report = _within(asker.limit_s, lambda: newest_report(asker.archive, examination, means), asker.archive.name)
    except DicomAiError as error:
        log.warning("no earlier report", study_uid=examination.study_uid, reason=str(error))
        return Earlier(reason=str(error), failed=True)
    finally:
        _let_go(asker, fetched)
    if report is None:
        return Earlier(reason=NONE_THERE)
    with asker.database.read() as session:
        if results.is_withdrawn(session, report.sop_instance_uid):
            return Earlier(reason=WITHDRAWN)
    log.info("earlier report", study_uid=examination.study_uid, sop_instance_uid=report.sop_instance_uid)
    return Earlier(report)


def _let_go(asker: Asker, fetched: list[str]) -> None:
    with asker.database.write() as session:
        for uid in fetched:
            holdings.let_go_asked(session, uid)


def _within(limit_s: float, work: Callable[[], Report | None], name: str) -> Report | None:
    """Return what the work returns, or raise what it raises; PeerUnavailable when it takes longer.

    An archive that answers drop by drop keeps every timeout of its own: so the whole is waited for, not each answer.
    What was given up ends by those timeouts.
    """
    found: list[Report | None] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            raised.append(error)

    thread = threading.Thread(target=run, name="prior", daemon=True)
    thread.start()
    thread.join(limit_s)
    if raised:
        raise raised[0]
    if not found:
        raise PeerUnavailable(f"{name}: no answer within {limit_s:g} s")
    return found[0]
