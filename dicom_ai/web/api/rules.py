"""The rules: as they are and were, checked and tried before they are saved, on and off, roll-back; TOML in and out."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse, Response

from dicom_ai.errors import RuleError
from dicom_ai.routing.rule import RuleSet
from dicom_ai.routing.shipped import rules_of
from dicom_ai.storage import database, pauses, rules
from dicom_ai.storage.database import Session
from dicom_ai.storage.rules import StoredRules
from dicom_ai.web.api.access import ADMINISTRATOR, VIEWER, ApiCall, Call, Calling, Name, Number, Text, Version
from dicom_ai.web.pages.rules_import import place_of
from dicom_ai.web.pages.rules_review import USUAL_DAYS, require_sound, review

HIT_DAYS = 7
MOST_DIFFERENCES = 1000

Toml = Annotated[str, Field(max_length=1_000_000, pattern=r"^[^\x00]*$", description="the rules as TOML")]
Seen = Annotated[Version, Field(description="the version that the change was made on")]
Days = Annotated[int, Field(ge=1, le=366, description="how many past days the dry run covers")]
Why = Text
Evidence = Annotated[
    Text,
    Field(
        description="the fingerprint that the check of this very change gave; needed where a rule is on by it that was "
        "not on, or not just so"
    ),
]


class Checked(BaseModel):
    """Rules to check, and over how many past days to try them."""

    text: Toml
    days: Days = USUAL_DAYS


class CheckedState(BaseModel):
    """The state to check a rule in, and over how many past days to try it."""

    state: Literal["on", "off", "shadow"]
    days: Days = USUAL_DAYS


class CheckedRollBack(BaseModel):
    """The version to check, and over how many past days to try it."""

    version: Number
    days: Days = USUAL_DAYS


class Saved(BaseModel):
    """Rules to save."""

    text: Toml
    seen: Seen
    checked: Annotated[Text, Field(description="the fingerprint that the check of these very rules gave")]
    renamed: Annotated[
        dict[Name, Name],
        Field(max_length=100, description="earlier name -> new name of a rule, whose pause then goes on under it"),
    ] = {}
    why: Why = ""


class State(BaseModel):
    """The state that a rule shall have."""

    state: Literal["on", "off", "shadow"]
    seen: Seen
    checked: Evidence = ""
    why: Why = ""


class Move(BaseModel):
    """-1: before the rule that goes before it; 1: behind the next."""

    by: Literal[-1, 1]
    seen: Seen


class Remove(BaseModel):
    """A rule to leave out."""

    seen: Seen
    why: Why = ""


class RollBack(BaseModel):
    """The version to make the newest."""

    version: Number
    seen: Seen
    checked: Evidence = ""
    why: Why = ""


def list_rules(call: Calling) -> dict[str, Any]:
    """Return the rules in force, and how many series each took in the last days, sent on and in shadow."""
    with call.database.read() as session:
        stored = rules.in_force(session)
        since = database.now(session) - HIT_DAYS * 86_400
        hits = {rule.name: asdict(rules.hits(session, rule.name, since=since)) for rule in stored.rule_set.rules}
    return _told(stored) | {"rules": stored.content.get("rule", []), "hits": hits, "hit_days": HIT_DAYS}


def list_versions(call: Calling, most: Annotated[int, Query(ge=1, le=1000)] = 50) -> list[dict[str, Any]]:
    """Return the versions, newest first: who saved each, when and why."""
    with call.database.read() as session:
        return [_told(item) for item in rules.history(session, most=most)]


def export(call: Calling, version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None) -> Response:
    """Return the rules, or an older version of them, as TOML."""
    with call.database.read() as session:
        stored = rules.in_force(session) if version is None else rules.version(session, version)
    return PlainTextResponse(stored.rule_set.to_toml(), media_type="application/toml")


def check(call: Calling, wanted: Checked) -> dict[str, Any]:
    """Say whether rules can work, what they change, and what would have come of them in the last days."""
    with call.database.read() as session:
        stored = rules.in_force(session)
    try:
        after = rules_of(wanted.text)
        require_sound(call, stored.rule_set, after)
    except RuleError as error:
        place = place_of(wanted.text, str(error))
        return {"is_sound": False, "problem": str(error), "line": place.line if place else None}
    return _reviewed(call, stored, after, wanted.days)


def check_state(call: Calling, name: Name, wanted: CheckedState) -> dict[str, Any]:
    """Say what would come of a rule that is on, off or in shadow, tried on the last days."""
    with call.database.read() as session:
        stored = rules.in_force(session)
    after = stored.rule_set.with_state(name, wanted.state)
    require_sound(call, stored.rule_set, after)
    return _reviewed(call, stored, after, wanted.days)


def check_roll_back(call: Calling, wanted: CheckedRollBack) -> dict[str, Any]:
    """Say what would come of making an older version the newest, tried on the last days."""
    with call.database.read() as session:
        stored, after = rules.in_force(session), rules.version(session, wanted.version).rule_set
    return _reviewed(call, stored, after, wanted.days)


def save(call: Calling, wanted: Saved) -> dict[str, Any]:
    """Save rules as a new version, once these very rules were checked."""
    after = rules_of(wanted.text)
    with call.database.write() as session:
        rules.require_newest(session, wanted.seen)
        require_sound(call, rules.in_force(session).rule_set, after)
        if wanted.checked != rules.fingerprint(wanted.seen, after):
            raise RuleError("these rules were not checked on this version: ask rules/check, and send its fingerprint")
        _rename_pauses(session, rules.in_force(session).rule_set, after, wanted.renamed, who=call.who)
        note = wanted.why.strip() or "saved by the API"
        return _told(rules.save(session, after.as_toml(), author=call.who, note=note))


def turn(call: Calling, name: Name, wanted: State) -> dict[str, Any]:
    """Turn a rule on, once its dry run was asked for, or off or to shadow at once."""
    with call.database.write() as session:
        rules.require_newest(session, wanted.seen)
        before = rules.in_force(session)
        after = before.rule_set.with_state(name, wanted.state)
        require_sound(call, before.rule_set, after)
        _require_tried(before, after, wanted.checked, call_to_make=f"rules/{name}/state/check")
        return _told(rules.turn(session, name, wanted.state, author=call.who, why=wanted.why.strip()))


def move(call: Calling, name: Name, wanted: Move) -> dict[str, Any]:
    """Let a rule pass the one before or after it."""
    with call.database.write() as session:
        rules.require_newest(session, wanted.seen)
        return _told(rules.move(session, name, wanted.by, author=call.who))


def remove(call: Calling, name: Name, wanted: Remove) -> dict[str, Any]:
    """Make a version without a rule."""
    with call.database.write() as session:
        rules.require_newest(session, wanted.seen)
        return _told(rules.remove(session, name, author=call.who, why=wanted.why.strip()))


def roll_back(call: Calling, wanted: RollBack) -> dict[str, Any]:
    """Make an older version the newest; where a rule sends anew by that, once its dry run was asked for."""
    with call.database.write() as session:
        rules.require_newest(session, wanted.seen)
        after = rules.version(session, wanted.version).rule_set
        _require_tried(rules.in_force(session), after, wanted.checked, call_to_make="rules/roll-back/check")
        return _told(rules.roll_back(session, wanted.version, author=call.who, why=wanted.why.strip()))


CALLS = (
    ApiCall("GET", "/rules", list_rules, VIEWER),
    ApiCall("GET", "/rules/rules.toml", export, VIEWER),
    ApiCall("GET", "/rules/versions", list_versions, VIEWER),
    ApiCall("POST", "/rules/check", check, ADMINISTRATOR),
    ApiCall("POST", "/rules/save", save, ADMINISTRATOR),
    ApiCall("POST", "/rules/roll-back/check", check_roll_back, ADMINISTRATOR),
    ApiCall("POST", "/rules/roll-back", roll_back, ADMINISTRATOR),
    ApiCall("POST", "/rules/{name}/state/check", check_state, ADMINISTRATOR),
    ApiCall("POST", "/rules/{name}/state", turn, ADMINISTRATOR),
    ApiCall("POST", "/rules/{name}/move", move, ADMINISTRATOR),
    ApiCall("POST", "/rules/{name}/remove", remove, ADMINISTRATOR),
)


def _told(stored: StoredRules) -> dict[str, Any]:
    return {
        "version": stored.version,
        "created_at": stored.created_at,
        "author": stored.author,
        "note": stored.note,
    }


def _rename_pauses(session: Session, before: RuleSet, after: RuleSet, renamed: Mapping[str, str], *, who: str) -> None:
    """Let pauses follow the new names of rules. Raises RuleError for a name that was not there, or did not change."""
    for old, new in renamed.items():
        if old not in before.names or old in after.names or new not in after.names or new in before.names:
            raise RuleError(f"{old!r} was not given the name {new!r} by this")
        pauses.rename_rule(session, old, new, who=who)


def _require_tried(before: StoredRules, after: RuleSet, checked: str, *, call_to_make: str) -> None:
    if not rules.is_tried(before, after, checked):
        names = ", ".join(rules.sending_anew(before.rule_set, after))
        raise RuleError(f"{names} would send by this and was not tried so: ask {call_to_make}, send its fingerprint")


def _reviewed(call: Call, stored: StoredRules, after: RuleSet, days: int) -> dict[str, Any]:
    found = review(call, stored, after, days=days)
    trial = found.trial
    return {
        "is_sound": True,
        "seen": stored.version,
        "changes": [{"rule": change.rule, "summary": change.summary} for change in found.changes],
        "warnings": list(found.warnings),
        "fingerprint": found.fingerprint,
        "days": found.days,
        "trial": None
        if trial is None
        else {
            "studies": trial.studies,
            "series": trial.series,
            "left_out": trial.left_out,
            "is_whole": trial.is_whole,
            "differences": [asdict(item) for item in trial.differences[:MOST_DIFFERENCES]],
        },
    }
