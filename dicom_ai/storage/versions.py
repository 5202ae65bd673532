"""Which version of an image counts, and which patient a study is about.

An image whose UID is known, with other bytes, is kept as "again" until it has been compared with the one that counts
(pipeline.compare): reception is not the place to decode pixels. Until then nothing of its study is routed, reported
or sent. Every move here happens under the lock of the study.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from dicom_ai.storage.database import now
from dicom_ai.storage.holdings import AGAIN, CONFLICT, KEPT, SPARE
from dicom_ai.storage.tables import InstanceRow, SeriesRow, StudyPatientRow, StudyRow

_AGAIN: Any = sa.text("instances.standing = 'again'")  # as the partial index has it, so that it is used


@dataclass(frozen=True, slots=True)
class Patient:
    """Who an image says it is of. Issuer and birth date count where both say one; the ID always does."""

    patient_id: str
    issuer: str = ""
    birth_date: str = ""

    def may_be(self, other: "Patient") -> bool:
        """Say whether the two can be one patient."""
        return self.patient_id == other.patient_id and all(
            not mine or not theirs or mine == theirs
            for mine, theirs in ((self.issuer, other.issuer), (self.birth_date, other.birth_date))
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """An image that came again, and the one that counts so far. Paths are relative to the file store.

    kept_path: None where nothing is kept under the UID any more. older: the very bytes were here before what counts, or
    name the patient as it was before a correction.
    """

    id: int
    study_uid: str
    sop_instance_uid: str
    path: str
    kept_path: str | None
    kept_study_uid: str
    older: bool


@dataclass(frozen=True, slots=True)
class Who:
    """What the newest version of an image says of patient and study, as the index keeps it."""

    patient_id: str = field(repr=False)
    patient_name: str = field(repr=False)
    accession: str = field(repr=False)
    study_date: str = field(repr=False)
    modality: str


def patient_number(session: Session, study_uid: str, patient: Patient) -> int:
    """Return the number under which a study keeps a patient; a new one where it is not known yet."""
    rows = _patients(session, study_uid)
    for row in rows:
        if _patient(row) == patient:
            return row.number
    number = max((row.number for row in rows), default=0) + 1
    session.add(
        StudyPatientRow(
            study_uid=study_uid,
            number=number,
            patient_id=patient.patient_id,
            issuer=patient.issuer,
            birth_date=patient.birth_date,
        )
    )
    session.flush()
    return number


def groups(session: Session, study_uid: str) -> Sequence[frozenset[int]]:
    """Return the patients of a study's processed images, in order of arrival: numbers that can be one stay together."""
    rows = _patients(session, study_uid)
    if len(rows) < 2:
        return [frozenset(row.number for row in rows)] if rows else []
    names = {row.number: _resolved(row, rows) for row in rows}
    first = dict(
        session.execute(
            sa.select(InstanceRow.patient, sa.func.min(InstanceRow.id))
            .where(InstanceRow.study_uid == study_uid, InstanceRow.standing == KEPT, InstanceRow.patient.is_not(None))
            .group_by(InstanceRow.patient)
        ).all()
    )
    found: list[set[int]] = []
    for number in sorted((one for one in names if one in first), key=lambda one: first[one]):
        group = next((one for one in found if all(names[number].may_be(names[other]) for other in one)), None)
        if group is None:
            found.append({number})
        else:
            group.add(number)
    return [frozenset(group) for group in found]


def described(session: Session, study_uid: str) -> Mapping[str, Any]:
    """Return the patients of a study for who decides: values of patients, never for a log."""
    return {
        "patients": [
            {"PatientID": row.patient_id, "IssuerOfPatientID": row.issuer, "PatientBirthDate": row.birth_date}
            for row in _patients(session, study_uid)
        ]
    }


def waiting(session: Session) -> Sequence[str]:
    """Return the studies with images that came again and have not been compared."""
    query = sa.select(InstanceRow.study_uid).where(_AGAIN).distinct()
    return session.scalars(query).all()


def waits(session: Session, study_uid: str) -> bool:
    """Say whether a study has images that came again and have not been compared."""
    return bool(session.scalar(sa.select(sa.exists().where(*waiting_in(study_uid)))))


