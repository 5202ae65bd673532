"""Studies as people look for them: search, one page at a time, and what has happened to one of them.

Pages go by place, not by number: the newest hundred thousand studies cost the same as the first page.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.browsing import Place, Progress, Search, SeriesSummary, StudySummary
from dicom_ai.domain.run import RunState
from dicom_ai.storage.outbox import PENDING, OutboxState
from dicom_ai.storage.tables import HoldRow, InstanceRow, JobRow, OutboxRow, RunRow, SeriesRow, StudyRow

_ON_THE_WAY = (RunState.COLLECTING, RunState.REPORTING)
_GONE = ("deleting", "deleted")


@dataclass(frozen=True, slots=True)
class Page:
    """Some studies, newest first. newer, older: where the pages beside it begin; None where there is none."""

    studies: tuple[StudySummary, ...]
    newer: Place | None
    older: Place | None


def search(
    session: Session, wanted: Search, *, before: Place | None = None, after: Place | None = None, most: int = 25
) -> Page:
    """Return the studies that fit, newest first: those before a place, after it, or the newest."""
    query = sa.select(StudyRow).where(*_conditions(wanted))
    at, uid = StudyRow.last_received_at, StudyRow.study_uid
    if after is not None and before is None:
        later = sa.or_(at > after.at, sa.and_(at == after.at, uid > after.study_uid))
        rows = session.scalars(query.where(later).order_by(at, uid).limit(most + 1)).all()
        found, is_more = rows[:most][::-1], len(rows) > most
        studies = _summaries(session, found)
        return Page(studies, studies[0].place if is_more else None, studies[-1].place if studies else None)
    if before is not None:
        query = query.where(sa.or_(at < before.at, sa.and_(at == before.at, uid < before.study_uid)))
    rows = session.scalars(query.order_by(at.desc(), uid.desc()).limit(most + 1)).all()
    studies = _summaries(session, rows[:most])
    older = studies[-1].place if len(rows) > most else None
    return Page(studies, studies[0].place if before is not None and studies else None, older)


def study(session: Session, study_uid: str) -> StudySummary | None:
    """Return one study; None for an unknown one."""
    row = session.get(StudyRow, study_uid)
    return None if row is None else _summaries(session, [row])[0]


def names(session: Session, study_uids: Collection[str]) -> Mapping[str, StudySummary]:
    """Return studies by UID, for a list of something else that names them."""
    rows = session.scalars(sa.select(StudyRow).where(StudyRow.study_uid.in_(list(study_uids)))).all()
    return {summary.study_uid: summary for summary in _summaries(session, rows)}


def series(session: Session, study_uid: str) -> Sequence[SeriesSummary]:
    """Return the series of a study, by number, then in order of arrival."""
    images = _images(session, study_uid)
    rows = session.scalars(
        sa.select(SeriesRow).where(SeriesRow.study_uid == study_uid).order_by(SeriesRow.first_received_at)
    ).all()
    found = [
        SeriesSummary(
            series_uid=row.series_uid,
            modality=row.modality,
            number=header_text(row.facts, "SeriesNumber"),
            description=header_text(row.facts, "SeriesDescription"),
            images=images.get(row.series_uid, (0, 0))[0],
            deleted=images.get(row.series_uid, (0, 0))[1],
            first_received_at=row.first_received_at,
            last_received_at=row.last_received_at,
            routed=row.revision == row.routed_revision,
        )
        for row in rows
    ]
    return tuple(sorted(found, key=lambda item: int(item.number) if item.number.isdigit() else 1 << 31))


def header(session: Session, study_uid: str, series_uid: str) -> Mapping[str, Any]:
    """Return the header that stands for a series: keyword -> [VR, value, ...]; empty before routing has seen it."""
    row = session.get(SeriesRow, (study_uid, series_uid))
    return (row.facts or {}) if row is not None else {}


def header_text(facts: Mapping[str, Any] | None, keyword: str) -> str:
    """Return the values of a header's element as one text; "" where it is absent."""
    element = (facts or {}).get(keyword, [])
    return "\\".join(str(value) for value in element[1:])


def _conditions(wanted: Search) -> list[sa.ColumnElement[bool]]:
    conditions = []
    if wanted.patient:
        conditions.append(
            sa.or_(
                StudyRow.patient_id.icontains(wanted.patient, autoescape=True),
                StudyRow.patient_name.icontains(wanted.patient.replace(" ", "^"), autoescape=True),
                StudyRow.patient_name.icontains(wanted.patient, autoescape=True),
            )
        )
    if wanted.accession:
        conditions.append(StudyRow.accession.icontains(wanted.accession, autoescape=True))
    if wanted.date_from:
        conditions.append(StudyRow.study_date >= wanted.date_from)
    if wanted.date_to:
        conditions.append(StudyRow.study_date <= wanted.date_to)
    if wanted.study_uid:
        conditions.append(StudyRow.study_uid == wanted.study_uid)
    if wanted.progress is not None:
        conditions += _stands_at(wanted.progress)
    return conditions


