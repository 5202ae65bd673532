"""What the audit trail says of images and results that travel: a row per study and peer, never one per object."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.destination import Destination
from dicom_ai.storage import audit, duties
from dicom_ai.storage.database import now
from dicom_ai.storage.outbox import Delivery
from dicom_ai.storage.tables import AssociationRow, AssociationStudyRow, AuditRow

DUTY = "received"
LEASE_S = 300.0
PAUSE_S = 60.0
"""What a peer sends of a study without a longer pause is one row, over however many associations."""

ASKED_AGAIN_S = 3600.0
"""The same question about the same study is told once within this time."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """What a peer sent of a study. images: also those that were there already."""

    calling_ae_title: str
    address: str
    study_uid: str
    images: int
    associations: int


def tell_received(session: Session, owner: str) -> int:
    """Tell of the images that came since the last time, for senders that pause; return how many rows that made."""
    if duties.take(session, DUTY, owner, lease_s=LEASE_S) is None:
        return 0
    batches = _batches(session)
    for batch in batches:
        detail: audit.Detail = {"address": batch.address, "images": batch.images, "associations": batch.associations}
        audit.record(session, batch.calling_ae_title, "images received", f"study {batch.study_uid}", detail)
        session.execute(
            sa.update(AssociationStudyRow)
            .where(AssociationStudyRow.study_uid == batch.study_uid, _untold(), _paused(session), _by(batch))
            .values(told=AssociationStudyRow.images)
            .execution_options(synchronize_session=False)
        )
    duties.done(session, DUTY, owner)
    return len(batches)


def begun(session: Session, destination: str, deliveries: Iterable[Delivery]) -> None:
    """Tell that results set out for a destination; not again when they are tried again."""
    for study_uid, objects in _by_study(item.study_uid for item in deliveries if not item.attempts).items():
        detail: audit.Detail = {"destination": destination, "objects": objects}
        audit.record(session, "sender", "sending begun", f"study {study_uid}", detail)


def sent(session: Session, destination: str, deliveries: Iterable[Delivery]) -> None:
    """Tell that results arrived at a destination."""
    for study_uid, objects in _by_study(item.study_uid for item in deliveries).items():
        detail: audit.Detail = {"destination": destination, "objects": objects}
        audit.record(session, "sender", "results sent", f"study {study_uid}", detail)


def queried(session: Session, who: str, destination: Destination, study_uids: Iterable[str], *, purpose: str) -> None:
    """Tell that a destination was asked about studies, unless that was told lately.

    who: the part of the node that asked. purpose: what it wanted to know.
    """
    detail: audit.Detail = {"destination": destination.name, "kind": destination.kind, "purpose": purpose}
    for study_uid in dict.fromkeys(study_uids):
        lately = sa.select(AuditRow.detail).where(
            AuditRow.action == "queried",
            AuditRow.subject == f"study {study_uid}",
            AuditRow.at > now(session) - ASKED_AGAIN_S,
        )
        if detail not in session.scalars(lately).all():
            audit.record(session, who, "queried", f"study {study_uid}", detail)


def _batches(session: Session) -> list[_Batch]:
    who = (AssociationRow.calling_ae_title, AssociationRow.peer_address, AssociationStudyRow.study_uid)
    query = (
        sa.select(*who, sa.func.sum(AssociationStudyRow.images - AssociationStudyRow.told), sa.func.count())
        .join(AssociationRow, AssociationRow.id == AssociationStudyRow.association_id)
        .where(_untold())
        .group_by(*who)
        .having(sa.func.max(AssociationStudyRow.last_at) <= now(session) - PAUSE_S)
        .order_by(sa.func.min(AssociationStudyRow.last_at))
    )
    return [_Batch(*row) for row in session.execute(query)]


def _untold() -> sa.ColumnElement[bool]:
    return sa.text("association_studies.images <> association_studies.told")  # type: ignore[return-value]


def _paused(session: Session) -> sa.ColumnElement[bool]:
    return AssociationStudyRow.last_at <= now(session) - PAUSE_S


def _by(batch: _Batch) -> sa.ColumnElement[bool]:
    return sa.exists().where(
        AssociationRow.id == AssociationStudyRow.association_id,
        AssociationRow.calling_ae_title == batch.calling_ae_title,
        AssociationRow.peer_address == batch.address,
    )


def _by_study(study_uids: Iterable[str]) -> Mapping[str, int]:
    return Counter(study_uids)
