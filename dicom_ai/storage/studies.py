"""Studies, series and received images: what came, when, and which series have changed since routing saw them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from dicom_ai.domain.received import ReceivedInstance, Recorded
from dicom_ai.storage import associations, audit, evidence, holdings, holds, versions
from dicom_ai.storage.database import lock_study, now
from dicom_ai.storage.holdings import AGAIN, ASKED, CONFLICT, KEPT, OWN, SPARE
from dicom_ai.storage.holds import HoldKind, NewHold
from dicom_ai.storage.tables import InstanceRow, ResultRow, SeriesRow, StudyRow


@dataclass(frozen=True, slots=True)
class KeptSeries:
    """A series as it lies in storage: its images, the digest over them, and whether routing has seen them all.

    paths: of its images, relative to the file store, in the order of arrival. digest: over UIDs and bytes, in hex.
    routed: routing has seen these very images; seen_before: it has seen the series at all. deleted: how many more
    images it had, which retention has deleted. evidence: why no more images are expected; "" while that is not known.
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
    evidence: str = ""


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

    Only NEW opens its series again and sets the times that quietness is counted from. A second patient under one
    study UID holds the study.
    """
    lock_study(session, received.study_uid)
    known = session.scalars(
        sa.select(InstanceRow).where(InstanceRow.sop_instance_uid == received.sop_instance_uid)
    ).all()
    same = next((row for row in known if row.sha256 == received.sha256), None)
    if same is not None:
        _compare_again(same, known)
        return Recorded.DUPLICATE
    recorded = _judge(session, received, {row.standing for row in known})
    row = _instance_row(received, _STANDING[recorded])
    session.add(row)
    if recorded not in UNTOUCHING:
        row.patient = _touch(session, received, opens=recorded is Recorded.NEW)
    session.flush()
    if recorded is Recorded.NEW:
        hold_patients(session, received.study_uid)
    return recorded


def hold_patients(session: Session, study_uid: str) -> None:
    """Hold a study whose images are of two patients, and end that hold when they are of one again."""
    if len(versions.groups(session, study_uid)) < 2:
        holds.settle(session, HoldKind.PATIENTS, study_uid, why="its images are of one patient again")
        return
    reason = "images of two patients came under one study UID: they are not reported together"
    detail = versions.described(session, study_uid)
    holds.hold(session, NewHold(HoldKind.PATIENTS, study_uid, reason, detail=detail), who="node")


def unrouted(session: Session, *, quiet_s: float) -> Sequence[str]:
    """Return the studies with a series that routing has not seen and that is complete, or quiet for quiet_s.

    A study waits while images still come for a series that was routed before: what it asked for must stay comparable;
    and while images that came again have not been compared with those that count.
    """
    before = now(session) - quiet_s
    late = aliased(SeriesRow)
    still_coming = sa.exists().where(
        late.study_uid == SeriesRow.study_uid,
        late.revision != late.routed_revision,
        late.routed_revision > 0,
        late.last_received_at > before,
        ~_has_evidence(late),
    )
    not_compared = sa.exists().where(*versions.waiting_in(SeriesRow.study_uid))
    ready = sa.or_(SeriesRow.last_received_at <= before, _has_evidence(SeriesRow))
    query = (
        sa.select(SeriesRow.study_uid)
        .where(_changed(), ready, ~still_coming, ~not_compared)
        .group_by(SeriesRow.study_uid)
        .order_by(sa.func.min(SeriesRow.last_received_at))
    )
    return session.scalars(query).all()


def claim_for_routing(session: Session, *, quiet_s: float, lease_s: float) -> str | None:
    """Take the study that waits longest for routing, so that no other worker routes it meanwhile; None without one."""
    return _claim(session, unrouted(session, quiet_s=quiet_s), lease_s)


def claim_for_comparing(session: Session, *, lease_s: float) -> str | None:
    """Take a study with images that came again and have not been compared, as for routing; None without one."""
    return _claim(session, versions.waiting(session), lease_s)


def release(session: Session, study_uid: str) -> None:
    """End the turn taken by claim_for_comparing."""
    session.get_one(StudyRow, study_uid).routing_until = None


def _claim(session: Session, study_uids: Sequence[str], lease_s: float) -> str | None:
    for study_uid in study_uids:
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


def mark_routed(
    session: Session, series: KeptSeries, *, facts: Mapping[str, Any] | None, derived: Mapping[str, Any] | None = None
) -> None:
    """Note that routing has seen this revision of a series; images that came meanwhile leave it open.

    facts: its header; derived: what rules see beside it (routing.candidate). They outlive the images.
    """
    row = session.get_one(SeriesRow, (series.study_uid, series.series_uid))
    row.routed_revision = series.revision
    row.input_digest = series.digest
    if row.revision == series.revision:
        evidence.note_quiet(session, row)
    if facts is not None:
        row.facts = dict(facts)
    if derived is not None:
        row.derived = dict(derived)


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


def is_quiet(session: Session, study_uid: str, *, quiet_s: float, stale_s: float, limit_s: float = 0) -> bool:
    """Say whether a study may be reported: every series routed, and no more images expected.

    That is known by evidence, or the study was quiet long enough and no association delivers it. quiet_s: the node's
    own; a rule's choice, kept with the study, goes before it. limit_s: so much longer it waits for images that are
    known to be missing.
    """
    study = session.get_one(StudyRow, study_uid)
    wait_s = quiet_s if study.quiet_s is None else study.quiet_s
    if evidence.is_proven(study) and not is_open(session, study_uid):
        return True
    if study.last_received_at > now(session) - wait_s - limit_s and evidence.expects_more(session, study_uid):
        return False
    return (
        study.last_received_at <= now(session) - wait_s
        and not is_open(session, study_uid)
        and not associations.delivering(session, study_uid, stale_s=stale_s)
    )


def is_open(session: Session, study_uid: str) -> bool:
    """Say whether a series of the study has images that routing has not seen, or that wait to be compared."""
    query = sa.select(sa.exists().where(SeriesRow.study_uid == study_uid, _changed()))
    return bool(session.scalar(query)) or versions.waits(session, study_uid)


def is_own(session: Session, received: ReceivedInstance) -> bool:
    """Say whether the node made an object: it says so itself, or its UIDs are those of a result."""
    return received.marked_own or _is_result(session, received)


def standing_of_own(received: ReceivedInstance) -> str:
    """Return the standing of an object that the node made."""
    return ASKED if received.asked_for else OWN


def digest_of(images: Sequence[tuple[str, str]]) -> str:
    """Return one digest over (SOP instance UID, SHA-256) pairs, whatever their order."""
    lines = sorted(f"{uid} {sha256}" for uid, sha256 in images)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


UNTOUCHING = (Recorded.OWN, Recorded.ASKED)
"""What opens no series and sets no time: of a study that is known, or not, nothing changes."""

_STANDING = {Recorded.NEW: KEPT, Recorded.AGAIN: AGAIN, Recorded.OWN: OWN, Recorded.ASKED: ASKED}


def _judge(session: Session, received: ReceivedInstance, known: set[str]) -> Recorded:
    """Return what an image is. known: the standings of others with its UID; one that counts no more is no rival."""
    if is_own(session, received):
        return Recorded(standing_of_own(received))
    return Recorded.AGAIN if known & {KEPT, AGAIN, CONFLICT} else Recorded.NEW


def _compare_again(same: InstanceRow, known: Sequence[InstanceRow]) -> None:
    """Let the very bytes of an older version that come again be compared: they may be sent to undo a correction."""
    if same.standing == SPARE and any(row.standing == KEPT for row in known):
        same.standing = AGAIN


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


def _touch(session: Session, received: ReceivedInstance, *, opens: bool) -> int:
    """Open the series, and set the times of series and study to now: the answer is given after this commit.

    opens False: only see that the study is there. Return the number of the patient in the study.
    """
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
    who = versions.Patient(_text(received.patient_id), _text(received.issuer), _text(received.birth_date))
    number = versions.patient_number(session, received.study_uid, who)
    if not opens:
        return number
    study.last_received_at = at
    series = session.get(SeriesRow, (received.study_uid, received.series_uid))
    if series is None:
        series = SeriesRow(study_uid=received.study_uid, series_uid=received.series_uid, first_received_at=at)
        series.modality = _text(received.modality)
        series.revision = 0
        session.add(series)
    series.revision += 1
    series.last_received_at = at
    return number


def _text(value: str) -> str:
    return value.replace("\0", "")  # PostgreSQL refuses NUL, which some senders pad with


def _changed() -> sa.ColumnElement[bool]:
    return SeriesRow.revision != SeriesRow.routed_revision


def _has_evidence(series: Any) -> sa.ColumnElement[bool]:
    """Return the condition that no more images of a series are expected: nothing came since that was found."""
    return sa.and_(series.evidence.is_not(None), series.evidence_at >= series.last_received_at)


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
        evidence=(row.evidence or "") if evidence.is_proven(row) else "",
    )


def _deleted(session: Session, row: SeriesRow) -> int:
    query = sa.select(sa.func.count()).where(
        InstanceRow.study_uid == row.study_uid,
        InstanceRow.series_uid == row.series_uid,
        InstanceRow.standing.in_((holdings.DELETING, holdings.DELETED)),
    )
    return session.scalar(query) or 0
