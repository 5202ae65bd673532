"""Studies, series and received images: what came, when, and which series have changed since routing saw them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from dicom_ai.domain.received import ReceivedInstance, Recorded
from dicom_ai.storage import associations, audit, holdings
from dicom_ai.storage.database import lock_study, now
from dicom_ai.storage.tables import InstanceRow, ResultRow, SeriesRow, StudyRow


@dataclass(frozen=True, slots=True)
class KeptSeries:
    """A series as it lies in storage: its images, the digest over them, and whether routing has seen them all.

    paths: of its images, relative to the file store, in the order of arrival. digest: over UIDs and bytes, in hex.
    routed: routing has seen these very images; seen_before: it has seen the series at all. deleted: how many more
    images it had, which retention has deleted.
    """

    study_uid: str
    series_uid: str
    paths: tuple[str, ...]
    digest: str
    revision: int
    routed: bool
    seen_before: bool
    last_received_at: float
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class StudyAge:
    """What tells how old a study was when it came. study_date: as sent, may be empty or malformed.

    asked: a person wants it analysed, whatever its age.
    """

    study_date: str
    first_received_at: float
    asked: bool


def record_instance(session: Session, received: ReceivedInstance) -> Recorded:
    """Note an image whose bytes are durable; the transaction's commit allows the Success answer.

    Only NEW opens its series again and sets the times that quietness is counted from.
    """
    lock_study(session, received.study_uid)
    known = session.scalars(
        sa.select(InstanceRow.sha256).where(InstanceRow.sop_instance_uid == received.sop_instance_uid)
    ).all()
    if received.sha256 in known:
        return Recorded.DUPLICATE
    recorded = _judge(session, received, known=bool(known))
    session.add(_instance_row(received, "kept" if recorded is Recorded.NEW else recorded.value))
    if recorded is Recorded.NEW:
        _touch(session, received)
    if recorded is Recorded.CONFLICT:
        audit.record(session, "listener", "conflict", f"instance {received.sop_instance_uid}")
    session.flush()
    return recorded


def unrouted(session: Session, *, quiet_s: float) -> Sequence[str]:
    """Return the studies with a series that routing has not seen and that has been quiet for quiet_s.

    A study waits while images still come for a series that was routed before: what it asked for must stay comparable.
    """
    before = now(session) - quiet_s
    late = aliased(SeriesRow)
    still_coming = sa.exists().where(
        late.study_uid == SeriesRow.study_uid,
        late.revision != late.routed_revision,
        late.routed_revision > 0,
        late.last_received_at > before,
    )
    query = (
        sa.select(SeriesRow.study_uid)
        .where(_changed(), SeriesRow.last_received_at <= before, ~still_coming)
        .group_by(SeriesRow.study_uid)
        .order_by(sa.func.min(SeriesRow.last_received_at))
    )
    return session.scalars(query).all()


def claim_for_routing(session: Session, *, quiet_s: float, lease_s: float) -> str | None:
    """Take the study that waits longest for routing, so that no other worker routes it meanwhile; None without one."""
    for study_uid in unrouted(session, quiet_s=quiet_s):
        taken = session.execute(
            sa.update(StudyRow)
            .where(StudyRow.study_uid == study_uid, _lapsed(StudyRow.routing_until, now(session)))
            .values(routing_until=now(session) + lease_s)
        )
        if taken.rowcount == 1:  # type: ignore[attr-defined]
            return study_uid
    return None


def series_of(session: Session, study_uid: str) -> Sequence[KeptSeries]:
    """Return the series of a study with their processed images, in order of arrival."""
    series = session.scalars(
        sa.select(SeriesRow)
        .where(SeriesRow.study_uid == study_uid)
        .order_by(SeriesRow.first_received_at, SeriesRow.series_uid)
    ).all()
    return tuple(_kept_series(session, row) for row in series)


def paths_of(session: Session, study_uid: str, series_uid: str) -> tuple[str, ...]:
    """Return where the processed images of a series lie, in order of arrival."""
    return tuple(row.path for row in _instances(session, study_uid, series_uid))


def mark_routed(session: Session, series: KeptSeries, *, facts: Mapping[str, Any] | None) -> None:
    """Note that routing has seen this revision of a series; images that came meanwhile leave it open."""
    row = session.get_one(SeriesRow, (series.study_uid, series.series_uid))
    row.routed_revision = series.revision
    row.input_digest = series.digest
    if facts is not None:
        row.facts = dict(facts)


def release_routing(session: Session, study_uid: str, *, quiet_s: float | None) -> None:
    """End the turn taken by claim_for_routing, and keep the quiet time that the rules chose for the study."""
    row = session.get_one(StudyRow, study_uid)
    row.routing_until = None
    row.quiet_s = quiet_s


def age_of(session: Session, study_uid: str) -> StudyAge:
    """Return what tells how old a study was when it came."""
    row = session.get_one(StudyRow, study_uid)
    return StudyAge(row.study_date, row.first_received_at, row.asked_at is not None)


def last_received_at(session: Session) -> float | None:
    """Return when the last image came; None before the first."""
    return session.scalar(sa.select(sa.func.max(StudyRow.last_received_at)))


def ask_for(session: Session, study_uid: str, *, who: str) -> bool:
    """Note that a person wants a study analysed whatever its age, and let it be routed again; False where unknown."""
    lock_study(session, study_uid)
    row = session.get(StudyRow, study_uid)
    if row is None:
        return False
    row.asked_at = now(session)
    session.execute(sa.update(SeriesRow).where(SeriesRow.study_uid == study_uid).values(routed_revision=0))
    audit.record(session, who, "analysis asked for", f"study {study_uid}")
    session.flush()
    return True


def is_quiet(session: Session, study_uid: str, *, quiet_s: float, stale_s: float) -> bool:
    """Say whether a study may be reported: every series routed, quiet long enough, no association delivering it.

    quiet_s: the node's own; a rule's choice, kept with the study, goes before it.
    """
    study = session.get_one(StudyRow, study_uid)
    wait_s = quiet_s if study.quiet_s is None else study.quiet_s
    return (
        study.last_received_at <= now(session) - wait_s
        and not is_open(session, study_uid)
        and not associations.delivering(session, study_uid, stale_s=stale_s)
    )


def is_open(session: Session, study_uid: str) -> bool:
    """Say whether a series of the study has images that routing has not seen."""
    query = sa.select(sa.exists().where(SeriesRow.study_uid == study_uid, _changed()))
    return bool(session.scalar(query))


def is_own(session: Session, received: ReceivedInstance) -> bool:
    """Say whether the node made an object: it says so itself, or its UIDs are those of a result."""
    return received.manufacturer_own or _is_result(session, received)


def digest_of(images: Sequence[tuple[str, str]]) -> str:
    """Return one digest over (SOP instance UID, SHA-256) pairs, whatever their order."""
    lines = sorted(f"{uid} {sha256}" for uid, sha256 in images)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _judge(session: Session, received: ReceivedInstance, *, known: bool) -> Recorded:
    if is_own(session, received):
        return Recorded.OWN
    return Recorded.CONFLICT if known else Recorded.NEW


def _is_result(session: Session, received: ReceivedInstance) -> bool:
    made_here = sa.or_(
        ResultRow.sop_instance_uid == received.sop_instance_uid, ResultRow.series_uid == received.series_uid
    )
    return bool(session.scalar(sa.select(sa.exists().where(made_here))))


def _instance_row(received: ReceivedInstance, standing: str) -> InstanceRow:
    return InstanceRow(
        study_uid=received.study_uid,
        series_uid=received.series_uid,
        sop_instance_uid=received.sop_instance_uid,
        sop_class_uid=received.sop_class_uid,
        transfer_syntax_uid=received.transfer_syntax_uid,
        sha256=received.sha256,
        size_bytes=received.size_bytes,
        path=received.path,
        standing=standing,
        received_at=received.received_at,
        calling_ae_title=received.calling_ae_title,
        called_ae_title=received.called_ae_title,
        peer_address=received.peer_address,
        association_id=received.association_id,
    )


def _touch(session: Session, received: ReceivedInstance) -> None:
    """Open the series, and set the times of series and study to now: the answer is given after this commit."""
    at = now(session)
    study = session.get(StudyRow, received.study_uid)
    if study is None:
        study = StudyRow(study_uid=received.study_uid, first_received_at=at, last_received_at=at)
        study.patient_id = _text(received.patient_id)
        study.accession = _text(received.accession)
        study.study_date = _text(received.study_date)
        study.patient_name = _text(received.patient_name)
        session.add(study)
        session.flush()
    study.last_received_at = at
    series = session.get(SeriesRow, (received.study_uid, received.series_uid))
    if series is None:
        series = SeriesRow(study_uid=received.study_uid, series_uid=received.series_uid, first_received_at=at)
        series.modality = _text(received.modality)
        series.revision = 0
        session.add(series)
    series.revision += 1
    series.last_received_at = at


def _text(value: str) -> str:
    return value.replace("\0", "")  # PostgreSQL refuses NUL, which some senders pad with


def _changed() -> sa.ColumnElement[bool]:
    return SeriesRow.revision != SeriesRow.routed_revision


def _lapsed(column: Any, at: float) -> sa.ColumnElement[bool]:
    return sa.or_(column.is_(None), column < at)


def _instances(session: Session, study_uid: str, series_uid: str) -> Sequence[InstanceRow]:
    return session.scalars(
        sa.select(InstanceRow)
        .where(InstanceRow.study_uid == study_uid, InstanceRow.series_uid == series_uid, InstanceRow.standing == "kept")
        .order_by(InstanceRow.id)
    ).all()


def _kept_series(session: Session, row: SeriesRow) -> KeptSeries:
    instances = _instances(session, row.study_uid, row.series_uid)
    return KeptSeries(
        study_uid=row.study_uid,
        series_uid=row.series_uid,
        paths=tuple(instance.path for instance in instances),
        digest=digest_of([(instance.sop_instance_uid, instance.sha256) for instance in instances]),
        revision=row.revision,
        routed=row.revision == row.routed_revision,
        seen_before=row.routed_revision > 0,
        last_received_at=row.last_received_at,
        deleted=_deleted(session, row),
    )


def _deleted(session: Session, row: SeriesRow) -> int:
    query = sa.select(sa.func.count()).where(
        InstanceRow.study_uid == row.study_uid,
        InstanceRow.series_uid == row.series_uid,
        InstanceRow.standing.in_((holdings.DELETING, holdings.DELETED)),
    )
    return session.scalar(query) or 0
