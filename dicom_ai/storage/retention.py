"""What is kept and why, and what may go: images, results and masks, never a row, never anything that is pending.

An image goes in two steps: its row says "deleting", then its file is removed and the row says "deleted". A crash
between them leaves a row that is finished later. Both steps lock the study, as receiving does: an image that comes
again meanwhile either finds its file there, or is refused for now and sent again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.job import FINISHED, JobKind, JobState
from dicom_ai.domain.run import RunState
from dicom_ai.storage import audit, confirmations, jobs, studies
from dicom_ai.storage.confirmations import Confirmation
from dicom_ai.storage.database import lock_study, now
from dicom_ai.storage.holdings import AGAIN, ASKED, CONFLICT, DELETED, DELETING, KEPT, OWN, SPARE
from dicom_ai.storage.outbox import PENDING, OutboxState
from dicom_ai.storage.tables import DecisionRow, InstanceRow, JobRow, OutboxRow, ResultRow, RunRow, SeriesRow, StudyRow

DELETED_IMAGES = "images deleted"
DAY_S = 86_400
ASKED_S = 3600.0
"""What was asked for goes as soon as it was read; after so long nobody will read it any more."""

STUCK = (OutboxState.REFUSED, OutboxState.FAILED)
_ON_DISK = sa.text("instances.standing <> 'deleted'")  # as the partial index has it, so that it is used


class Why(StrEnum):
    """Why images are kept."""

    ARRIVING = "not routed yet"
    PENDING = "analysis or report to come"
    UNSENT = "results wait to be sent"
    STUCK = "a result was refused or given up: a person must look"
    UNASKED = "results sent, to be confirmed"
    SENT = "analysed, every result sent"
    UNWANTED = "no rule wants them"
    OWN = "made by this node and came back"
    ASKED = "asked for, to compare with"
    CONFLICT = "same UID with other pixels: a person must look"
    SPARE = "another version of the image counts"


_BESIDE = {OWN: Why.OWN, ASKED: Why.ASKED, CONFLICT: Why.CONFLICT, AGAIN: Why.ARRIVING, SPARE: Why.SPARE}
"""Standing of an image that is not processed -> why it is kept."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long what is not pending is kept, in seconds; 0: for ever."""

    unwanted_s: float
    analysed_s: float
    results_s: float

    def of(self, why: Why) -> float:
        """Return the limit for images that are kept for a reason; 0 for those that stay."""
        unwanted = dict.fromkeys((Why.UNWANTED, Why.OWN, Why.SPARE), self.unwanted_s)
        return {**unwanted, Why.SENT: self.analysed_s}.get(why, 0)


@dataclass(frozen=True, slots=True)
class Keeping:
    """Why the images of a series are kept, and since when that is so (seconds since 1970)."""

    why: Why
    since: float


