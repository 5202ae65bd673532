"""An image whose UID was known came with other bytes: a duplicate, a correction of patient or study, or another image.

Pixels are decoded here, by a worker, and never while a sender waits for its answer. Until an image has been compared
nothing of its study is routed, reported or sent.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from dicom_ai.dicom.likeness import Difference, difference, identity_of
from dicom_ai.errors import NotDicom
from dicom_ai.storage import holds, studies, versions, withdrawals
from dicom_ai.storage.database import Database, Session, lock_study
from dicom_ai.storage.holdings import CONFLICT, SPARE
from dicom_ai.storage.holds import HoldKind, NewHold
from dicom_ai.storage.versions import Pair, Who

AT_ONCE = 20
"""Images compared in one turn; another worker may have the next."""

WHO = "compare"
OLDER = "images came again as they were before a correction"
OTHER = "images came again with other pixels, or another place in the body, under the same UID"
UNREADABLE = "images came again under the same UID and cannot be compared"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Comparer:
    """What comparing needs. path: file store path -> file."""

    database: Database
    path: Callable[[str], Path]
    lease_s: float


def run(comparer: Comparer) -> str | None:
    """Compare images of the study that waits longest; return its UID, or None when none waits."""
    with comparer.database.write() as session:
        study_uid = studies.claim_for_comparing(session, lease_s=comparer.lease_s)
    if study_uid is None:
        return None
    with comparer.database.read() as session:
        pairs = versions.pairs(session, study_uid, most=AT_ONCE)
    try:
        for pair in pairs:
            _compare(comparer, pair)
    finally:
        with comparer.database.write() as session:
            studies.release(session, study_uid)
    log.info("compared", study_uid=study_uid, images=len(pairs))
    return study_uid


def _compare(comparer: Comparer, pair: Pair) -> None:
    path = comparer.path(pair.path)
    try:
        newest = identity_of(path)
        if pair.kept_path is None:
            return _promote(comparer, pair, newest)
        kept = comparer.path(pair.kept_path)
        found, before = difference(kept, path), identity_of(kept)
    except NotDicom as error:
        log.warning("cannot be compared", sop_instance_uid=pair.sop_instance_uid, reason=str(error))
        with _writing(comparer, pair) as session:
            _conflict(session, pair, UNREADABLE, {})
        return None
    with _writing(comparer, pair) as session:
        if found.image:
            _conflict(session, pair, OTHER, {"differs": list(found.image)})
        elif not found.identity:
            versions.put_aside(session, pair.id, SPARE)
        elif pair.older:
            _conflict(session, pair, OLDER, _both(found, before, newest))
        else:
            _correct(session, pair, found, before, newest)


@contextmanager
def _writing(comparer: Comparer, pair: Pair) -> Iterator[Session]:
    """Yield a transaction in which nobody else changes the studies of a pair."""
    with comparer.database.write() as session:
        for study_uid in sorted({pair.study_uid, pair.kept_study_uid}):  # in order: two of them never wait in a circle
            lock_study(session, study_uid)
        yield session


def _promote(comparer: Comparer, pair: Pair, newest: Mapping[str, str]) -> None:
    """Let an image count whose rival has gone meanwhile."""
    with _writing(comparer, pair) as session:
        versions.take_over(session, pair.id, _who(newest))
        studies.hold_patients(session, pair.study_uid)


def _correct(
    session: Session, pair: Pair, found: Difference, before: Mapping[str, str], newest: Mapping[str, str]
) -> None:
    """Let the corrected image count; hold back what was made under the old identity, and tell a person."""
    if not versions.take_over(session, pair.id, _who(newest)):
        return
    for study_uid in sorted({pair.study_uid, pair.kept_study_uid}):
        why = f"{', '.join(found.identity)} of the images changed"
        withdrawals.withdraw_study(session, study_uid, why=why, who=WHO)
        left = len(withdrawals.listed(session, study_uid))
        report = "it is reported again under the newest identity"
        to_do = f"; {left} objects that were sent are to be withdrawn: dicom-ai results list" if left else ""
        new = NewHold(
            HoldKind.CORRECTION, study_uid, f"{why}: {report}{to_do}", blocks=False, detail=_both(found, before, newest)
        )
        holds.hold(session, new, who=WHO)
        studies.hold_patients(session, study_uid)


def _conflict(session: Session, pair: Pair, reason: str, detail: Mapping[str, Any]) -> None:
    """Keep both, and hold every study they belong to until a person decides."""
    if not versions.put_aside(session, pair.id, CONFLICT):
        return
    for study_uid in sorted({pair.study_uid, pair.kept_study_uid}):
        new = NewHold(HoldKind.CONFLICT, study_uid, reason, detail={**detail, "instance": pair.sop_instance_uid})
        holds.hold(session, new, who=WHO)


def _both(found: Difference, before: Mapping[str, str], newest: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that differ, for who decides."""
    return {key: [before.get(key, ""), newest.get(key, "")] for key in found.identity}


def _who(identity: Mapping[str, str]) -> Who:
    return Who(
        patient_id=identity.get("PatientID", ""),
        patient_name=identity.get("PatientName", ""),
        accession=identity.get("AccessionNumber", ""),
        study_date=identity.get("StudyDate", ""),
        modality=identity.get("Modality", ""),
    )
