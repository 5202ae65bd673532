"""Rules tried on what the node has seen of late, before they are saved. Nothing is changed, analysed or sent.

What rules see of a series is kept when it is routed and outlives its images, so that also the series that nobody
wanted, whose images go first, are tried.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from dicom_ai.dicom.kept_series import read_series
from dicom_ai.domain.browsing import Place
from dicom_ai.errors import RejectedInput, Unavailable
from dicom_ai.routing.candidate import Candidate, candidate_of
from dicom_ai.routing.condition import Condition, evaluate
from dicom_ai.routing.explain import Decision, decide
from dicom_ai.routing.predicates import Answer
from dicom_ai.routing.rule import Rule, RuleSet
from dicom_ai.storage import rules_headers, studies
from dicom_ai.storage.database import Database
from dicom_ai.storage.rules_headers import SeenStudy

NOT_TAKEN = "not taken"
_AT_ONCE = 100
"""Studies that are read in one transaction."""

_HOLDS = "every condition holds"
_LONGEST_SHORT = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """A series that a rule would treat otherwise. before, after: "sent", "shadow" or "not taken".

    in_short: the first reason of after; why: every reason, with all that was seen.
    """

    study_uid: str
    series_uid: str
    description: str
    rule: str
    before: str
    after: str
    in_short: str
    why: str


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Series that a rule treats as before, and why. word: as in Difference. example: the newest of them."""

    word: str
    why: str
    series: int
    example: Difference


