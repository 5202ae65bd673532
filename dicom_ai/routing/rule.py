"""Rules: which series goes to which model. Read strictly from TOML; written back to TOML without loss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from dicom_ai.errors import RuleError
from dicom_ai.routing.condition import Condition, parse_condition
from dicom_ai.routing.toml_text import toml_text
from dicom_ai.routing.values import key

STATES = ("on", "off", "shadow")
"""on: results are sent. shadow: runs and stores, sends nothing. off: is not asked."""

TAKES = ("best", "all")
"""best: of repeats of one acquisition one series is taken (see ranking.py). all: every series that fits."""

OUTPUTS = ("seg", "sr", "overlay")
"""What a rule may ask for."""

_GROUPS = ("all", "any", "none")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of routing.

    all: every condition must be true. any: at least one must be true, where there are any. none: each must be false;
    unknown is not false. priority: higher runs first. quiet times in seconds; None for the node's own.
    """

    name: str
    model: str
    description: str = ""
    all: tuple[Condition, ...] = ()
    any: tuple[Condition, ...] = ()
    none: tuple[Condition, ...] = ()
    destinations: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("seg", "sr")
    priority: int = 0
    state: str = "on"
    take: str = "best"
    study_quiet_s: float | None = None
    series_quiet_s: float | None = None

    def as_toml(self) -> dict[str, Any]:
        """Return the table this rule is read from."""
        table: dict[str, Any] = {"name": self.name, "description": self.description, "model": self.model}
        table |= {"destinations": list(self.destinations), "outputs": list(self.outputs)}
        table |= {"priority": self.priority, "state": self.state, "take": self.take}
        quiet = {"study_quiet_s": self.study_quiet_s, "series_quiet_s": self.series_quiet_s}
        table |= {name: seconds for name, seconds in quiet.items() if seconds is not None}
        groups = {"all": self.all, "any": self.any, "none": self.none}
        return table | {name: [one.as_toml() for one in group] for name, group in groups.items() if group}


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules, the highest priority first; of equal ones in the order of the file."""

    rules: tuple[Rule, ...]

    def seeded_as(self, state: str) -> "RuleSet":
        """Return the rules with every rule that is on in this state: a new node starts its rules in shadow."""
        if state not in STATES:
            raise RuleError(f"unknown state {state!r}; known are {', '.join(STATES)}")
        return RuleSet(tuple(replace(rule, state=state) if rule.state == "on" else rule for rule in self.rules))

    def with_state(self, name: str, state: str) -> "RuleSet":
        """Return the rules with one of them on, off or in shadow. Raises RuleError where there is no such rule."""
        if state not in STATES:
            raise RuleError(f"unknown state {state!r}; known are {', '.join(STATES)}")
        changed = self.named(name)
        return RuleSet(tuple(replace(rule, state=state) if rule is changed else rule for rule in self.rules))

    def named(self, name: str) -> Rule:
        """Return the rule of this name. Raises RuleError where there is none."""
        for rule in self.rules:
            if rule.name == name:
                return rule
        raise RuleError(f"there is no rule {name!r}; there are {', '.join(rule.name for rule in self.rules) or 'none'}")

    def as_toml(self) -> dict[str, Any]:
        """Return the content a TOML file of these rules has."""
        return {"rule": [rule.as_toml() for rule in self.rules]}

    def to_toml(self) -> str:
        """Return the rules as a TOML file."""
        return toml_text(self.as_toml())


def parse_rules(content: Mapping[str, Any]) -> RuleSet:
    """Return the rules of a parsed TOML file. Raises RuleError naming the rule and the place."""
    unknown = sorted(set(content) - {"rule"})
    if unknown:
        raise RuleError(f"rules: unknown key {unknown[0]!r}; a file of rules has [[rule]] tables only")
    tables = content.get("rule", [])
    if not isinstance(tables, list):
        raise RuleError("rules: rules are written as [[rule]] tables")
    rules = [_parse_rule(table, f"rule {index + 1}") for index, table in enumerate(tables)]
    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise RuleError(f"rule {name!r}: the name is used {names.count(name)} times")
    return RuleSet(tuple(sorted(rules, key=lambda rule: -rule.priority)))


def contradictions(rules: RuleSet) -> list[str]:
    """Return a warning for every rule that can never match."""
    return [f"rule {rule.name!r} can never match: {why}" for rule in rules.rules for why in _never(rule)]


def changes(before: RuleSet, after: RuleSet) -> list[tuple[str, str]]:
    """Return every rule that two sets do not share alike, by name, and in words what is different."""
    old, new = ({rule.name: rule.as_toml() for rule in rules.rules} for rules in (before, after))
    names = [*new, *(name for name in old if name not in new)]
    return [(name, _change(old.get(name), new.get(name))) for name in names if old.get(name) != new.get(name)]


def _change(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    if old is None or new is None:
        return f"new, {new['state']}" if new is not None else "is gone"
    parts = [part for part in dict.fromkeys((*old, *new)) if old.get(part) != new.get(part)]
    return ", ".join(f"state {old[part]} → {new[part]}" if part == "state" else part for part in parts)


def _parse_rule(table: Any, place: str) -> Rule:
    if not isinstance(table, Mapping):
        raise RuleError(f"{place}: a rule is a table, not {table!r}")
    name = table.get("name")
    if not isinstance(name, str) or not name.strip():
        raise RuleError(f"{place}: needs a name")
    place = f"rule {name!r}"
    unknown = sorted(set(table) - set(_READERS) - set(_GROUPS))
    if unknown:
        raise RuleError(f"{place}: unknown key {unknown[0]!r}; known are {', '.join((*_READERS, *_GROUPS))}")
    if "model" not in table:
        raise RuleError(f"{place}: needs a model")
    fields: dict[str, Any] = {
        name: _READERS[name](value, f"{place}, {name}") for name, value in table.items() if name in _READERS
    }
    groups: dict[str, Any] = {name: _conditions(table[name], f"{place}, {name}") for name in _GROUPS if name in table}
    if not groups:
        raise RuleError(f"{place}: has no conditions; it needs all, any or none")
    return Rule(**fields, **groups)


def _conditions(tables: Any, place: str) -> tuple[Condition, ...]:
    if not isinstance(tables, list):
        raise RuleError(f"{place}: needs a list of conditions")
    if not tables:
        raise RuleError(f"{place}: is empty; leave it out or give it a condition")
    return tuple(parse_condition(table, f"{place}[{index + 1}]") for index, table in enumerate(tables))


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise RuleError(f"{place}: needs a text, not {value!r}")
    return value


def _name(value: Any, place: str) -> str:
    if not _text(value, place).strip():
        raise RuleError(f"{place}: is empty")
    return str(value)


def _names(value: Any, place: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise RuleError(f"{place}: needs a list of texts, not {value!r}")
    return tuple(_name(one, f"{place}[{index + 1}]") for index, one in enumerate(value))


def _outputs(value: Any, place: str) -> tuple[str, ...]:
    outputs = _names(value, place)
    for output in outputs:
        _choice(OUTPUTS, output, place)
    if not outputs:
        raise RuleError(f"{place}: is empty; known are {', '.join(OUTPUTS)}")
    return outputs


def _whole(value: Any, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise RuleError(f"{place}: needs a whole number, not {value!r}")
    return value


def _seconds(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise RuleError(f"{place}: needs a number of seconds, not {value!r}")
    return value


def _choice(known: Sequence[str], value: Any, place: str) -> str:
    if value not in known:
        raise RuleError(f"{place}: unknown {value!r}; known are {', '.join(known)}")
    return str(value)


_READERS = {
    "name": _name,
    "model": _name,
    "description": _text,
    "destinations": _names,
    "outputs": _outputs,
    "priority": _whole,
    "state": lambda value, place: _choice(STATES, value, place),
    "take": lambda value, place: _choice(TAKES, value, place),
    "study_quiet_s": _seconds,
    "series_quiet_s": _seconds,
}


def _never(rule: Rule) -> list[str]:
    """Return why a rule cannot match, where two of its conditions exclude each other."""
    same = [
        f"{wanted.text} stands under all and under none"
        for wanted, unwanted in product(rule.all, rule.none)
        if wanted == unwanted
    ]
    return same + [
        f"{one.text} and {other.text} exclude each other"
        for index, one in enumerate(rule.all)
        for other in rule.all[index + 1 :]
        if _exclude(one, other)
    ]


def _exclude(one: Condition, other: Condition) -> bool:
    """Tell whether two conditions on a single-valued subject have no value in common."""
    if (one.kind, one.name) != (other.kind, other.name) or not _single(one):
        return False
    choices = [_choices(condition) for condition in (one, other)]
    return all(choices) and not choices[0] & choices[1]


def _single(condition: Condition) -> bool:
    return condition.kind == "fact" or condition.name in ("Modality", "Manufacturer", "PatientSex", "SeriesDescription")


def _choices(condition: Condition) -> set[Any]:
    if condition.predicate == "equals":
        return {key("LO", condition.argument)}
    if condition.predicate == "in":
        return {key("LO", one) for one in condition.argument}
    return set()
