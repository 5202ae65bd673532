"""Rules tried on studies that the node still has, before they are saved. Nothing is changed, analysed or sent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from dicom_ai.dicom.kept_series import read_series
from dicom_ai.domain.browsing import Search
from dicom_ai.domain.study import Series
from dicom_ai.errors import RejectedInput
from dicom_ai.routing.explain import Decision, route_study
from dicom_ai.routing.rule import RuleSet
from dicom_ai.storage import browse, studies
from dicom_ai.storage.database import Database

NOT_TAKEN = "not taken"


@dataclass(frozen=True, slots=True)
class Difference:
    """A series that a rule would treat otherwise. before, after: "sent", "shadow" or "not taken". why: of after."""

    study_uid: str
    series_uid: str
    description: str
    rule: str
    before: str
    after: str
    why: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it. studies: how many were tried; left_out: how many series could not be read any more.

    is_whole: every study of the time was tried; otherwise the newest ones.
    """

    studies: int
    left_out: int
    is_whole: bool
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a trial goes. since: studies with images after this time; most_s: no further study after so long."""

    since: float
    most_s: float
    most: int = 200


def try_rules(
    database: Database, path: Callable[[str], Path], before: RuleSet, after: RuleSet, bounds: Bounds
) -> Trial:
    """Route the newest studies by two sets of rules; whether the models are installed is not asked."""
    end = monotonic() + bounds.most_s
    with database.read() as session:
        page = browse.search(session, Search(), most=bounds.most)
    uids = [study.study_uid for study in page.studies if study.place.at >= bounds.since]
    differences: list[Difference] = []
    tried, left_out = 0, 0
    for study_uid in uids:
        if monotonic() > end:
            break
        series, unreadable = _read(database, path, study_uid)
        differences += _differences(series, before, after)
        tried, left_out = tried + 1, left_out + unreadable
    is_whole = tried == len(uids) and (len(uids) < len(page.studies) or page.older is None)
    return Trial(tried, left_out, is_whole, tuple(differences))


def _read(database: Database, path: Callable[[str], Path], study_uid: str) -> tuple[list[Series], int]:
    """Return the series of a study whose images are all there, and how many are not."""
    with database.read() as session:
        kept = studies.series_of(session, study_uid)
    found = []
    for one in kept:
        try:
            if not one.deleted:
                found.append(read_series(study_uid, one.series_uid, [path(name) for name in one.paths]))
        except RejectedInput:
            continue
    return found, len(kept) - len(found)


def _differences(series: Sequence[Series], before: RuleSet, after: RuleSet) -> list[Difference]:
    by_series = {one.series_uid: one for one in series}
    old, new = (
        {(decision.series_uid, decision.rule): decision for decision in route_study(series, rules)}
        for rules in (before, after)
    )
    found = []
    for key in dict.fromkeys((*new, *old)):
        words = _word(old.get(key)), _word(new.get(key))
        if words[0] != words[1]:
            why = new[key].summary if key in new else "the rule is gone"
            found.append(_difference(by_series[key[0]], key[1], words, why))
    return found


def _difference(series: Series, rule: str, words: tuple[str, str], why: str) -> Difference:
    element = series.header.get("SeriesDescription")
    return Difference(
        series.study_uid, series.series_uid, element.text if element else "", rule, words[0], words[1], why
    )


def _word(decision: Decision | None) -> str:
    if decision is None or not decision.taken:
        return NOT_TAKEN
    return "shadow" if decision.shadow else "sent"
