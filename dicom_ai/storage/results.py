"""Result objects: identities are saved before anything is written, so that a second try makes the same objects."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import PurePath

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.output import note_slot
from dicom_ai.domain.result import ResultIdentity, ResultKind, ResultObject
from dicom_ai.storage.outbox import OutboxState
from dicom_ai.storage.tables import OutboxRow, ResultRow, RunRow

Predecessor = tuple[str, str, str]


def save_identities(
    session: Session, run_id: int, identities: Mapping[str, ResultIdentity], *, shadow: bool
) -> Mapping[str, ResultIdentity]:
    """Save the identities of a run's objects by slot, and return those that count: the ones saved first."""
    saved = dict(_identities(session, run_id, shadow=shadow))
    study_uid = session.get_one(RunRow, run_id).study_uid
    for slot, identity in identities.items():
        if slot not in saved:
            session.add(_row(run_id, study_uid, identity, shadow=shadow))
            saved[slot] = identity
    session.flush()
    return saved


def predecessors(session: Session, study_uid: str) -> Mapping[str, Predecessor]:
    """Return, by slot, the newest object of the study that has left, or may have, and was not withdrawn."""
    left = sa.exists().where(
        OutboxRow.result_id == ResultRow.id, OutboxRow.state.in_([OutboxState.SENT, OutboxState.UNKNOWN])
    )
    rows = session.scalars(
        sa.select(ResultRow)
        .where(ResultRow.study_uid == study_uid, left, ResultRow.withdrawn_at.is_(None))
        .order_by(ResultRow.run_id)
    )
    return {row.slot: (row.study_uid, row.series_uid, row.sop_instance_uid) for row in rows}


def of_slot(session: Session, run_id: int, slot: str, folder: PurePath) -> ResultObject | None:
    """Return the written object that a run has in a slot, not in shadow; None where there is none."""
    row = session.scalars(
        sa.select(ResultRow).where(ResultRow.run_id == run_id, ResultRow.slot == slot, ~ResultRow.shadow)
    ).first()
    if row is None or row.path is None:
        return None
    return _object(row, session.get_one(RunRow, run_id).number, folder)


def sent_before(session: Session, run_id: int, destination: str, folder: PurePath) -> Sequence[ResultObject]:
    """Return what earlier runs of a run's study sent to a destination, or may have, and no note there has rejected."""
    study_uid = session.get_one(RunRow, run_id).study_uid
    there = (
        OutboxRow.destination == destination,
        OutboxRow.state.in_([OutboxState.SENT, OutboxState.UNKNOWN]),
        ResultRow.study_uid == study_uid,
        ResultRow.run_id < run_id,
    )
    rows = session.scalars(
        sa.select(ResultRow).join(OutboxRow, OutboxRow.result_id == ResultRow.id).where(*there).order_by(ResultRow.id)
    ).all()
    noted = max((row.run_id for row in rows if row.slot == note_slot(destination)), default=0)
    numbers = dict(session.execute(sa.select(RunRow.id, RunRow.number).where(RunRow.study_uid == study_uid)).all())
    return tuple(
        _object(row, numbers[row.run_id], folder)
        for row in rows
        if row.run_id >= noted and row.kind != ResultKind.KO and row.withdrawn_at is None
    )


def written(session: Session, run_id: int, item: ResultObject, *, path: str) -> int:
    """Note where an object's bytes lie, relative to the data folder; return its id."""
    row = session.scalars(
        sa.select(ResultRow).where(
            ResultRow.run_id == run_id, ResultRow.sop_instance_uid == item.identity.sop_instance_uid
        )
    ).one()
    row.path, row.sop_class_uid, row.source_series_uid = path, item.sop_class_uid, item.source_series_uid
    session.flush()
    return row.id


def find(session: Session, sop_instance_uid: str, folder: PurePath) -> tuple[int, ResultObject]:
    """Return the run (its id) that an object belongs to, and the written object; its path is below folder."""
    row = session.scalars(sa.select(ResultRow).where(ResultRow.sop_instance_uid == sop_instance_uid)).one()
    return row.run_id, _object(row, session.get_one(RunRow, row.run_id).number, folder)


def find_written(session: Session, sop_instance_uid: str, folder: PurePath) -> ResultObject | None:
    """Return a written object by its UID; None for an unknown one, or one that was never written."""
    row = session.scalars(sa.select(ResultRow).where(ResultRow.sop_instance_uid == sop_instance_uid)).first()
    if row is None or row.path is None:
        return None
    return _object(row, session.get_one(RunRow, row.run_id).number, folder)


def is_withdrawn(session: Session, sop_instance_uid: str) -> bool:
    """Say whether an object of this node was recalled; False for one that it does not know."""
    known = (ResultRow.sop_instance_uid == sop_instance_uid, ResultRow.withdrawn_at.is_not(None))
    return bool(session.scalar(sa.select(sa.exists().where(*known))))


def all_of(session: Session, study_uid: str, folder: PurePath) -> Sequence[ResultObject]:
    """Return the written objects of a study, oldest run first; their paths are below folder."""
    rows = session.scalars(
        sa.select(ResultRow)
        .where(ResultRow.study_uid == study_uid, ResultRow.path.is_not(None))
        .order_by(ResultRow.run_id, ResultRow.id)
    ).all()
    numbers = dict(session.execute(sa.select(RunRow.id, RunRow.number).where(RunRow.study_uid == study_uid)).all())
    return tuple(_object(row, numbers[row.run_id], folder) for row in rows)


def _object(row: ResultRow, number: int, folder: PurePath) -> ResultObject:
    return ResultObject(
        identity=_identity(row, number),
        sop_class_uid=row.sop_class_uid or "",
        study_uid=row.study_uid,
        source_series_uid=row.source_series_uid or "",
        path=folder / (row.path or ""),  # type: ignore[arg-type]
    )


def _identities(session: Session, run_id: int, *, shadow: bool) -> Mapping[str, ResultIdentity]:
    number = session.get_one(RunRow, run_id).number
    rows = session.scalars(sa.select(ResultRow).where(ResultRow.run_id == run_id, ResultRow.shadow == shadow))
    return {row.slot: _identity(row, number) for row in rows}


def _row(run_id: int, study_uid: str, identity: ResultIdentity, *, shadow: bool) -> ResultRow:
    return ResultRow(
        run_id=run_id,
        shadow=shadow,
        slot=identity.slot,
        kind=identity.kind,
        study_uid=study_uid,
        series_uid=identity.series_uid,
        sop_instance_uid=identity.sop_instance_uid,
        series_number=identity.series_number,
        created_at=identity.created_at.isoformat(),
        predecessor=list(identity.predecessor) if identity.predecessor else None,
    )


def _identity(row: ResultRow, number: int) -> ResultIdentity:
    before = row.predecessor
    return ResultIdentity(
        kind=ResultKind(row.kind),
        series_uid=row.series_uid,
        sop_instance_uid=row.sop_instance_uid,
        series_number=row.series_number,
        run=number,
        created_at=datetime.fromisoformat(row.created_at),
        predecessor=(before[0], before[1], before[2]) if before else None,
        slot=row.slot,
    )