@dataclass(frozen=True, slots=True)
class Holding:
    """What is kept for one reason."""

    why: Why
    images: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Bytes of images per day, over the last week or since the first image."""

    received: float
    deleted: float


def keeping(session: Session, study_uid: str) -> Mapping[str, Keeping]:
    """Return, by series, why the images of a study are kept; of a study without images, nothing."""
    study = session.get(StudyRow, study_uid)
    if study is None:  # only a report of it was asked for
        return {}
    series = session.scalars(sa.select(SeriesRow).where(SeriesRow.study_uid == study_uid)).all()
    routing = study.routing_until is not None and study.routing_until >= now(session)
    if routing or studies.is_open(session, study_uid):
        return {row.series_uid: Keeping(Why.ARRIVING, row.last_received_at) for row in series}
    wanted = _wanted(session, study_uid)
    why = _wanted_why(session, study_uid)
    ended_at = _ended_at(session, study_uid)
    return {
        row.series_uid: Keeping(why, max(ended_at, row.last_received_at))
        if row.series_uid in wanted
        else Keeping(Why.UNWANTED, row.last_received_at)
        for row in series
    }


def due(session: Session, limits: Limits) -> Sequence[str]:
    """Return the studies with images that may go, or whose going was interrupted."""
    unfinished = sa.or_(InstanceRow.standing == DELETING, _left_behind(session))
    interrupted = sa.select(InstanceRow.study_uid).where(_ON_DISK, unfinished).distinct()
    found = list(session.scalars(interrupted))
    spans = [span for span in (limits.unwanted_s, limits.analysed_s) if span]
    if not spans:
        return found
    on_disk = sa.exists().where(
        InstanceRow.study_uid == StudyRow.study_uid, _ON_DISK, InstanceRow.standing.in_((KEPT, OWN, SPARE))
    )
    old = sa.select(StudyRow.study_uid).where(StudyRow.last_received_at <= now(session) - min(spans), on_disk)
    for study_uid in session.scalars(old.order_by(StudyRow.last_received_at)):
        if study_uid not in found and _going(session, study_uid, limits):
            found.append(study_uid)
    return found


def begin(session: Session, study_uid: str, limits: Limits) -> int:
    """Say of the images of a study that may go that they are being deleted; return how many these are."""
    lock_study(session, study_uid)
    images = 0
    for why, condition in _going(session, study_uid, limits):
        mine = sa.and_(InstanceRow.study_uid == study_uid, condition)
        count, size = session.execute(
            sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(InstanceRow.size_bytes), 0)).where(mine)
        ).one()
        if not count:
            continue
        session.execute(
            sa.update(InstanceRow).where(mine).values(standing=DELETING).execution_options(synchronize_session=False)
        )
        detail: audit.Detail = {"images": count, "bytes": int(size), "why": why.value}
        audit.record(session, "clock", DELETED_IMAGES, f"study {study_uid}", detail)
        images += count
    session.flush()
    return images


def going(session: Session, study_uid: str, *, most: int) -> Sequence[str]:
    """Lock a study and return paths of images being deleted; remove the files before gone() is called."""
    lock_study(session, study_uid)
    return session.scalars(
        sa.select(InstanceRow.path)
        .where(InstanceRow.study_uid == study_uid, InstanceRow.standing == DELETING)
        .order_by(InstanceRow.id)
        .limit(most)
    ).all()


def gone(session: Session, paths: Sequence[str]) -> None:
    """Say that the files of these rows have been removed; in the transaction that asked going()."""
    session.execute(
        sa.update(InstanceRow)
        .where(InstanceRow.path.in_(paths), InstanceRow.standing == DELETING)
        .values(standing=DELETED)
        .execution_options(synchronize_session=False)
    )


def release_results(session: Session, run_id: int, limits: Limits) -> bool:
    """Forget where the objects of a run lie if they may go; True: their folder is to be removed after the commit."""
    run = session.get(RunRow, run_id)
    if run is None or not limits.results_s or run.state not in (RunState.REPORTED, RunState.SUPERSEDED):
        return False
    of_run = OutboxRow.run_id == run_id
    stuck = () if run.state == RunState.SUPERSEDED else STUCK
    undelivered = OutboxRow.state.in_((*PENDING, *stuck))
    last_sent = session.scalar(sa.select(sa.func.max(OutboxRow.sent_at)).where(of_run)) or 0.0
    since = max(run.changed_at, run.reported_at or 0.0, last_sent)
    if since > now(session) - limits.results_s or session.scalar(sa.select(sa.exists().where(of_run, undelivered))):
        return False
    there = sa.and_(ResultRow.run_id == run_id, ResultRow.path.is_not(None))
    objects = session.scalar(sa.select(sa.func.count()).select_from(ResultRow).where(there)) or 0
    if objects:
        session.execute(sa.update(ResultRow).where(there).values(path=None))
        audit.record(session, "clock", "results deleted", f"run {run_id}", {"objects": objects})
    return True


def release_analysis(session: Session, job_id: int, limits: Limits) -> bool:
    """Say whether the masks of an analysis may go; it is then no longer there for another report."""
    job = session.get(JobRow, job_id)
    if job is None or not limits.analysed_s or JobState(job.state) not in FINISHED:
        return False
    has_images = sa.exists().where(
        InstanceRow.study_uid == job.study_uid, InstanceRow.series_uid == job.series_uid, InstanceRow.standing == KEPT
    )
    if (job.finished_at or 0.0) > now(session) - limits.analysed_s:
        return False
    if job.state != JobState.SUPERSEDED and session.scalar(sa.select(has_images)):
        return False
    jobs.supersede(session, [job_id], reason="its images and masks were deleted by retention")
    return True


def holdings(session: Session) -> Sequence[Holding]:
    """Return what is kept, by reason, the largest first."""
    images: dict[Why, int] = {}
    sizes: dict[Why, int] = {}
    query = (
        sa.select(
            InstanceRow.study_uid,
            InstanceRow.series_uid,
            InstanceRow.standing,
            sa.func.count(),
            sa.func.sum(InstanceRow.size_bytes),
        )
        .where(_ON_DISK, InstanceRow.standing.in_((KEPT, *_BESIDE)))
        .group_by(InstanceRow.study_uid, InstanceRow.series_uid, InstanceRow.standing)
    )
    rows = session.execute(query).all()
    reasons = {study_uid: keeping(session, study_uid) for study_uid in {row[0] for row in rows if row[2] == KEPT}}
    for study_uid, series_uid, standing, count, size in rows:
        why = _BESIDE.get(standing) or reasons[study_uid][series_uid].why
        images[why] = images.get(why, 0) + count
        sizes[why] = sizes.get(why, 0) + int(size)
    return tuple(Holding(why, images[why], sizes[why]) for why in sorted(sizes, key=lambda one: -sizes[one]))


def rates(session: Session) -> Rates:
    """Return how much comes and goes in a day."""
    first = session.scalar(sa.select(sa.func.min(StudyRow.first_received_at)))
    if first is None:
        return Rates(0.0, 0.0)
    since = max(first, now(session) - 7 * DAY_S)
    days = max(now(session) - since, DAY_S) / DAY_S
    received = sa.select(sa.func.sum(InstanceRow.size_bytes)).where(InstanceRow.received_at >= since)
    events = audit.events(session, since=since, limit=1_000_000)
    deleted = sum(int(event.detail.get("bytes") or 0) for event in events if event.action == DELETED_IMAGES)
    return Rates(float(session.scalar(received) or 0) / days, deleted / days)


def _wanted(session: Session, study_uid: str) -> frozenset[str]:
    """Return the series that a rule took, or an analysis was made of."""
    taken = sa.select(DecisionRow.series_uid).where(DecisionRow.study_uid == study_uid, DecisionRow.taken)
    analysed = sa.select(JobRow.series_uid).where(
        JobRow.study_uid == study_uid, JobRow.kind == JobKind.ANALYSE, JobRow.state != JobState.SUPERSEDED
    )
    return frozenset(session.scalars(taken)) | frozenset(session.scalars(analysed))


def _wanted_why(session: Session, study_uid: str) -> Why:
    """Return why the images that a rule took are kept."""
    active = sa.exists().where(
        JobRow.study_uid == study_uid, JobRow.state.in_((JobState.QUEUED, JobState.RUNNING))
    ) | sa.exists().where(RunRow.study_uid == study_uid, RunRow.state.in_((RunState.COLLECTING, RunState.REPORTING)))
    if session.scalar(sa.select(active)):
        return Why.PENDING
    states = set(
        session.scalars(
            sa.select(OutboxRow.state)
            .join(RunRow, RunRow.id == OutboxRow.run_id)
            .where(RunRow.study_uid == study_uid, RunRow.state != RunState.SUPERSEDED)
        )
    )
    of_any_run = sa.exists().where(
        RunRow.study_uid == study_uid, RunRow.id == OutboxRow.run_id, OutboxRow.state.in_(PENDING)
    )
    if session.scalar(sa.select(of_any_run)):
        return Why.UNSENT
    confirmed = confirmations.states(session, study_uid)
    if states & set(STUCK) or Confirmation.REFUSED in confirmed:
        return Why.STUCK
    return Why.UNASKED if Confirmation.SENT in confirmed else Why.SENT


def _ended_at(session: Session, study_uid: str) -> float:
    """Return when the last report of a study was made and the last result arrived and was confirmed; 0 without any."""
    query = (
        sa.select(sa.func.max(RunRow.reported_at), sa.func.max(OutboxRow.sent_at))
        .join(OutboxRow, OutboxRow.run_id == RunRow.id, isouter=True)
        .where(RunRow.study_uid == study_uid)
    )
    reported_at, sent_at = session.execute(query).one()
    return max(reported_at or 0.0, sent_at or 0.0, confirmations.changed_at(session, study_uid))


def _going(session: Session, study_uid: str, limits: Limits) -> list[tuple[Why, sa.ColumnElement[bool]]]:
    """Return which images of a study may go: a condition on their rows for every reason."""
    at = now(session)
    over: dict[Why, list[str]] = {}
    for series_uid, item in keeping(session, study_uid).items():
        limit_s = limits.of(item.why)
        if limit_s and item.since <= at - limit_s:
            over.setdefault(item.why, []).append(series_uid)
    found: list[tuple[Why, sa.ColumnElement[bool]]] = [
        (why, sa.and_(InstanceRow.series_uid.in_(series), InstanceRow.standing == KEPT)) for why, series in over.items()
    ]
    found.append((Why.ASKED, _left_behind(session)))
    if limits.unwanted_s:
        old = InstanceRow.received_at <= at - limits.unwanted_s
        found += [
            (why, sa.and_(InstanceRow.standing == standing, old))
            for why, standing in ((Why.OWN, OWN), (Why.SPARE, SPARE))
        ]
    there = [
        (why, condition)
        for why, condition in found
        if session.scalar(sa.select(sa.exists().where(InstanceRow.study_uid == study_uid, condition)))
    ]
    return there


def _left_behind(session: Session) -> sa.ColumnElement[bool]:
    """Return the condition on what was asked for and never read, as when the process that asked ended."""
    return sa.and_(InstanceRow.standing == ASKED, InstanceRow.received_at <= now(session) - ASKED_S)