def _held() -> sa.ColumnElement[bool]:
    return StudyRow.study_uid.in_(sa.select(HoldRow.study_uid).where(HoldRow.ended_at.is_(None), HoldRow.blocks))


def _failed() -> sa.ColumnElement[bool]:
    failed_jobs = sa.select(JobRow.study_uid).where(JobRow.state == sa.literal_column("'failed'"))  # as its index says
    not_there = OutboxRow.state.in_([sa.literal_column("'failed'"), sa.literal_column("'refused'")])
    return sa.or_(StudyRow.study_uid.in_(failed_jobs), StudyRow.study_uid.in_(_with_delivery(not_there)))


def _receiving() -> sa.ColumnElement[bool]:
    return StudyRow.study_uid.in_(sa.select(SeriesRow.study_uid).where(SeriesRow.revision != SeriesRow.routed_revision))


def _analysing() -> sa.ColumnElement[bool]:
    return StudyRow.study_uid.in_(sa.select(RunRow.study_uid).where(RunRow.state.in_(_ON_THE_WAY)))


def _sending() -> sa.ColumnElement[bool]:
    return StudyRow.study_uid.in_(_with_delivery(OutboxRow.state.in_(PENDING)))


def _sent() -> sa.ColumnElement[bool]:
    return sa.exists().where(
        RunRow.study_uid == StudyRow.study_uid,
        RunRow.state == RunState.REPORTED,
        OutboxRow.run_id == RunRow.id,
        OutboxRow.state == OutboxState.SENT,
    )


def _reported() -> sa.ColumnElement[bool]:
    return sa.exists().where(RunRow.study_uid == StudyRow.study_uid, RunRow.state == RunState.REPORTED)


_IS: Mapping[Progress, Callable[[], sa.ColumnElement[bool]]] = {
    Progress.HELD: _held,
    Progress.FAILED: _failed,
    Progress.RECEIVING: _receiving,
    Progress.ANALYSING: _analysing,
    Progress.SENDING: _sending,
    Progress.SENT: _sent,
    Progress.REPORTED: _reported,
    Progress.UNWANTED: sa.true,
}
"""A word -> the studies it fits. The first that fits counts. Words for few studies start from these few."""


def _with_delivery(which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Select the studies whose newest report has such a delivery."""
    return (
        sa.select(RunRow.study_uid)
        .join(OutboxRow, OutboxRow.run_id == RunRow.id)
        .where(which, RunRow.state == RunState.REPORTED)
    )


def _stands_at(progress: Progress) -> list[sa.ColumnElement[bool]]:
    words = list(_IS)
    earlier = words[: words.index(progress)]
    return [_IS[progress](), *(~_IS[word]() for word in earlier)]


def _summaries(session: Session, rows: Sequence[StudyRow]) -> tuple[StudySummary, ...]:
    uids = [row.study_uid for row in rows]
    modalities = _modalities(session, uids)
    progress = _progress(session, uids)
    return tuple(
        StudySummary(
            study_uid=row.study_uid,
            patient_name=row.patient_name,
            patient_id=row.patient_id,
            accession=row.accession,
            study_date=row.study_date,
            first_received_at=row.first_received_at,
            last_received_at=row.last_received_at,
            progress=progress[row.study_uid],
            series=len(modalities.get(row.study_uid, ())),
            modalities=tuple(dict.fromkeys(modalities.get(row.study_uid, ()))),
        )
        for row in rows
    )


def _progress(session: Session, uids: Sequence[str]) -> Mapping[str, Progress]:
    """Return the word for each study: one query a word, each over the studies that have none yet."""
    found: dict[str, Progress] = {}
    for word, fits in _IS.items():
        left = [uid for uid in uids if uid not in found]
        if left:
            query = sa.select(StudyRow.study_uid).where(StudyRow.study_uid.in_(left), fits())
            found |= dict.fromkeys(session.scalars(query).all(), word)
    return found


def _modalities(session: Session, uids: Sequence[str]) -> Mapping[str, list[str]]:
    query = sa.select(SeriesRow.study_uid, SeriesRow.modality).where(SeriesRow.study_uid.in_(uids))
    found: dict[str, list[str]] = {}
    for uid, modality in session.execute(query.order_by(SeriesRow.first_received_at)):
        found.setdefault(uid, []).append(modality)
    return found


def _images(session: Session, study_uid: str) -> Mapping[str, tuple[int, int]]:
    """Return series -> kept images, and those whose files are deleted."""
    kept = sa.func.sum(sa.case((InstanceRow.standing == "kept", 1), else_=0))
    gone = sa.func.sum(sa.case((InstanceRow.standing.in_(_GONE), 1), else_=0))
    query = (
        sa.select(InstanceRow.series_uid, kept, gone)
        .where(InstanceRow.study_uid == study_uid)
        .group_by(InstanceRow.series_uid)
    )
    return {uid: (int(one), int(other)) for uid, one, other in session.execute(query)}