@dataclass(frozen=True, slots=True)
class Asked:
    """How one condition answers alone: for how many series it is true, false, and unknown."""

    place: str
    condition: str
    true: int
    false: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Effect:
    """What comes of one rule that changes. before, after: how many series it takes."""

    rule: str
    before: int
    after: int
    asked: tuple[Asked, ...]
    unchanged: tuple[Unchanged, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it. left_out: series that routing has not seen and whose images cannot be read.

    is_whole: every study of the time was tried; otherwise the newest ones. effects: of every rule that changes.
    """

    studies: int
    series: int
    left_out: int
    is_whole: bool
    differences: tuple[Difference, ...]
    effects: tuple[Effect, ...]

    def moves(self, rule: str) -> Mapping[tuple[str, str], Sequence[Difference]]:
        """Return (before, after) -> the series that a rule would treat so, the most frequent first."""
        found: dict[tuple[str, str], list[Difference]] = {}
        for one in self.differences:
            if one.rule == rule:
                found.setdefault((one.before, one.after), []).append(one)
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a trial goes. since: studies with images after this time; most_s: no further study after so long."""

    since: float
    most_s: float


@dataclass
class _Counts:
    """What is counted of one rule while the studies go by."""

    before: int = 0
    after: int = 0
    asked: Counter[tuple[str, str, Answer]] = field(default_factory=Counter)
    unchanged: dict[tuple[str, str], list[Difference]] = field(default_factory=dict)
    series: Counter[tuple[str, str]] = field(default_factory=Counter)


def try_rules(
    database: Database, path: Callable[[str], Path], before: RuleSet, after: RuleSet, bounds: Bounds
) -> Trial:
    """Route the newest studies by two sets of rules; whether the models are installed is not asked.

    path: file store path -> file, for series that routing has not seen yet.
    """
    end = monotonic() + bounds.most_s
    old, new = _that_change(before, after), _that_change(after, before)
    counts = {rule.name: _Counts() for rule in (*new.rules, *old.rules)}
    differences: list[Difference] = []
    tried, series, left_out, is_whole = 0, 0, 0, True
    for study in _studies(database, bounds.since):
        if monotonic() > end:
            is_whole = False
            break
        unrouted, unreadable = _unrouted(database, path, study)
        candidates = [*study.series, *unrouted]
        differences += _compare(candidates, old, new, counts)
        for rule in new.rules:
            _ask(candidates, rule, counts[rule.name])
        tried, series, left_out = tried + 1, series + len(candidates), left_out + unreadable
    effects = tuple(_effect(name, counts[name]) for name in counts)
    return Trial(tried, series, left_out, is_whole, tuple(differences), effects)


def _that_change(rules: RuleSet, other: RuleSet) -> RuleSet:
    """Return the rules that another set does not have just so."""
    others = set(map(repr, other.rules))
    return RuleSet(tuple(rule for rule in rules.rules if repr(rule) not in others))


def _studies(database: Database, since: float) -> Iterator[SeenStudy]:
    before: Place | None = None
    while True:
        with database.read() as session:
            found = rules_headers.newest(session, since=since, before=before, most=_AT_ONCE)
        yield from found
        if len(found) < _AT_ONCE:
            return
        before = found[-1].place


def _unrouted(database: Database, path: Callable[[str], Path], study: SeenStudy) -> tuple[list[Candidate], int]:
    """Return the series that routing has not seen yet and whose images are all there, and how many others there are."""
    if not study.unread:
        return [], 0
    uid = study.place.study_uid
    with database.read() as session:
        kept = [one for one in studies.series_of(session, uid) if one.series_uid in study.unread]
    found = []
    for one in kept:
        try:
            if not one.deleted:
                found.append(candidate_of(read_series(uid, one.series_uid, [path(name) for name in one.paths])))
        except (RejectedInput, Unavailable):
            continue
    return found, len(kept) - len(found)


def _compare(
    candidates: Sequence[Candidate], old: RuleSet, new: RuleSet, counts: dict[str, _Counts]
) -> list[Difference]:
    """Return what differs in a study, and count what does not."""
    by_series = {one.series_uid: one for one in candidates}
    was, becomes = (
        {(decision.series_uid, decision.rule): decision for decision in decide(candidates, rules)}
        for rules in (old, new)
    )
    found = []
    for key in dict.fromkeys((*becomes, *was)):
        words = _word(was.get(key)), _word(becomes.get(key))
        count = counts[key[1]]
        count.before, count.after = count.before + (words[0] != NOT_TAKEN), count.after + (words[1] != NOT_TAKEN)
        one = _difference(by_series[key[0]], key[1], words, becomes.get(key))
        if words[0] != words[1]:
            found.append(one)
        elif key in becomes:
            reason = _in_short(becomes[key])
            count.series[words[1], reason] += 1
            count.unchanged.setdefault((words[1], reason), [one])
    return found


def _ask(candidates: Sequence[Candidate], rule: Rule, count: _Counts) -> None:
    """Count what each condition of a rule answers alone."""
    for place, condition in _placed(rule):
        for candidate in candidates:
            outcome = evaluate(condition, candidate.header, candidate.facts)
            count.asked[place, condition.text, outcome.answer] += 1


def _placed(rule: Rule) -> Iterator[tuple[str, Condition]]:
    for group, conditions in (("all", rule.all), ("any", rule.any), ("none", rule.none)):
        for number, condition in enumerate(conditions, 1):
            yield f"{group}[{number}]", condition


def _effect(name: str, count: _Counts) -> Effect:
    asked = tuple(
        Asked(place, text, *(count.asked[place, text, answer] for answer in (True, False, None)))
        for place, text in dict.fromkeys((place, text) for place, text, _ in count.asked)
    )
    unchanged = tuple(
        Unchanged(word, why, series, count.unchanged[word, why][0])
        for (word, why), series in count.series.most_common()
    )
    return Effect(name, count.before, count.after, asked, unchanged)


def _in_short(decision: Decision) -> str:
    """Return why a rule takes a series or does not, without what was seen: the first reason, and how many more."""
    if decision.taken:
        return _HOLDS
    first, more = decision.reasons[0], len(decision.reasons) - 1
    verdict = "is unknown" if first.answer is None else "is true" if first.answer else "is not true"
    words = f"{first.place}: {first.condition} {verdict}" if first.condition else _KINDS.get(first.place, first.seen)
    return f"{words}, and {more} more" if more else words


_KINDS = {
    "take": "another series of the same acquisition was taken",
    "series": "a result, not an acquisition",
}
"""Place of a reason without a condition -> what it says of many series."""


def _difference(series: Candidate, rule: str, words: tuple[str, str], after: Decision | None) -> Difference:
    short = why = "the rule is gone"
    if after is not None:
        short = _HOLDS if after.taken else after.reasons[0].text[:_LONGEST_SHORT]
        why = after.summary
    description = series.text("SeriesDescription")
    return Difference(series.study_uid, series.series_uid, description, rule, words[0], words[1], short, why)


def _word(decision: Decision | None) -> str:
    if decision is None or not decision.taken:
        return NOT_TAKEN
    return "shadow" if decision.shadow else "sent"
