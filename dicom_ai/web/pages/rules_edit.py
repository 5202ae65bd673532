"""The editor of one rule: fields and conditions, the values that really occurred, and a dry run before it is saved."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from dicom_ai.errors import RuleError
from dicom_ai.routing.facts import FACTS
from dicom_ai.routing.fault import Fault, malformed, unworkable
from dicom_ai.routing.rule import GROUPS, OUTPUTS, STATES, TAKES, Rule, RuleSet, parse_rules
from dicom_ai.storage import rules, rules_values
from dicom_ai.storage.rules import StoredRules
from dicom_ai.web.pages.rules_form import Draft, draft_of, fits_the_form, read_form
from dicom_ai.web.pages.rules_review import DAYS, USUAL_DAYS, Review, installed_models, receivers_of, review
from dicom_ai.web.visit import Visit, Visiting

VALUE_DAYS = 30
"""How far back values are looked for that are offered for choice."""

OUTPUT_WORDS: Mapping[str, str] = {
    "seg": "masks (SEG)",
    "sr": "report (SR; as PDF and picture where a destination takes these)",
    "overlay": "picture of the report, to every destination",
}
"""What a rule may ask for, in words."""

Name = Annotated[str, Query(max_length=200)]


async def _sent(request: Request) -> FormData:
    return await request.form()


@dataclass(frozen=True, slots=True)
class Editor:
    """What the page shows. seen: the version that the draft began from. days: how far back the rule is tried.

    review: what would change, once the draft has no faults. late: somebody wanted to save what had not been tried.
    fresh: the condition that was just added, where the cursor goes.
    """

    draft: Draft
    seen: int
    days: int = USUAL_DAYS
    faults: tuple[Fault, ...] = ()
    review: Review | None = None
    late: bool = False
    fresh: str = ""


def show(visit: Visiting, name: Name = "", copy_of: Name = "") -> Response:
    """Show a rule as fields: one that is there, a copy of one, or a new one."""
    stored = _in_force(visit)
    draft = _begun(stored.rule_set, name, copy_of, tuple(visit.app.destinations), installed_models(visit))
    return _page(visit, stored, Editor(draft, stored.version))


def change(visit: Visiting, form: Annotated[FormData, Depends(_sent)]) -> Response:
    """Do what a button of the form says: a condition more or less, try the rule, or save it once it was tried."""
    draft, stored = read_form(form), _in_force(visit)
    act, *words = str(form.get("do", "try")).split(" ", 3)
    editor = Editor(draft, _whole(form.get("seen"), -1), _whole(form.get("days"), USUAL_DAYS))
    if act in ("add", "try") and any(str(form.get(f"{group}-new", "")).strip() for group in GROUPS):
        return _page(visit, stored, _with_new(editor, form))  # also for Enter in the field of a new condition
    if act in _ACTS:
        return _page(visit, stored, replace(editor, draft=_ACTS[act](draft, words)))
    faults, after = _checked(visit, stored, draft)
    if after is None:
        return _page(visit, stored, replace(editor, faults=faults))
    if act != "save" or form.get("checked") != rules.fingerprint(editor.seen, after):
        found = review(visit, stored, after, days=editor.days, renamed=_renamed(draft))
        return _page(visit, stored, replace(editor, seen=stored.version, review=found, late=act == "save"))
    with visit.database.write() as session:
        rules.require_newest(session, editor.seen)
        rule = after.named(draft.name.strip())
        why = str(form.get("why", ""))[:500].strip()
        saved = rules.put(session, rule, instead_of=draft.instead_of, author=visit.who, why=why)
    return visit.go("/rules", notice=f"{rule.name} is saved and is {rule.state}: version {saved.version}.")


_ACTS: Mapping[str, Callable[[Draft, Sequence[str]], Draft]] = {
    "show": lambda draft, words: draft,
    "add": lambda draft, words: draft,
    "remove": lambda draft, words: draft.removed("".join(words[:1]), _whole("".join(words[1:2]), -1)),
    "pick": lambda draft, words: draft.picked("".join(words[:1]), _whole("".join(words[1:2]), -1), " ".join(words[2:])),
}
"""First word of a button that only changes the form -> what it does."""


def _with_new(editor: Editor, form: FormData) -> Editor:
    """Return the editor with the conditions that somebody has named."""
    draft, fresh = editor.draft, ""
    for group in GROUPS:
        more = draft.added(group, str(form.get(f"{group}-new", "")))
        fresh = f"{group}-{len(more.groups[group]) - 1}" if more is not draft else fresh
        draft = more
    return replace(editor, draft=draft, fresh=fresh)


def _in_force(visit: Visit) -> StoredRules:
    with visit.database.read() as session:
        return rules.in_force(session)


def _begun(rule_set: RuleSet, name: str, copy_of: str, destinations: tuple[str, ...], models: tuple[str, ...]) -> Draft:
    """Return the fields that an editor begins with."""
    if not name and not copy_of:
        return Draft(model=models[0] if models else "", destinations=destinations[:1]).added("all", "Modality")
    rule = rule_set.named(name or copy_of)
    if not fits_the_form(rule):
        raise RuleError(f"rule {rule.name!r} has a range with two lower or two upper bounds: change it as TOML")
    return draft_of(rule) if name else _copied(rule, rule_set)


def _copied(rule: Rule, rule_set: RuleSet) -> Draft:
    """Return a copy under a name that is free; it sends nothing until somebody turns it on."""
    numbers = (f"{rule.name}-{number}" for number in range(2, len(rule_set.rules) + 3))
    name = next(one for one in numbers if one not in rule_set.names)
    return replace(draft_of(rule), instead_of="", name=name, state="shadow")


def _checked(visit: Visit, stored: StoredRules, draft: Draft) -> tuple[tuple[Fault, ...], RuleSet | None]:
    """Return everything that is wrong with a draft, or the rules as they would be with it."""
    table = draft.table()
    faults = malformed(table)
    (rule,) = parse_rules({"rule": [_readable(table, {fault.place for fault in faults})]}).rules
    if rule.state != "off":
        found = unworkable(rule, models=installed_models(visit), destinations=visit.app.destinations)
        faults += tuple(fault for fault in found if fault.place not in {one.place for one in faults})
    try:
        after = stored.rule_set.with_rule(rule, instead_of=draft.instead_of)
    except RuleError as error:
        return (*faults, Fault("name", str(error).removeprefix(f"rule {rule.name!r}: "))), None
    return faults, None if faults else after


def _readable(table: Mapping[str, Any], places: Collection[str]) -> dict[str, Any]:
    """Return a rule without what is malformed in it, so that the rest can be looked at; as it is where nothing is."""
    if not places:
        return dict(table)
    sound = {name: value for name, value in table.items() if name not in places and name not in GROUPS}
    for group in GROUPS:
        conditions = table.get(group, ())
        places_of = [f"{group}[{number}]" for number in range(1, len(conditions) + 1)]
        kept = [_ANYTHING if at in places else one for at, one in zip(places_of, conditions, strict=True)]
        sound |= {group: kept} if kept else {}
    begun = {"name": "no name yet", "model": table.get("model") or "no model yet"}
    return begun | sound | ({} if any(group in sound for group in GROUPS) else {"all": [_ANYTHING]})


_ANYTHING = {"keyword": "Modality", "exists": True}
"""Stands for a condition that cannot be read."""


def _renamed(draft: Draft) -> tuple[str, str] | None:
    name = draft.name.strip()
    return (draft.instead_of, name) if draft.instead_of and draft.instead_of != name else None


def _whole(text: Any, otherwise: int) -> int:
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10 else otherwise


def _page(visit: Visit, stored: StoredRules, editor: Editor) -> Response:
    draft = editor.draft
    names = {row.subject for rows in draft.groups.values() for row in rows}
    occurred = rules_values.occurrences(visit.database, names, days=VALUE_DAYS)
    destinations = tuple(dict.fromkeys((*visit.app.destinations, *draft.destinations)))
    models = tuple(dict.fromkeys((*installed_models(visit), *([draft.model] if draft.model else []))))
    return visit.page(
        "rules_edit.html",
        status=422 if editor.faults else 200,
        stored=stored,
        editor=editor,
        draft=draft,
        marked={fault.place: fault.text for fault in editor.faults},
        occurred=occurred,
        is_listed=rules_values.is_listed,
        facts=FACTS,
        value_days=VALUE_DAYS,
        all_days=DAYS,
        choices={"models": models, "destinations": destinations, "outputs": OUTPUTS, "states": STATES, "takes": TAKES},
        groups=GROUPS,
        output_words=OUTPUT_WORDS,
        receivers=receivers_of(draft.destinations, visit.app.destinations),
    )
