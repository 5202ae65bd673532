"""What the index says is on disk, against what is: rows whose file is gone, and files that no row names."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.storage import audit
from dicom_ai.storage.database import now
from dicom_ai.storage.tables import InstanceRow, SeriesRow, StudyRow

KEPT, OWN = "kept", "own"
AGAIN, CONFLICT, SPARE = "again", "conflict", "spare"
"""Standing of what is kept beside a kept image with the same UID: storage/versions.py says what becomes of it."""

ASKED = "asked"
"""Standing of a report of this product that the node asked an archive for: read once, never processed."""

MISSING = "missing"
"""standing of a row whose file is gone: it is not processed, and becomes kept again when the same bytes come again."""

DELETING, DELETED = "deleting", "deleted"
"""standing of a row whose file is being removed, or was removed, by retention: as MISSING, but nobody's fault."""

ABSENT = frozenset({MISSING, DELETING, DELETED})


def paths_below(session: Session, folder: str) -> frozenset[str]:
    """Return the paths of every row below a folder of the file store, without those whose file is known to be gone."""
    query = sa.select(InstanceRow.path).where(
        InstanceRow.path >= f"{folder}/",
        InstanceRow.path < f"{folder}0",
        InstanceRow.standing.not_in((MISSING, DELETED)),
    )  # "0" is the character after "/": the range lets the database use its index, as LIKE would not
    return frozenset(session.scalars(query))


def mark_missing(session: Session, paths: Iterable[str]) -> int:
    """Note that the files of these rows are gone, and open their series again; return how many were not known yet."""
    rows = [row for path in paths if (row := _row(session, path)) is not None and row.standing not in ABSENT]
    for row in rows:
        was_processed = row.standing == KEPT
        row.standing = MISSING
        audit.record(session, "listener", "file missing", f"instance {row.sop_instance_uid}")
        if was_processed:
            _open(session, row)
    session.flush()
    return len(rows)


def mark_found(session: Session, path: str, *, own: str = "") -> bool:
    """Note that the file of a missing or deleted row came again; return whether it had been.

    own: OWN or ASKED where the node made it, so that it opens nothing.
    """
    row = _row(session, path)
    if row is None or row.standing not in ABSENT:
        return False
    deleted = row.standing != MISSING
    row.standing = own or (AGAIN if _another_is_kept(session, row) else KEPT)
    if row.standing == KEPT:
        _open(session, row)
    if row.standing == KEPT and deleted:
        _came_now(session, row)
    session.flush()
    return True


def path_of_asked(session: Session, sop_instance_uid: str) -> str | None:
    """Return where an object lies that was asked for, or that was here before; None where it is not here."""
    return session.scalars(
        sa.select(InstanceRow.path)
        .where(InstanceRow.sop_instance_uid == sop_instance_uid, InstanceRow.standing.not_in(ABSENT))
        .order_by(InstanceRow.id.desc())
    ).first()


def let_go_asked(session: Session, sop_instance_uid: str) -> None:
    """Let the file of an object that was asked for go: it has been read."""
    session.execute(
        sa.update(InstanceRow)
        .where(InstanceRow.sop_instance_uid == sop_instance_uid, InstanceRow.standing == ASKED)
        .values(standing=DELETING)
    )


def _row(session: Session, path: str) -> InstanceRow | None:
    return session.scalars(sa.select(InstanceRow).where(InstanceRow.path == path)).one_or_none()


def _another_is_kept(session: Session, row: InstanceRow) -> bool:
    others: Sequence[int] = session.scalars(
        sa.select(InstanceRow.id).where(
            InstanceRow.sop_instance_uid == row.sop_instance_uid, InstanceRow.standing == KEPT
        )
    ).all()
    return bool(others)


def _came_now(session: Session, row: InstanceRow) -> None:
    """Let the quiet time and the time until the next deletion begin now: what came again is not old."""
    at = now(session)
    session.execute(sa.update(StudyRow).where(StudyRow.study_uid == row.study_uid).values(last_received_at=at))
    session.execute(
        sa.update(SeriesRow)
        .where(SeriesRow.study_uid == row.study_uid, SeriesRow.series_uid == row.series_uid)
        .values(last_received_at=at)
    )


def _open(session: Session, row: InstanceRow) -> None:
    session.execute(
        sa.update(SeriesRow)
        .where(SeriesRow.study_uid == row.study_uid, SeriesRow.series_uid == row.series_uid)
        .values(revision=SeriesRow.revision + 1)
    )