def waiting_in(study_uid: Any) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions on instances that a study has such images, for an EXISTS; study_uid: a column or a UID."""
    return (InstanceRow.study_uid == study_uid, _AGAIN)


def pairs(session: Session, study_uid: str, *, most: int) -> Sequence[Pair]:
    """Return images of a study to compare with those that count, oldest first."""
    rows = session.scalars(
        sa.select(InstanceRow)
        .where(InstanceRow.study_uid == study_uid, InstanceRow.standing == AGAIN)
        .order_by(InstanceRow.id)
        .limit(most)
    ).all()
    return tuple(_pair(session, row, _kept(session, row.sop_instance_uid)) for row in rows)


def put_aside(session: Session, instance_id: int, standing: str) -> bool:
    """Give a compared image its standing: spare or conflict; False where another worker was first."""
    row = session.get_one(InstanceRow, instance_id)
    if row.standing != AGAIN:
        return False
    row.standing = standing
    session.flush()
    return True


def take_over(session: Session, instance_id: int, who: Who) -> bool:
    """Let an image that came again count from now on; its series is open again. False where another was first.

    What the study says of its patient follows, and the patient it was before is known to be the same.
    """
    row = session.get_one(InstanceRow, instance_id)
    if row.standing not in (AGAIN, CONFLICT):
        return False
    kept = _kept(session, row.sop_instance_uid)
    if kept is not None:
        kept.standing = SPARE
        session.flush()  # one row of a UID counts at a time
        reopen(session, kept.study_uid, kept.series_uid)
        if kept.study_uid == row.study_uid:
            _same_patient(session, row.study_uid, before=kept.patient, after=row.patient)
        else:
            session.get_one(StudyRow, kept.study_uid).corrected_at = now(session)
    row.standing = KEPT
    study = session.get_one(StudyRow, row.study_uid)
    study.patient_id, study.patient_name = who.patient_id, who.patient_name
    study.accession, study.study_date = who.accession, who.study_date
    study.corrected_at = now(session)
    study.last_received_at = max(study.last_received_at, row.received_at)
    reopen(session, row.study_uid, row.series_uid, received_at=row.received_at, modality=who.modality)
    return True


def settle_conflict(session: Session, study_uid: str, *, newest: bool) -> frozenset[str]:
    """End every conflict of a study: what came first counts on, or what came last does; return the studies touched."""
    rows = session.scalars(sa.select(InstanceRow).where(_conflict_of(study_uid)).order_by(InstanceRow.id)).all()
    last = {row.sop_instance_uid: row for row in rows}
    touched = {study_uid}
    for row in rows:
        kept = _kept(session, row.sop_instance_uid)
        touched |= {row.study_uid} if kept is None else {row.study_uid, kept.study_uid}
        if newest and last[row.sop_instance_uid] is row:
            if kept is not None:
                kept.standing = SPARE
                session.flush()
                reopen(session, kept.study_uid, kept.series_uid)
            row.standing = KEPT
            _name_study(session, row, before=kept)
            reopen(session, row.study_uid, row.series_uid, received_at=now(session))
        else:
            row.standing = SPARE
    session.flush()
    return frozenset(touched)


def is_in_conflict(session: Session, study_uid: str) -> bool:
    """Say whether an image of a study has a rival of the same UID and other pixels, in this study or another."""
    return bool(session.scalar(sa.select(sa.exists().where(_conflict_of(study_uid)))))


def _conflict_of(study_uid: str) -> sa.ColumnElement[bool]:
    """Return the condition of an image in conflict: it, or a rival of the same UID, is of the study."""
    rival = aliased(InstanceRow)
    same = rival.sop_instance_uid == InstanceRow.sop_instance_uid
    of_study = sa.exists().where(same, rival.study_uid == study_uid, rival.standing.in_((KEPT, CONFLICT)))
    return sa.and_(InstanceRow.standing == CONFLICT, of_study)


def settle_patients(session: Session, study_uid: str, *, newest: bool) -> None:
    """Let only the images of one patient count: of the one who came first, or last."""
    found = groups(session, study_uid)
    if len(found) < 2:
        return
    chosen = found[-1] if newest else found[0]
    rows = session.scalars(
        sa.select(InstanceRow).where(
            InstanceRow.study_uid == study_uid,
            InstanceRow.standing == KEPT,
            InstanceRow.patient.is_not(None),
            InstanceRow.patient.not_in(chosen),
        )
    ).all()
    for row in rows:
        row.standing = SPARE
    for series_uid in sorted({row.series_uid for row in rows}):
        reopen(session, study_uid, series_uid)
    patient = next(row for row in _patients(session, study_uid) if row.number == max(chosen))
    session.get_one(StudyRow, study_uid).patient_id = patient.patient_id
    session.flush()


def reopen(
    session: Session, study_uid: str, series_uid: str, *, received_at: float | None = None, modality: str = ""
) -> None:
    """Let routing look at a series again; received_at: when the image came that is the reason."""
    row = session.get(SeriesRow, (study_uid, series_uid))
    if row is None:
        at = received_at if received_at is not None else now(session)
        row = SeriesRow(study_uid=study_uid, series_uid=series_uid, first_received_at=at, last_received_at=at)
        row.modality, row.revision = modality, 0
        session.add(row)
    row.revision += 1
    row.last_received_at = max(row.last_received_at, received_at or 0.0)
    session.flush()


def newest_path(session: Session, study_uid: str) -> str | None:
    """Return where the newest image of a corrected study lies, whose patient and study count; None: never corrected."""
    if session.get_one(StudyRow, study_uid).corrected_at is None:
        return None
    return session.scalar(
        sa.select(InstanceRow.path)
        .where(InstanceRow.study_uid == study_uid, InstanceRow.standing == KEPT)
        .order_by(InstanceRow.id.desc())
        .limit(1)
    )


def _name_study(session: Session, row: InstanceRow, *, before: InstanceRow | None) -> None:
    """Let a study be about the patient of an image that a person has chosen."""
    study = session.get_one(StudyRow, row.study_uid)
    study.corrected_at = now(session)
    if row.patient is not None:
        study.patient_id = session.get_one(StudyPatientRow, (row.study_uid, row.patient)).patient_id
    if before is not None and before.study_uid == row.study_uid:
        _same_patient(session, row.study_uid, before=before.patient, after=row.patient)


def _same_patient(session: Session, study_uid: str, *, before: int | None, after: int | None) -> None:
    if before is None or after is None or before == after:
        return
    session.get_one(StudyPatientRow, (study_uid, before)).same_as = after
    session.get_one(StudyPatientRow, (study_uid, after)).same_as = None
    session.flush()


def _resolved(row: StudyPatientRow, rows: Sequence[StudyPatientRow]) -> Patient:
    by_number = {one.number: one for one in rows}
    seen = {row.number}
    while row.same_as is not None and row.same_as not in seen:
        row = by_number[row.same_as]
        seen.add(row.number)
    return _patient(row)


def _patients(session: Session, study_uid: str) -> Sequence[StudyPatientRow]:
    return session.scalars(
        sa.select(StudyPatientRow).where(StudyPatientRow.study_uid == study_uid).order_by(StudyPatientRow.number)
    ).all()


def _patient(row: StudyPatientRow) -> Patient:
    return Patient(row.patient_id, row.issuer, row.birth_date)


def _kept(session: Session, sop_instance_uid: str) -> InstanceRow | None:
    return session.scalars(
        sa.select(InstanceRow).where(InstanceRow.sop_instance_uid == sop_instance_uid, InstanceRow.standing == KEPT)
    ).one_or_none()


def _pair(session: Session, row: InstanceRow, kept: InstanceRow | None) -> Pair:
    patient = None if row.patient is None else session.get_one(StudyPatientRow, (row.study_uid, row.patient))
    was_corrected = patient is not None and patient.same_as is not None
    return Pair(
        id=row.id,
        study_uid=row.study_uid,
        sop_instance_uid=row.sop_instance_uid,
        path=row.path,
        kept_path=None if kept is None else kept.path,
        kept_study_uid=row.study_uid if kept is None else kept.study_uid,
        older=kept is not None and (row.id < kept.id or was_corrected),
    )
