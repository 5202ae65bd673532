"""Rules: which series goes to which model. Read strictly from TOML; written back to TOML without loss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dicom_ai.errors import RuleError
from dicom_ai.routing.condition import Condition, parse_condition
from dicom_ai.routing.toml_text import toml_text

STATES = ("on", "off", "shadow")
"""on: results are sent. shadow: runs and stores, sends nothing. off: is not asked."""

TAKES = ("best", "all")
"""best: of repeats of one acquisition one series is taken (see ranking.py). all: every series that fits."""

OUTPUTS = ("seg", "sr", "overlay")
"""What a rule may ask for."""

GROUPS = ("all", "any", "none")
"""How the conditions of a rule are joined: every one is true, at least one is, every one is false."""


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

    def with_rule(self, rule: Rule, *, instead_of: str = "") -> "RuleSet":
        """Return the rules with one more, or with one in the place of another. Raises RuleError for a name in use."""
        if instead_of:
            self.named(instead_of)
        if rule.name != instead_of and rule.name in self.names:
            raise RuleError(f"rule {rule.name!r}: the name is used by another rule")
        rules = [rule if one.name == instead_of else one for one in self.rules]
        return _sorted(rules if instead_of else [*rules, rule])

    def without(self, name: str) -> "RuleSet":
        """Return the rules without one of them. Raises RuleError where there is no such rule."""
        gone = self.named(name)
        return RuleSet(tuple(rule for rule in self.rules if rule is not gone))

    def moved(self, name: str, by: int) -> "RuleSet":
        """Return the rules with one further up (by -1) or down (by 1): it gets the priority of the one it passes.

        The first does not go up and the last not down: they stay.
        """
        rules = list(self.rules)
        place = rules.index(self.named(name))
        other = place + by
        if not 0 <= other < len(rules):
            return self
        moved = replace(rules.pop(place), priority=rules[other - (by > 0)].priority)
        rules.insert(other, moved)
        return RuleSet(tuple(rules))

    def renamed(self, name: str, new: str) -> "RuleSet":
        """Return the rules with another name for one of them; as they are where there is no such rule."""
        return RuleSet(tuple(replace(rule, name=new) if rule.name == name else rule for rule in self.rules))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the rules, in their order."""
        return tuple(rule.name for rule in self.rules)

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
    return _sorted(rules)


def _sorted(rules: Sequence[Rule]) -> RuleSet:
    return RuleSet(tuple(sorted(rules, key=lambda rule: -rule.priority)))


def _parse_rule(table: Any, place: str) -> Rule:
    if not isinstance(table, Mapping):
        raise RuleError(f"{place}: a rule is a table, not {table!r}")
    name = table.get("name")
    if not isinstance(name, str) or not name.strip():
        raise RuleError(f"{place}: needs a name")
    place = f"rule {name!r}"
    unknown = sorted(set(table) - set(FIELDS) - set(GROUPS))
    if unknown:
        raise RuleError(f"{place}: unknown key {unknown[0]!r}; known are {', '.join((*FIELDS, *GROUPS))}")
    if "model" not in table:
        raise RuleError(f"{place}: needs a model")
    fields: dict[str, Any] = {
        name: FIELDS[name](value, f"{place}, {name}") for name, value in table.items() if name in FIELDS
    }
    groups: dict[str, Any] = {name: _conditions(table[name], f"{place}, {name}") for name in GROUPS if name in table}
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


FIELDS = {
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
"""Field of a rule that is no group of conditions -> what reads it, given the value and its place."""
