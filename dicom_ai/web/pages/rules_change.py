"""Changes to rules that need no editor: turn on, off or to shadow, remove, roll back, up and down. Each asks first."""

from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import Form, Query
from starlette.responses import Response

from dicom_ai.errors import RuleError
from dicom_ai.routing.rule import RuleSet
from dicom_ai.storage import rules
from dicom_ai.storage.rules import StoredRules
from dicom_ai.web.pages.rules_review import DAYS, USUAL_DAYS, receivers_of, require_sound, review
from dicom_ai.web.visit import Visit, Visiting

Why = Annotated[str, Form(max_length=500)]
Seen = Annotated[int, Form(description="the version that the page showed")]
Checked = Annotated[str, Form(description="the fingerprint of what the page showed")]
Days = Annotated[int, Query(ge=1, le=366)]
Version = Annotated[int, Query(ge=1, le=2**31 - 1)]


def ask_turn(
    visit: Visiting, name: str, state: Literal["on", "off", "shadow"] = "on", days: Days = USUAL_DAYS
) -> Response:
    """Show what comes of turning a rule on, off or to shadow."""
    stored = _in_force(visit)
    after = stored.rule_set.with_state(name, state)
    require_sound(visit, stored.rule_set, after)
    title = f"Turn {name} {state}" if state != "shadow" else f"{name} to shadow"
    return _ask(visit, stored, after, title, days, {"name": name, "state": state})


def turn(
    visit: Visiting,
    name: Annotated[str, Form()],
    state: Annotated[Literal["on", "off", "shadow"], Form()],
    seen: Seen,
    checked: Checked = "",
    why: Why = "",
) -> Response:
    """Turn a rule on, once its dry run was shown, or off or to shadow at once."""
    stored = _in_force(visit)
    after = stored.rule_set.with_state(name, state)
    require_sound(visit, stored.rule_set, after)
    with visit.database.write() as session:
        rules.require_newest(session, seen)
        if not rules.is_tried(stored, after, checked):
            return visit.go(f"/rules/turn?{urlencode({'name': name})}")
        saved = rules.turn(session, name, state, author=visit.who, why=why.strip())
    return visit.go("/rules", notice=f"{name} is {state}: version {saved.version}.")


def ask_remove(visit: Visiting, name: str, days: Days = USUAL_DAYS) -> Response:
    """Show what is lost without a rule."""
    stored = _in_force(visit)
    return _ask(visit, stored, stored.rule_set.without(name), f"Remove {name}", days, {"name": name})


def remove(visit: Visiting, name: Annotated[str, Form()], seen: Seen, why: Why = "") -> Response:
    """Make a version without a rule."""
    with visit.database.write() as session:
        rules.require_newest(session, seen)
        saved = rules.remove(session, name, author=visit.who, why=why.strip())
    return visit.go("/rules", notice=f"{name} is removed: version {saved.version}. An older version brings it back.")


def ask_roll_back(visit: Visiting, version: Version, days: Days = USUAL_DAYS) -> Response:
    """Show what comes of making an older version the newest."""
    stored = _in_force(visit)
    with visit.database.read() as session:
        after = rules.version(session, version).rule_set
    return _ask(visit, stored, after, f"Roll back to version {version}", days, {"version": version})


def roll_back(
    visit: Visiting,
    version: Annotated[int, Form(ge=1, le=2**31 - 1)],
    seen: Seen,
    checked: Checked = "",
    why: Why = "",
) -> Response:
    """Make an older version the newest; where a rule sends anew by that, once its dry run was shown."""
    with visit.database.write() as session:
        rules.require_newest(session, seen)
        if not rules.is_tried(rules.in_force(session), rules.version(session, version).rule_set, checked):
            return visit.go(f"/rules/roll-back?version={version}")
        saved = rules.roll_back(session, version, author=visit.who, why=why.strip())
    return visit.go("/rules", notice=f"The rules are as in version {version}: version {saved.version}.")


def move(
    visit: Visiting, name: Annotated[str, Form()], by: Annotated[Literal["-1", "1"], Form()], seen: Seen
) -> Response:
    """Let a rule pass the one before or after it."""
    with visit.database.write() as session:
        rules.require_newest(session, seen)
        saved = rules.move(session, name, int(by), author=visit.who)
    priority = saved.rule_set.named(name).priority
    return visit.go("/rules", notice=f"{name} has priority {priority} now: version {saved.version}.")


def _in_force(visit: Visit) -> StoredRules:
    with visit.database.read() as session:
        return rules.in_force(session)


def _ask(
    visit: Visit, stored: StoredRules, after: RuleSet, title: str, days: int, hidden: dict[str, str | int]
) -> Response:
    found = review(visit, stored, after, days=days)
    if not found.changes:
        raise RuleError("nothing would change: the rules are like that already")
    turned = [rule for rule in after.rules if rule.state == "on" and rule.name not in _on(stored.rule_set)]
    receivers = {rule.name: receivers_of(rule.destinations, visit.app.destinations) for rule in turned}
    return visit.page(
        "rules_confirm.html",
        stored=stored,
        review=found,
        title=title,
        hidden=hidden,
        all_days=DAYS,
        turns_on={name: to for name, to in receivers.items() if to},
        turns_on_for_nobody=[name for name, to in receivers.items() if not to],
    )


def _on(rule_set: RuleSet) -> set[str]:
    return {rule.name for rule in rule_set.rules if rule.state == "on"}
