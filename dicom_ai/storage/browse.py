"""Studies as people look for them: search, one page at a time, and what has happened to one of them.

Pages go by place, not by number: the newest hundred thousand studies cost the same as the first page.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from dicom_ai.domain.browsing import Place, Progress, Search, SeriesSummary, StudySummary
from dicom_ai.domain.run import ON_THE_WAY, RunState
from dicom_ai.storage.outbox import PENDING, OutboxState
from dicom_ai.storage.tables import HoldRow, InstanceRow, JobRow, OutboxRow, RunRow, SeriesRow, StudyRow
from dicom_ai.storage.words import one_of

LOOKED_AT = 10_000
"""Studies that a search by a state that most have goes through; a further page goes on from there."""

MOST_UNROUTED = 50_000
"""Series that wait for routing at once. Without a number PostgreSQL takes it for nearly all there are, not a few."""

Uid = sa.ColumnElement[str] | InstrumentedAttribute[str]
"""The column that names the studies a condition is about."""

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
    if after is not None and before is None:
        found, further = _places(session, wanted, after, is_up=True, most=most)
        studies = _summaries(session, found[::-1])
        older = studies[-1].place if studies else None
        return Page(studies, further, older)
    found, further = _places(session, wanted, before, is_up=False, most=most)
    studies = _summaries(session, found)
    newer = studies[0].place if before is not None and studies else None
    return Page(studies, newer, further)


def _places(
    session: Session, wanted: Search, start: Place | None, *, is_up: bool, most: int
) -> tuple[Sequence[str], Place | None]:
    """Return the studies of a page, the nearest to its start first, and where the page behind it begins.

    They are found by what the index of searches holds alone; a state that most studies have is asked of each of them,
    so that only so many are looked at.
    """
    at, uid = StudyRow.last_received_at, StudyRow.study_uid
    order = (at, uid) if is_up else (at.desc(), uid.desc())
    query = sa.select(uid, at).where(*_conditions(session, wanted), *_beyond(start, is_up=is_up)).order_by(*order)
    if wanted.progress in _COMMON:
        looked_at = query.limit(LOOKED_AT).subquery()
        last_at, known = looked_at.c.last_received_at, looked_at.c.study_uid
        there = (last_at, known) if is_up else (last_at.desc(), known.desc())
        fitting = sa.select(known, last_at).where(*_stands_at(wanted.progress, known)).order_by(*there)
        found = session.execute(fitting.limit(most + 1))
        places = [Place(last, study_uid) for study_uid, last in found]
        if len(places) <= most:
            end = session.execute(query.offset(LOOKED_AT - 1).limit(1)).first()
            return [place.study_uid for place in places], None if end is None else Place(end[1], end[0])
    else:
        if wanted.progress is not None:
            query = query.where(*_stands_at(wanted.progress, uid))
        places = [Place(last, study_uid) for study_uid, last in session.execute(query.limit(most + 1))]
    return [place.study_uid for place in places[:most]], places[most - 1] if len(places) > most else None


def _beyond(start: Place | None, *, is_up: bool) -> list[sa.ColumnElement[bool]]:
    if start is None:
        return []
    here = sa.tuple_(StudyRow.last_received_at, StudyRow.study_uid)
    there = sa.tuple_(sa.literal(start.at), sa.literal(start.study_uid))
    return [here > there if is_up else here < there]


def study(session: Session, study_uid: str) -> StudySummary | None:
    """Return one study; None for an unknown one."""
    return next(iter(_summaries(session, [study_uid])), None)


def names(session: Session, study_uids: Collection[str]) -> Mapping[str, StudySummary]:
    """Return studies by UID, for a list of something else that names them."""
    return {summary.study_uid: summary for summary in _summaries(session, list(study_uids))}


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


def _conditions(session: Session, wanted: Search) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.patient:
        name, patient_id = StudyRow.patient_name, StudyRow.patient_id
        spellings = dict.fromkeys((wanted.patient, wanted.patient.replace(" ", "^")))
        named = [_has(session, name, spelling) for spelling in spellings]
        conditions.append(sa.or_(_has(session, patient_id, wanted.patient), *named))
    if wanted.accession:
        conditions.append(_has(session, StudyRow.accession, wanted.accession))
    if wanted.date_from:
        conditions.append(StudyRow.study_date >= wanted.date_from)
    if wanted.date_to:
        conditions.append(StudyRow.study_date <= wanted.date_to)
    if wanted.study_uid:
        conditions.append(StudyRow.study_uid == wanted.study_uid)
    return conditions


def _has(session: Session, column: InstrumentedAttribute[str], text: str) -> sa.ColumnElement[bool]:
    """Return that a column has a text in it, in capitals or not."""
    if session.get_bind().dialect.name == "postgresql":
        return column.icontains(text, autoescape=True)
    # SQLite's LIKE knows only the capitals of A to Z, and lower() would not know more.
    ways = (text,) if text.isascii() else dict.fromkeys((text, text.upper(), text.lower(), text.title()))
    return sa.or_(*(column.contains(way, autoescape=True) for way in ways))


def _held(uid: Uid) -> sa.ColumnElement[bool]:
    return uid.in_(sa.select(HoldRow.study_uid).where(HoldRow.ended_at.is_(None), HoldRow.blocks))


def _failed(uid: Uid) -> sa.ColumnElement[bool]:
    failed_jobs = sa.select(JobRow.study_uid).where(JobRow.state == sa.literal_column("'failed'"))  # as its index says
    not_there = _with_delivery(one_of(OutboxRow.state, ("failed", "refused")))
    return uid.in_(failed_jobs.union_all(not_there))


def _receiving(uid: Uid) -> sa.ColumnElement[bool]:
    unrouted = sa.select(SeriesRow.study_uid).where(SeriesRow.revision != SeriesRow.routed_revision)
    return uid.in_(unrouted.limit(MOST_UNROUTED))


def _analysing(uid: Uid) -> sa.ColumnElement[bool]:
    return uid.in_(sa.select(RunRow.study_uid).where(one_of(RunRow.state, ON_THE_WAY)))


def _sending(uid: Uid) -> sa.ColumnElement[bool]:
    return uid.in_(_with_delivery(one_of(OutboxRow.state, PENDING)))


def _sent(uid: Uid) -> sa.ColumnElement[bool]:
    return _is_any(
        sa.select(RunRow.id)
        .join(OutboxRow, OutboxRow.run_id == RunRow.id)
        .where(
            RunRow.study_uid == uid,
            RunRow.state == RunState.REPORTED,
            OutboxRow.state == OutboxState.SENT,
        )
    )


def _reported(uid: Uid) -> sa.ColumnElement[bool]:
    return _is_any(sa.select(RunRow.id).where(RunRow.study_uid == uid, RunRow.state == RunState.REPORTED))


def _is_any(of_study: sa.Select[Any]) -> sa.ColumnElement[bool]:
    """Say whether there is any, asked study by study: with an offset PostgreSQL does not go through all there are."""
    return sa.exists(of_study.limit(1).offset(0))


_IS: Mapping[Progress, Callable[[Uid], sa.ColumnElement[bool]]] = {
    Progress.HELD: _held,
    Progress.FAILED: _failed,
    Progress.RECEIVING: _receiving,
    Progress.ANALYSING: _analysing,
    Progress.SENDING: _sending,
    Progress.SENT: _sent,
    Progress.REPORTED: _reported,
    Progress.UNWANTED: lambda _uid: sa.true(),
}
"""A word -> the studies it fits. The first that fits counts. Words for few studies start from these few."""

_COMMON = (Progress.SENT, Progress.REPORTED, Progress.UNWANTED)
"""Words for many studies: each is asked by itself."""


def _with_delivery(which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Select the studies whose newest report has such a delivery."""
    of_runs = sa.select(OutboxRow.run_id).where(which)  # first these few, then their runs
    return sa.select(RunRow.study_uid).where(RunRow.id.in_(of_runs), RunRow.state == RunState.REPORTED)


def _stands_at(progress: Progress, uid: Uid) -> list[sa.ColumnElement[bool]]:
    words = list(_IS)
    earlier = words[: words.index(progress)]
    return [_IS[progress](uid), *(~_IS[word](uid) for word in earlier)]


def _summaries(session: Session, uids: Sequence[str]) -> tuple[StudySummary, ...]:
    """Return what a list says of studies, in their order; without those that are not there."""
    known = {row.study_uid: row for row in session.scalars(sa.select(StudyRow).where(StudyRow.study_uid.in_(uids)))}
    rows = [known[uid] for uid in uids if uid in known]
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
            query = sa.select(StudyRow.study_uid).where(StudyRow.study_uid.in_(left), fits(StudyRow.study_uid))
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
