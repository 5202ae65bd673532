"""What two sets of rules differ in, rule by rule, in words that a person reads at three in the morning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dicom_ai.routing.rule import GROUPS, Rule, RuleSet


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a rule that differs. before, after: what it says, a line each; none where it was or is not there."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A rule that two sets do not share alike. summary: what is different, in a few words."""

    rule: str
    summary: str
    parts: tuple[Part, ...]


def changes(before: RuleSet, after: RuleSet) -> tuple[Change, ...]:
    """Return every rule that two sets do not share alike, in the order of the later one."""
    old, new = ({rule.name: rule for rule in rules.rules} for rules in (before, after))
    names = [*new, *(name for name in old if name not in new)]
    found = [_change(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]
    return (*found, *_order(before, after))


def _order(before: RuleSet, after: RuleSet) -> Sequence[Change]:
    """Return a change of the order alone: rules of equal priority that have changed places."""
    shared = [name for name in before.names if name in after.names]
    now = [name for name in after.names if name in before.names]
    if shared == now or any(before.named(name).priority != after.named(name).priority for name in shared):
        return ()
    return (Change("all rules", "order", (Part("order", tuple(shared), tuple(now)),)),)


def _change(name: str, old: Rule | None, new: Rule | None) -> Change:
    was, becomes = _lines(old), _lines(new)
    parts = tuple(
        _part(part, was.get(part, ()), becomes.get(part, ()))
        for part in dict.fromkeys((*becomes, *was))
        if was.get(part, ()) != becomes.get(part, ())
    )
    if new is None:
        return Change(name, "is gone", parts)
    if old is None:
        return Change(name, f"new, {new.state}", parts)
    words = [f"state {old.state} → {new.state}" if part.name == "state" else part.name for part in parts]
    return Change(name, ", ".join(words), parts)


def _part(name: str, before: tuple[str, ...], after: tuple[str, ...]) -> Part:
    """Return a part; of a group of conditions only those that are not on both sides."""
    if name not in GROUPS:
        return Part(name, before, after)
    gone = tuple(line for line in before if line not in after)
    added = tuple(line for line in after if line not in before)
    return Part(name, gone, added) if gone or added else Part(name, before, after)


def _lines(rule: Rule | None) -> Mapping[str, tuple[str, ...]]:
    """Return what each part of a rule says."""
    if rule is None:
        return {}
    lines = {name: _said(value) for name, value in rule.as_toml().items() if name not in (*GROUPS, "name")}
    groups = {"all": rule.all, "any": rule.any, "none": rule.none}
    return lines | {
        name: tuple(one.text + (" (with its case)" if one.case else "") for one in group)
        for name, group in groups.items()
        if group
    }


def _said(value: Any) -> tuple[str, ...]:
    if isinstance(value, list):
        return (", ".join(map(str, value)),) if value else ()
    return (f"{value:g}" if isinstance(value, float) else str(value),) if value != "" else ()
