"""What is known of how many images a study will have, and the reason why no more are expected, once there is one.

Evidence holds until another image comes: it counts only where it was found after the last one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.announcement import COMPLETED, Announcement
from dicom_ai.domain.run import RunState
from dicom_ai.storage import associations, holdings
from dicom_ai.storage.database import lock_study, now
from dicom_ai.storage.evidence_tables import AnnouncementRow, ArchiveCountRow, ProcedureStepRow
from dicom_ai.storage.tables import AssociationRow, InstanceRow, RunRow, SeriesRow, StudyRow

SETTLE_S = 3.0
"""A study is not looked at before nothing has come for so long."""

LOOK_S = 10.0
"""Between two looks at one study, at first."""

QUIET = "no image came for"
"""How a reason begins that is only a quiet time."""

DAY_S = 86_400.0
HABIT_SERIES = 20
"""So many of a sender's last series say how it sends."""


@dataclass(frozen=True, slots=True)
class SeriesState:
    """A series as it has come. images: path -> SOP instance UID. evidence: why no more are expected; "" unknown.

    association: the only one that brought its images, by a sender's AE title, and released in order; "" otherwise.
    """

    series_uid: str
    images: Mapping[str, str] = field(repr=False)
    last_received_at: float
    evidence: str
    sender: str
    one_released_association: bool


@dataclass(frozen=True, slots=True)
class StudyState:
    """A study as it has come, and what was said of it.

    announced: series -> the SOP instance UIDs that IAN, or a completed MPPS, name. steps: MPPS -> its state.
    """

    study_uid: str
    last_received_at: float
    delivering: bool
    series: tuple[SeriesState, ...]
    announced: Mapping[str, frozenset[str]] = field(repr=False)
    steps: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Habit:
    """How a sender has sent its last series. together: over one association each. split: over several.

    largest: images of the largest that came together.
    """

    together: int
    split: int
    largest: int


@dataclass(frozen=True, slots=True)
class Shown:
    """Why a series, or with an empty series_uid the study, counts as complete."""

    series_uid: str
    images: int
    evidence: str


def announce(session: Session, said: Announcement) -> None:
    """Keep what IAN or MPPS says; the same again replaces what it said before."""
    at = now(session)
    study_uid = _note_step(session, said) if said.step else said.study_uid
    for series_uid, images in said.series.items():
        known = session.get(AnnouncementRow, (series_uid, said.step))
        if known is None:
            known = AnnouncementRow(series_uid=series_uid, step=said.step, study_uid=study_uid, instances=[])
            session.add(known)
        known.study_uid, known.instances, known.at = study_uid, list(images), at
    session.flush()
    if study_uid and (study := session.get(StudyRow, study_uid)) is not None:
        study.looked_at = None  # what waits for this is looked at at once


def waiting(session: Session, *, settle_s: float, look_s: float) -> Sequence[str]:
    """Return the studies whose completeness should be looked at, longest quiet first.

    settle_s: nothing came for so long. look_s: between the first looks; later ones are further and further apart, and
    after a day the quiet times alone decide.
    """
    at = now(session)
    unseen = sa.exists().where(
        SeriesRow.study_uid == StudyRow.study_uid, SeriesRow.revision != SeriesRow.routed_revision
    )
    collecting = sa.exists().where(RunRow.study_uid == StudyRow.study_uid, RunRow.state == RunState.COLLECTING)
    stale = sa.or_(StudyRow.evidence_at.is_(None), StudyRow.evidence_at < StudyRow.last_received_at)
    query = (
        sa.select(StudyRow.study_uid)
        .where(
            StudyRow.last_received_at <= at - settle_s,
            StudyRow.last_received_at > at - DAY_S,
            _due(at, look_s),
            stale,
            sa.or_(unseen, collecting),
        )
        .order_by(StudyRow.last_received_at)
    )
    return session.scalars(query).all()


def claim(session: Session, *, settle_s: float, look_s: float) -> str | None:
    """Take one of these studies to look at; None without one."""
    at = now(session)
    for study_uid in waiting(session, settle_s=settle_s, look_s=look_s):
        mine = sa.update(StudyRow).where(StudyRow.study_uid == study_uid, _due(at, look_s)).values(looked_at=at)
        if session.execute(mine).rowcount == 1:  # type: ignore[attr-defined]
            return study_uid
    return None


