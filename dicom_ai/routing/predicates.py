"""The tests a rule may make. To add one: write a function here and name it in PREDICATES.

A test answers True, False, or None for unknown. A keyword that is absent or empty, and a value that cannot be read
in its VR, is unknown: never true, not even under `none`. Only `exists` is never unknown.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dicom_ai.routing import patterns
from dicom_ai.routing.keywords import NUMERIC_VRS
from dicom_ai.routing.values import Scalar, key

Answer = bool | None


@dataclass(frozen=True, slots=True)
class Operand:
    """What is tested: its values in the header or the facts, and how they compare.

    vr: the VR of a keyword; of a fact "DS" (number), "LO" (text) or "flag". case: text is compared with its case.
    """

    vr: str
    values: Sequence[Scalar]
    case: bool = False

    def keys(self) -> list[float | str | None]:
        """Return the values as they compare."""
        return [key(self.vr, value, case=self.case) for value in self.values]


@dataclass(frozen=True, slots=True)
class Predicate:
    """A named test. check: raises ValueError where a rule's argument makes no sense for the VR."""

    test: Callable[[Operand, Any], Answer]
    check: Callable[[Any, str], None]
    argument: str
    meaning: str


def equals(operand: Operand, argument: Scalar) -> Answer:
    """One of the values, or all of them joined by a backslash, is the argument."""
    wanted = key(operand.vr, argument, case=operand.case)
    seen = operand.keys()
    if wanted in seen:
        return True
    joined = "\\".join(str(value) for value in operand.values)
    if len(seen) > 1 and key("LO", joined, case=operand.case) == wanted:
        return True
    return None if None in seen else False


def is_in(operand: Operand, argument: Sequence[Scalar]) -> Answer:
    """One of the values is one of the arguments."""
    answers = [equals(operand, one) for one in argument]
    return True if True in answers else None if None in answers else False


def contains(operand: Operand, argument: str) -> Answer:
    """One of the values has the argument in it."""
    wanted = key("LO", argument, case=operand.case)
    return any(str(wanted) in str(key("LO", value, case=operand.case)) for value in operand.values)


def regex(operand: Operand, argument: str) -> Answer:
    """The pattern occurs in one of the values, or in all of them joined by a backslash."""
    expression = patterns.compiled(argument, case=operand.case)
    texts = [str(value) for value in operand.values]
    return any(patterns.found(expression, text) for text in (*texts, "\\".join(texts)))


def in_range(operand: Operand, argument: Mapping[str, Scalar]) -> Answer:
    """Every value lies between the bounds."""
    answers = [_between(value, operand.vr, argument) for value in operand.keys()]  # noqa: SIM118
    return False if False in answers else None if None in answers else True


def exists(operand: Operand, argument: bool) -> Answer:
    """There is a value (true), or none (false)."""
    return bool(operand.values) is argument


def _between(value: float | str | None, vr: str, bounds: Mapping[str, Scalar]) -> Answer:
    limits = {name: key(vr, bound) for name, bound in bounds.items()}
    if not isinstance(value, float | int):
        return None
    return all(_BOUNDS[name](value, limit) for name, limit in limits.items())


_BOUNDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "min": lambda value, limit: value >= limit,
    "max": lambda value, limit: value <= limit,
    "above": lambda value, limit: value > limit,
    "below": lambda value, limit: value < limit,
}


def _check_scalar(argument: Any, vr: str) -> None:
    if isinstance(argument, list | dict) or key(vr, argument) is None:
        raise ValueError(f"{argument!r} cannot be compared with {_kind(vr)}")
    if isinstance(argument, bool) != (vr == "flag"):
        raise ValueError(f"{argument!r} cannot be compared with {_kind(vr)}")


def _check_list(argument: Any, vr: str) -> None:
    if not isinstance(argument, list) or not argument:
        raise ValueError("needs a list with at least one value")
    for one in argument:
        _check_scalar(one, vr)


def _check_text(argument: Any, vr: str) -> None:
    if not isinstance(argument, str) or not argument.strip():
        raise ValueError(f"needs a text that is not empty, not {argument!r}")
    if vr == "flag":
        raise ValueError("cannot search in a fact that is true or false")


def _check_regex(argument: Any, vr: str) -> None:
    _check_text(argument, vr)
    patterns.compiled(argument, case=True)


def _check_range(argument: Any, vr: str) -> None:
    if not isinstance(argument, dict) or not argument:
        raise ValueError("needs at least one bound: min, max, above or below")
    unknown = sorted(set(argument) - set(_BOUNDS))
    if unknown:
        raise ValueError(f"unknown bound {unknown[0]!r}; known are min, max, above and below")
    for bound in argument.values():
        _check_bound(bound, vr)


def _check_bound(bound: Any, vr: str) -> None:
    if isinstance(bound, bool | list | dict) or not isinstance(key(vr, bound), float | int):
        raise ValueError(f"{bound!r} is no bound for {_kind(vr)}")


def _check_flag(argument: Any, vr: str) -> None:
    if not isinstance(argument, bool):
        raise ValueError(f"needs true or false, not {argument!r}")


def _kind(vr: str) -> str:
    if vr in NUMERIC_VRS:
        return f"values of VR {vr} (numbers, as 1.5)"
    return _KINDS.get(vr, f"values of VR {vr}")


_KINDS = {
    "flag": "a fact that is true or false",
    "AS": "values of VR AS (ages, as 018Y)",
    "DA": "values of VR DA (dates, as 20260131)",
    "DT": "values of VR DT (dates and times, as 20260131120000)",
    "TM": "values of VR TM (times, as 1200)",
}
"""VR -> how a refusal names it."""


PREDICATES: Mapping[str, Predicate] = {
    "equals": Predicate(equals, _check_scalar, "a value", "one of the values, or all joined by \\, is this one"),
    "contains": Predicate(contains, _check_text, "a text", "one of the values has this text in it"),
    "regex": Predicate(regex, _check_regex, "a pattern", "the pattern occurs in one of the values, or in all joined"),
    "in": Predicate(is_in, _check_list, "a list of values", "one of the values is in the list"),
    "range": Predicate(
        in_range, _check_range, "min, max (included), above, below (excluded)", "every value lies between the bounds"
    ),
    "exists": Predicate(exists, _check_flag, "true or false", "the keyword has a value (true) or none (false)"),
}
"""Name in a rule -> test."""


def answer(name: str, operand: Operand, argument: Any) -> Answer:
    """Ask one predicate; without values everything but `exists` is unknown."""
    if not operand.values and name != "exists":
        return None
    return PREDICATES[name].test(operand, argument)
