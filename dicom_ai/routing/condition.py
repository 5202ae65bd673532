"""One condition of a rule: a keyword or a fact, a predicate, and what it is held against."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dicom_ai.domain.study import Header
from dicom_ai.errors import RuleError
from dicom_ai.routing.facts import FACTS, Facts
from dicom_ai.routing.keywords import is_ordered, vr_by_keyword
from dicom_ai.routing.predicates import PREDICATES, Answer, Operand, answer

_LONGEST_SEEN = 300


@dataclass(frozen=True, slots=True)
class Condition:
    """A test of one element or one fact.

    kind: "keyword" or "fact". case: texts are compared with their case. argument: as TOML gives it.
    """

    kind: str
    name: str
    predicate: str
    argument: Any
    case: bool = False

    @property
    def text(self) -> str:
        """The condition as people read it: `fact plane in ['axial', 'sagittal']`."""
        subject = self.name if self.kind == "keyword" else f"fact {self.name}"
        return f"{subject} {self.predicate} {_told(self.argument)}"

    def as_toml(self) -> dict[str, Any]:
        """Return the table this condition is read from."""
        case = {"case": True} if self.case else {}
        return {self.kind: self.name, self.predicate: self.argument, **case}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a condition answered about a series, and the value it saw."""

    answer: Answer
    seen: str


def parse_condition(table: Any, place: str) -> Condition:
    """Return the condition of one table. Raises RuleError naming the place."""
    if not isinstance(table, Mapping):
        raise RuleError(f"{place}: a condition is a table, not {table!r}")
    kind = _one_of(table, ("keyword", "fact"), place, "a keyword or a fact")
    predicate = _one_of(table, tuple(PREDICATES), place, "a predicate")
    _refuse_unknown(table, {kind, predicate, "case"}, place)
    name, case = table[kind], table.get("case", False)
    if not isinstance(case, bool):
        raise RuleError(f"{place}: case must be true or false, not {case!r}")
    vr = _vr_of(kind, name, place)
    _check_applies(kind, name, predicate, place)
    try:
        PREDICATES[predicate].check(table[predicate], vr)
    except ValueError as error:
        raise RuleError(f"{place}: {name} {predicate}: {error}") from None
    return Condition(kind, name, predicate, table[predicate], case)


def vr_of(name: str) -> str:
    """Return how the values of a keyword or fact compare; "" for a name that is neither."""
    return FACTS[name].vr if name in FACTS else vr_by_keyword().get(name, "").split("/")[0]


def predicates_for(name: str) -> tuple[str, ...]:
    """Return the predicates that make sense for a keyword or fact; none for a name that is neither."""
    vr = vr_of(name)
    if vr == "flag":
        return ("equals", "exists")
    ordered = vr == "DS" if name in FACTS else bool(vr) and is_ordered(name)
    return tuple(one for one in PREDICATES if vr and (ordered or one != "range"))


def evaluate(condition: Condition, header: Header, facts: Facts) -> Outcome:
    """Ask a condition about a series."""
    if condition.kind == "fact":
        return _evaluate_fact(condition, facts)
    element = header.get(condition.name)
    values = tuple(value for value in element.values if value) if element else ()
    vr = element.vr if element else "LO"
    seen = (element.text[:_LONGEST_SEEN] if values and element else "") or ("empty" if element else "absent")
    return Outcome(answer(condition.predicate, Operand(vr, values, condition.case), condition.argument), seen)


def _evaluate_fact(condition: Condition, facts: Facts) -> Outcome:
    fact, vr = facts[condition.name], FACTS[condition.name].vr
    if fact.value is None:
        return Outcome(
            answer(condition.predicate, Operand(vr, (), condition.case), condition.argument),
            f"unknown ({fact.evidence})",
        )
    operand = Operand(vr, (fact.value,), condition.case)
    return Outcome(
        answer(condition.predicate, operand, condition.argument),
        f"{_told(fact.value)} ({fact.evidence[:_LONGEST_SEEN]})",
    )


def _one_of(table: Mapping[str, Any], names: tuple[str, ...], place: str, what: str) -> str:
    given = [name for name in names if name in table]
    if len(given) == 1:
        return given[0]
    if given:
        raise RuleError(f"{place}: has {' and '.join(given)}, but a condition has exactly one of them")
    unknown = sorted(set(table) - {"keyword", "fact", "case", *PREDICATES})
    if unknown:
        raise RuleError(f"{place}: unknown predicate {unknown[0]!r}; known are {', '.join(PREDICATES)}")
    raise RuleError(f"{place}: names no {what.removeprefix('a ')}; it needs one of {', '.join(names)}")


def _refuse_unknown(table: Mapping[str, Any], known: set[str], place: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise RuleError(f"{place}: unknown predicate {unknown[0]!r}; known are {', '.join(PREDICATES)}")


def _vr_of(kind: str, name: Any, place: str) -> str:
    if not isinstance(name, str):
        raise RuleError(f"{place}: {kind} must be a text, not {name!r}")
    if kind == "fact":
        if name not in FACTS:
            raise RuleError(f"{place}: unknown fact {name!r}; known are {', '.join(FACTS)}")
        return FACTS[name].vr
    if name not in vr_by_keyword():
        raise RuleError(f"{place}: unknown DICOM keyword {name!r}")
    return vr_by_keyword()[name].split("/")[0]


def _check_applies(kind: str, name: str, predicate: str, place: str) -> None:
    if predicate != "range":
        return
    ordered = is_ordered(name) if kind == "keyword" else FACTS[name].vr == "DS"
    if not ordered:
        raise RuleError(f"{place}: {name} has no order, so range cannot test it")


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_told(bound)}" for name, bound in value.items())
    return f"{value:g}" if isinstance(value, float) else repr(value) if isinstance(value, list) else str(value)