def note_count(session: Session, study_uid: str, counted: Mapping[str, int]) -> float:
    """Keep what an archive counts, by series; return for how many seconds it has been the same."""
    lock_study(session, study_uid)
    row = session.get(ArchiveCountRow, study_uid)
    if row is None:
        row = ArchiveCountRow(study_uid=study_uid, counted={}, since=now(session))
        session.add(row)
    if row.counted != dict(counted):
        row.counted, row.since = dict(counted), now(session)
    session.flush()
    return now(session) - row.since


def state_of(session: Session, study_uid: str, *, stale_s: float) -> StudyState:
    """Return what has come of a study, and what was said of it. stale_s: as for associations.delivering."""
    study = session.get_one(StudyRow, study_uid)
    rows = session.scalars(sa.select(SeriesRow).where(SeriesRow.study_uid == study_uid).order_by(SeriesRow.series_uid))
    steps = session.scalars(sa.select(ProcedureStepRow).where(ProcedureStepRow.study_uid == study_uid)).all()
    return StudyState(
        study_uid=study_uid,
        last_received_at=study.last_received_at,
        delivering=associations.delivering(session, study_uid, stale_s=stale_s),
        series=tuple(_series(session, row) for row in rows.all()),
        announced=_announced(session, study_uid, {step.uid for step in steps if step.state == COMPLETED}),
        steps={step.uid: step.state for step in steps},
    )


def habit(session: Session, sender: str, *, apart_from: str) -> Habit:
    """Return how a sender, by its AE title, has sent its last series, apart from one."""
    per_series = (
        sa.select(
            InstanceRow.series_uid,
            sa.func.count(sa.distinct(InstanceRow.association_id)).label("associations"),
            sa.func.count().label("images"),
            sa.func.max(InstanceRow.id).label("last"),
        )
        .where(
            InstanceRow.calling_ae_title == sender,
            InstanceRow.series_uid != apart_from,
            InstanceRow.standing.not_in((holdings.OWN, holdings.ASKED, holdings.AGAIN, holdings.SPARE)),
        )
        .group_by(InstanceRow.series_uid)
        .order_by(sa.text("last DESC"))
        .limit(HABIT_SERIES)
    )
    found = session.execute(per_series).all()
    together = [row.images for row in found if row.associations == 1 and row.images > 1]
    return Habit(len(together), sum(row.associations > 1 for row in found), max(together, default=0))


def note(session: Session, state: StudyState, series: Mapping[str, str], study: str) -> None:
    """Keep why series, and the study ("" unknown), are complete; not where an image came after state was read."""
    lock_study(session, state.study_uid)
    rows = {one.series_uid: one for one in state.series}
    for series_uid, reason in series.items():
        row = session.get_one(SeriesRow, (state.study_uid, series_uid))
        if row.last_received_at == rows[series_uid].last_received_at:
            row.evidence, row.evidence_at = reason, now(session)
    row_of_study = session.get_one(StudyRow, state.study_uid)
    if study and row_of_study.last_received_at == state.last_received_at:
        row_of_study.evidence, row_of_study.evidence_at = study, now(session)


def expects_more(session: Session, study_uid: str) -> bool:
    """Say whether a series that has begun is known to have more images than have come: IAN, MPPS or archive say so."""
    came: dict[str, set[str]] = {}
    kept = sa.select(InstanceRow.series_uid, InstanceRow.sop_instance_uid).where(
        InstanceRow.study_uid == study_uid, InstanceRow.standing.in_((holdings.KEPT, *holdings.ABSENT))
    )
    counted = session.get(ArchiveCountRow, study_uid)
    steps = sa.select(ProcedureStepRow.uid).where(
        ProcedureStepRow.study_uid == study_uid, ProcedureStepRow.state == COMPLETED
    )
    announced = _announced(session, study_uid, set(session.scalars(steps)))
    if not announced and counted is None:
        return False
    for series_uid, uid in session.execute(kept):
        came.setdefault(series_uid, set()).add(uid)
    numbers: Mapping[str, int] = counted.counted if counted else {}
    return any(
        announced.get(uid, frozenset()) - images or numbers.get(uid, 0) > len(images) for uid, images in came.items()
    )


