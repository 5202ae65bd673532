"""Rules that are well formed and can never match: conditions that exclude each other, and values that nothing has.

Only what is certain for every series is told; a rule that merely never matched is found by trying it.
"""

from collections.abc import Iterator
from itertools import combinations, product
from math import inf
from typing import Any

from dicom_ai.routing.condition import Condition, vr_of
from dicom_ai.routing.facts import FACTS
from dicom_ai.routing.rule import Rule, RuleSet
from dicom_ai.routing.values import key

_ONE_VALUE = ("Modality", "Manufacturer", "PatientSex", "SeriesDescription", "SOPClassUID", "StationName")
"""Keywords with one value at most (PS3.6), of those that rules ask."""

Placed = tuple[str, Condition]
"""Where a condition stands, as "all[2]", and the condition."""


def contradictions(rules: RuleSet) -> list[str]:
    """Return a warning for every reason why a rule can never match."""
    return [f"rule {rule.name!r} can never match: {why}" for rule in rules.rules for _, why in never(rule)]


def never(rule: Rule) -> list[tuple[str, str]]:
    """Return why a rule can never match: the place of the condition that stands against it, and the reason."""
    found = [(place, why) for place, one in _placed(rule, "all") if (why := _impossible(one))]
    found += [(f"{place}", why) for (_, one), (place, other) in _pairs(rule) if (why := _exclude(one, other))]
    for (_, wanted), (place, unwanted) in product(_placed(rule, "all"), _placed(rule, "none")):
        if why := _forbidden(wanted, unwanted):
            found.append((place, why))
    if rule.any and all(_impossible(one) for one in rule.any):
        found.append(("any[1]", f"none of the alternatives can be true: {_impossible(rule.any[0])}"))
    return found


def _placed(rule: Rule, group: str) -> list[Placed]:
    return [(f"{group}[{number}]", one) for number, one in enumerate(getattr(rule, group), 1)]


def _pairs(rule: Rule) -> Iterator[tuple[Placed, Placed]]:
    """Yield every two conditions under all that ask the same element or fact."""
    for one, other in combinations(_placed(rule, "all"), 2):
        if _subject(one[1]) == _subject(other[1]):
            yield one, other


def _impossible(condition: Condition) -> str:
    """Return why no series can fulfil a condition; "" where one can."""
    if condition.predicate == "range" and _is_empty(_bounds(condition)):
        return f"nothing lies in the range of {condition.text}"
    known = FACTS[condition.name].choices if condition.kind == "fact" else ()
    values = _values(condition)
    if known and values and not values & {key("LO", one) for one in known}:
        return f"{condition.text}: no series has that; the fact {condition.name} is one of {', '.join(known)}"
    return ""


def _exclude(one: Condition, other: Condition) -> str:
    """Return why two conditions on the same subject cannot both be true; "" where they can."""
    told = f"{one.text} and {other.text} exclude each other"
    first, second = _values(one), _values(other)
    if _is_single(one) and first and second and not first & second:
        return told
    if "range" in (one.predicate, other.predicate) and _bounds_exclude(one, other):
        return told
    return told if _asks_absence(one) != _asks_absence(other) else ""


def _forbidden(wanted: Condition, unwanted: Condition) -> str:
    """Return why a condition under all cannot be true where one under none is false; "" where it can."""
    if _subject(wanted) != _subject(unwanted):
        return ""
    if wanted == unwanted:
        return f"{wanted.text} stands under all and under none"
    values = _values(wanted, case=unwanted.case)
    if values and (wanted.case or not unwanted.case) and values <= _values(unwanted, case=unwanted.case):
        return f"{unwanted.text} stands under none and excludes what {wanted.text} under all asks for"
    if unwanted.predicate == "exists" and unwanted.argument != _asks_absence(wanted):
        return f"{unwanted.text} stands under none, so {wanted.text} under all cannot be true"
    return ""


def _bounds_exclude(one: Condition, other: Condition) -> bool:
    """Tell whether a range and another range, or a range and values, have nothing in common."""
    if one.predicate == other.predicate:
        return _is_empty([*_bounds(one), *_bounds(other)])
    ranged, valued = (one, other) if one.predicate == "range" else (other, one)
    values = _values(valued)
    return bool(values) and all(_is_empty([*_bounds(ranged), ("min", value), ("max", value)]) for value in values)


def _bounds(condition: Condition) -> list[tuple[str, Any]]:
    return [(name, key(vr_of(condition.name), bound)) for name, bound in condition.argument.items()]


def _is_empty(bounds: list[tuple[str, Any]]) -> bool:
    """Tell whether no number lies between bounds."""
    if any(not isinstance(bound, int | float) for _, bound in bounds):
        return False
    lowest = max([bound for name, bound in bounds if name in ("min", "above")], default=-inf)
    highest = min([bound for name, bound in bounds if name in ("max", "below")], default=inf)
    ends = {name for name, bound in bounds if bound in (lowest, highest)}
    return lowest > highest or (lowest == highest and bool(ends & {"above", "below"}))


def _subject(condition: Condition) -> tuple[str, str]:
    return condition.kind, condition.name


def _is_single(condition: Condition) -> bool:
    return condition.kind == "fact" or condition.name in _ONE_VALUE


def _asks_absence(condition: Condition) -> bool:
    return condition.predicate == "exists" and condition.argument is False


def _values(condition: Condition, *, case: bool = False) -> set[Any]:
    """Return the values of which a condition wants one, as they compare; none where it asks otherwise."""
    wanted = {"equals": [condition.argument], "in": condition.argument}.get(condition.predicate, [])
    return {key(vr_of(condition.name), one, case=case) for one in wanted}
