"""What is wrong with one rule, each fault with its place, so that a form can mark it and a file can name it.

Two kinds: what is malformed, by the readers that also read TOML, and what is well formed and still cannot work.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dicom_ai.errors import RuleError
from dicom_ai.routing.condition import parse_condition
from dicom_ai.routing.contradictions import never
from dicom_ai.routing.rule import FIELDS, GROUPS, Rule, RuleSet


@dataclass(frozen=True, slots=True)
class Fault:
    """place: a field of the rule ("model"), a group ("all") or a condition ("all[2]"). text: what to do about it."""

    place: str
    text: str


def malformed(table: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Return everything for which a rule, given as TOML gives it, would be refused. Unknown keys are not looked at."""
    return (*_fields(table), *_conditions(table))


def unworkable(rule: Rule, *, models: Collection[str], destinations: Collection[str]) -> tuple[Fault, ...]:
    """Return why a well-formed rule cannot do what it says on a node with these models and destinations."""
    found = []
    if rule.model not in models:
        known = ", ".join(sorted(models)) or "none"
        found.append(Fault("model", f"model {rule.model!r} is not installed here; installed are {known}"))
    for name in rule.destinations:
        if name not in destinations:
            known = ", ".join(sorted(destinations)) or "none"
            found.append(Fault("destinations", f"{name!r} is no destination of this node; there are {known}"))
    return (*found, *_empty(rule), *(Fault(place, why) for place, why in never(rule)))


def require_workable(
    before: RuleSet, after: RuleSet, *, models: Collection[str], destinations: Collection[str]
) -> None:
    """Raise RuleError where a rule is turned on, or comes or changes in another state than off, that cannot work.

    A step to a safer state is never refused, and neither are rules that stay as they are.
    """
    old = {rule.name: rule for rule in before.rules}
    for rule in after.rules:
        was = old.get(rule.name)
        if rule.state == "off" or (was is not None and rule in (was, replace(was, state="shadow"))):
            continue
        for fault in unworkable(rule, models=models, destinations=destinations):
            raise RuleError(f"rule {rule.name!r}, {fault.place}: {fault.text}")


def _empty(rule: Rule) -> Iterator[Fault]:
    """Yield the conditions that ask for an empty text: a value that is not there is unknown, and equals nothing."""
    groups = {"all": rule.all, "any": rule.any, "none": rule.none}
    for group, conditions in groups.items():
        for number, one in enumerate(conditions, 1):
            wanted = {"equals": [one.argument], "in": one.argument}.get(one.predicate, [])
            if any(isinstance(value, str) and not value.strip() for value in wanted):
                told = f"a value is empty: nothing equals it; ask whether {one.name} has a value instead"
                yield Fault(f"{group}[{number}]", told)


def _fields(table: Mapping[str, Any]) -> Iterator[Fault]:
    for name, read in FIELDS.items():
        if name in table:
            try:
                read(table[name], name)
            except RuleError as error:
                yield Fault(name, _without(name, error))
        elif name in ("name", "model"):
            yield Fault(name, f"a rule needs a {name}")


def _conditions(table: Mapping[str, Any]) -> Iterator[Fault]:
    if not any(table.get(group) for group in GROUPS):
        yield Fault("all", "a rule needs at least one condition: add one")
    for group in GROUPS:
        for number, condition in enumerate(table.get(group, ()), 1):
            place = f"{group}[{number}]"
            try:
                parse_condition(condition, place)
            except RuleError as error:
                yield Fault(place, _without(place, error))


def _without(place: str, error: RuleError) -> str:
    """Return what an error says without the place, which stands beside it."""
    return str(error).removeprefix(f"{place}: ")