def holds_for(row: SeriesRow | StudyRow) -> bool:
    """Say whether the evidence of a row still holds: nothing came after it was found."""
    return row.evidence is not None and (row.evidence_at or 0.0) >= row.last_received_at


def is_proven(row: SeriesRow | StudyRow) -> bool:
    """Say whether there is a better reason than that nothing came for a while, and it still holds."""
    return holds_for(row) and not (row.evidence or "").startswith(QUIET)


def note_quiet(session: Session, row: SeriesRow | StudyRow) -> None:
    """Keep that a quiet time was the reason, where there is no better one."""
    if not holds_for(row):
        at = now(session)
        row.evidence, row.evidence_at = f"{QUIET} {at - row.last_received_at:.0f} s", at


def shown(session: Session, study_uid: str) -> Sequence[Shown]:
    """Return why a study and its series count as complete, "" where they do not yet; the study first."""
    study = session.get(StudyRow, study_uid)
    if study is None:
        return ()
    counts = dict(
        session.execute(
            sa.select(InstanceRow.series_uid, sa.func.count())
            .where(InstanceRow.study_uid == study_uid, InstanceRow.standing == holdings.KEPT)
            .group_by(InstanceRow.series_uid)
        ).all()
    )
    rows = session.scalars(sa.select(SeriesRow).where(SeriesRow.study_uid == study_uid).order_by(SeriesRow.series_uid))
    items = [Shown("", sum(counts.values()), _said(study))]
    return (*items, *(Shown(row.series_uid, counts.get(row.series_uid, 0), _said(row)) for row in rows))


def _due(at: float, look_s: float) -> sa.ColumnElement[bool]:
    looked_at, since = StudyRow.looked_at, at - StudyRow.looked_at
    after_the_last = looked_at < StudyRow.last_received_at
    later = sa.and_(since >= look_s, since >= (looked_at - StudyRow.last_received_at) / 2)
    return sa.or_(looked_at.is_(None), after_the_last, later)


def _said(row: SeriesRow | StudyRow) -> str:
    return (row.evidence or "") if holds_for(row) else ""


def _series(session: Session, row: SeriesRow) -> SeriesState:
    images = session.scalars(
        sa.select(InstanceRow)
        .where(
            InstanceRow.study_uid == row.study_uid,
            InstanceRow.series_uid == row.series_uid,
            InstanceRow.standing == holdings.KEPT,
        )
        .order_by(InstanceRow.id)
    ).all()
    by = {image.association_id for image in images}
    only = session.get(AssociationRow, next(iter(by))) if len(by) == 1 else None
    return SeriesState(
        series_uid=row.series_uid,
        images={image.path: image.sop_instance_uid for image in images},
        last_received_at=row.last_received_at,
        evidence=(row.evidence or "") if is_proven(row) else "",
        sender=images[0].calling_ae_title if images else "",
        one_released_association=only is not None and bool(only.released),
    )


def _announced(session: Session, study_uid: str, completed: set[str]) -> Mapping[str, frozenset[str]]:
    """Return what the newest IAN names, and the completed steps; one adds to the other."""
    rows = session.scalars(sa.select(AnnouncementRow).where(AnnouncementRow.study_uid == study_uid)).all()
    found: dict[str, frozenset[str]] = {}
    for row in rows:
        if not row.step or row.step in completed:
            found[row.series_uid] = found.get(row.series_uid, frozenset()) | frozenset(row.instances)
    return found


def _note_step(session: Session, said: Announcement) -> str:
    """Keep how far a procedure step is; return its study, as far as that is known."""
    row = session.get(ProcedureStepRow, said.step)
    if row is None:
        row = ProcedureStepRow(uid=said.step, study_uid=said.study_uid, state="", at=now(session))
        session.add(row)
    row.study_uid = row.study_uid or said.study_uid or _study_of(session, said.series)
    row.state, row.at = said.state[:16] or row.state, now(session)
    return row.study_uid


def _study_of(session: Session, series: Mapping[str, tuple[str, ...]]) -> str:
    """Return the study that a series belongs to which has come; "" where none has."""
    query = sa.select(SeriesRow.study_uid).where(SeriesRow.series_uid.in_(list(series))).limit(1)
    return session.scalar(query) or ""
