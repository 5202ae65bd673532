"""Routing rules, versioned: every save adds a version that says who and when; none is ever changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.errors import ConfigError, RuleError
from dicom_ai.routing.rule import Rule, RuleSet, parse_rules
from dicom_ai.routing.shipped import read_rules
from dicom_ai.storage import audit, pauses
from dicom_ai.storage.database import lock_study, now
from dicom_ai.storage.tables import DecisionRow, RuleVersionRow


@dataclass(frozen=True, slots=True)
class StoredRules:
    """One version of all rules. content: the rules as routing.toml would hold them, for routing.rule.parse_rules."""

    version: int
    created_at: float
    author: str
    note: str
    content: Mapping[str, Any] = field(repr=False)

    @property
    def rule_set(self) -> RuleSet:
        """The rules themselves. Raises RuleError for a version that this release no longer reads."""
        return parse_rules(self.content)


@dataclass(frozen=True, slots=True)
class Hits:
    """Series that a rule took in some time: those whose results are sent, and those it took in shadow."""

    sent: int
    shadow: int


def current(session: Session) -> StoredRules | None:
    """Return the newest version; None while the database has no rules."""
    row = session.scalars(sa.select(RuleVersionRow).order_by(RuleVersionRow.version.desc()).limit(1)).first()
    return None if row is None else _stored(row)


def in_force(session: Session) -> StoredRules:
    """Return the newest version; for a database without rules the shipped ones, as `serve` would seed them."""
    return current(session) or StoredRules(
        0, 0.0, "shipped", "not seeded yet", read_rules().seeded_as("shadow").as_toml()
    )


def version(session: Session, number: int) -> StoredRules:
    """Return one version; raise RuleError if there is none of that number."""
    row = session.get(RuleVersionRow, number)
    if row is None:
        raise RuleError(f"there is no version {number} of the rules")
    return _stored(row)


def history(session: Session, *, most: int | None = None) -> Sequence[StoredRules]:
    """Return every version, or so many, newest first."""
    newest_first = sa.select(RuleVersionRow).order_by(RuleVersionRow.version.desc()).limit(most)
    return tuple(_stored(row) for row in session.scalars(newest_first))


def save(session: Session, content: Mapping[str, Any], *, author: str, note: str) -> StoredRules:
    """Add a version. The content must have been parsed by routing.rule.parse_rules before."""
    row = RuleVersionRow(created_at=now(session), author=author, note=note, content=dict(content))
    session.add(row)
    session.flush()
    audit.record(session, author, "rules saved", f"rules version {row.version}", {"note": note})
    return _stored(row)


def turn(session: Session, name: str, state: str, *, author: str, why: str = "") -> StoredRules:
    """Add a version with one rule on, off or in shadow. Raises RuleError where there is no such rule or state."""
    rules = in_force(session).rule_set.with_state(name, state)
    return save(session, rules.as_toml(), author=author, note=_note(f"{name} turned {state}", why))


def roll_back(session: Session, number: int, *, author: str, why: str = "") -> StoredRules:
    """Add a version that is as an older one was. Raises RuleError where there is none, or it can no longer be read."""
    rules = version(session, number).rule_set
    return save(session, rules.as_toml(), author=author, note=_note(f"rolled back to version {number}", why))


def require_newest(session: Session, seen: int) -> None:
    """Raise ConfigError where somebody has changed the rules since a person looked at a version of them.

    Until the transaction ends, nobody else passes here: of two who saw the same version one is refused.
    """
    lock_study(session, "rules")  # no study: any word makes one wait for the other
    newest = in_force(session)
    if newest.version != seen:
        done = f"version {newest.version} by {newest.author}, {newest.note}"
        raise ConfigError(f"the rules were changed meanwhile ({done}): look at them again")


def put(session: Session, rule: Rule, *, instead_of: str = "", author: str, why: str = "") -> StoredRules:
    """Add a version with one more rule, or with one in the place of another. Raises RuleError for a name in use.

    A pause of the other goes on under the new name.
    """
    wanted = in_force(session).rule_set.with_rule(rule, instead_of=instead_of)
    if instead_of and instead_of != rule.name:
        pauses.rename_rule(session, instead_of, rule.name, who=author)
    return save(session, wanted.as_toml(), author=author, note=_note(_put(rule.name, instead_of), why))


def remove(session: Session, name: str, *, author: str, why: str = "") -> StoredRules:
    """Add a version without a rule. Raises RuleError where there is no such rule."""
    wanted = in_force(session).rule_set.without(name)
    return save(session, wanted.as_toml(), author=author, note=_note(f"{name} removed", why))


def move(session: Session, name: str, by: int, *, author: str) -> StoredRules:
    """Add a version with a rule further up (by -1) or down (by 1); none where it is the first or last already."""
    stored = in_force(session)
    wanted = stored.rule_set.moved(name, by)
    if wanted == stored.rule_set:
        return stored
    return save(session, wanted.as_toml(), author=author, note=f"{name} moved {'up' if by < 0 else 'down'}")


def fingerprint(seen: int, wanted: RuleSet) -> str:
    """Return what stands for a change that a person was shown: these very rules, in the place of this version."""
    return sha256(f"{seen}\n{wanted.to_toml()}".encode()).hexdigest()


def sending_anew(before: RuleSet, after: RuleSet) -> tuple[str, ...]:
    """Return the rules that are on in a later set, and in the earlier one were not, or not just so."""
    return tuple(rule.name for rule in after.rules if rule.state == "on" and rule not in before.rules)


def is_tried(before: StoredRules, after: RuleSet, checked: str) -> bool:
    """Say whether a change may be saved: no rule sends anew by it, or its very dry run was shown.

    checked: the fingerprint that came with the dry run; "" for none.
    """
    return not sending_anew(before.rule_set, after) or checked == fingerprint(before.version, after)


def hits(session: Session, rule: str, *, since: float) -> Hits:
    """Return how many series a rule took since a time, as routing last decided about each."""
    taken = sa.select(sa.func.count()).where(
        DecisionRow.rule == rule, DecisionRow.decided_at >= since, DecisionRow.taken
    )
    sent, shadow = (session.scalar(taken.where(DecisionRow.shadow.is_(is_shadow))) or 0 for is_shadow in (False, True))
    return Hits(sent, shadow)


def daily_hits(session: Session, days: Sequence[float]) -> Mapping[str, Sequence[Hits]]:
    """Return rule -> how many series it took on each day, by the moments at which the days begin and the last ends."""
    spans = list(pairwise(days))
    inside = [sa.and_(DecisionRow.decided_at >= begin, DecisionRow.decided_at < end) for begin, end in spans]
    counts = [
        sa.func.sum(sa.case((sa.and_(within, DecisionRow.shadow.is_(is_shadow)), 1), else_=0))
        for within in inside
        for is_shadow in (False, True)
    ]
    query = sa.select(DecisionRow.rule, *counts).where(DecisionRow.taken, DecisionRow.decided_at >= days[0])
    found = {}
    for rule, *numbers in session.execute(query.group_by(DecisionRow.rule)):
        found[rule] = tuple(Hits(int(numbers[at]), int(numbers[at + 1])) for at in range(0, len(numbers), 2))
    return found


def _put(name: str, instead_of: str) -> str:
    if not instead_of:
        return f"{name} added"
    return f"{name} changed" if name == instead_of else f"{instead_of} changed and named {name}"


def _note(done: str, why: str) -> str:
    return f"{done}: {why}" if why else done


def _stored(row: RuleVersionRow) -> StoredRules:
    return StoredRules(row.version, row.created_at, row.author, row.note, row.content)
