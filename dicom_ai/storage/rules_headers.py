"""What rules see of the series that came lately. It outlives their images, so that rules can be tried on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.browsing import Place
from dicom_ai.routing.candidate import Candidate, read_kept
from dicom_ai.storage.tables import SeriesRow, StudyRow


@dataclass(frozen=True, slots=True)
class SeenStudy:
    """A study as rules see it. place: when its last image came. unread: series that routing has not seen yet."""

    place: Place
    series: tuple[Candidate, ...] = field(repr=False)
    unread: tuple[str, ...]


def newest(session: Session, *, since: float, before: Place | None = None, most: int = 100) -> Sequence[SeenStudy]:
    """Return the studies with images after a time, the newest first: so many of them, or those before a place."""
    at, uid = StudyRow.last_received_at, StudyRow.study_uid
    query = sa.select(at, uid).where(at >= since)
    if before is not None:
        query = query.where(sa.or_(at < before.at, sa.and_(at == before.at, uid < before.study_uid)))
    places = [Place(*row) for row in session.execute(query.order_by(at.desc(), uid.desc()).limit(most))]
    columns = sa.select(SeriesRow.study_uid, SeriesRow.series_uid, SeriesRow.facts, SeriesRow.derived)
    wanted = SeriesRow.study_uid.in_([place.study_uid for place in places])
    found: dict[str, list[Candidate]] = {place.study_uid: [] for place in places}
    unread: dict[str, list[str]] = {place.study_uid: [] for place in places}
    for study_uid, series_uid, header, derived in session.execute(
        columns.where(wanted).order_by(SeriesRow.first_received_at, SeriesRow.series_uid)
    ):
        if header is None or derived is None:
            unread[study_uid].append(series_uid)
        else:
            found[study_uid].append(read_kept(study_uid, series_uid, header, derived))
    return tuple(SeenStudy(place, tuple(found[place.study_uid]), tuple(unread[place.study_uid])) for place in places)
