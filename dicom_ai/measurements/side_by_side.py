"""Two models on the same series: their numbers site by site, how far they lie apart, what only one of them found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from statistics import fmean, stdev
from typing import Any

FIRST_KEY = "csa_mean"
"""The measurement that is looked at first, where the models give it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One number of both models. site: the level, or what else the number is about."""

    series_uid: str
    site: str
    key: str
    one: float
    other: float

    @property
    def difference(self) -> float:
        """The other model's number minus the one's."""
        return self.other - self.one

    @property
    def percent(self) -> float:
        """The difference in percent of the one's number; nan where that is 0."""
        return 100 * self.difference / self.one if self.one else nan


@dataclass(frozen=True, slots=True)
class Compared:
    """Two models on the series of one study. only_one, only_other: sites that only one of them gives."""

    pairs: tuple[Pair, ...]
    only_one: tuple[str, ...]
    only_other: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two models lie apart in one measurement. bias: mean difference; sd: of the differences, nan for one pair.

    worst: the pair that lies farthest apart.
    """

    key: str
    n: int
    bias: float
    sd: float
    worst: Pair


def compared(one: Iterable[Mapping[str, Any]], other: Iterable[Mapping[str, Any]]) -> Compared:
    """Compare the series entries of findings.json of two models. Numbers that were withheld are not compared."""
    ours, theirs = _numbers(one), _numbers(other)
    pairs = [
        Pair(series_uid, site, key, ours[series_uid, site, key], theirs[series_uid, site, key])
        for series_uid, site, key in ours
        if (series_uid, site, key) in theirs
    ]
    return Compared(tuple(pairs), _sites(ours, without=theirs), _sites(theirs, without=ours))


def agreements(pairs: Sequence[Pair]) -> tuple[Agreement, ...]:
    """Return, per measurement, how far the two lie apart; CSA first."""
    by_key: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_key.setdefault(pair.key, []).append(pair)
    found = [_agreement(key, of_key) for key, of_key in by_key.items()]
    return tuple(sorted(found, key=lambda item: item.key != FIRST_KEY))


def _agreement(key: str, pairs: Sequence[Pair]) -> Agreement:
    differences = [pair.difference for pair in pairs]
    return Agreement(
        key,
        len(pairs),
        fmean(differences),
        stdev(differences) if len(differences) > 1 else nan,
        max(pairs, key=lambda pair: abs(pair.difference)),
    )


def _numbers(entries: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str, str], float]:
    """Return (series, site, measurement) -> value."""
    return {
        (str(entry["series_uid"]), str(finding.get("site") or finding["name"]), str(quantity["key"])): float(
            quantity["value"]
        )
        for entry in entries
        for finding in entry.get("findings", ())
        for quantity in finding.get("quantities", ())
        if quantity.get("value") is not None
    }


def _sites(
    numbers: Mapping[tuple[str, str, str], float], *, without: Mapping[tuple[str, str, str], float]
) -> tuple[str, ...]:
    there = {(series_uid, site) for series_uid, site, _ in without}
    return tuple(dict.fromkeys(site for series_uid, site, _ in numbers if (series_uid, site) not in there))
