"""The rules: what each takes and where it sends, turning them on and off, versions with roll-back, TOML in and out."""

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Literal

from fastapi import Form, Query, UploadFile
from starlette.responses import PlainTextResponse, Response

from dicom_ai.errors import RuleError
from dicom_ai.pipeline.dry_run import Bounds, Trial, try_rules
from dicom_ai.routing.changes import changes
from dicom_ai.routing.contradictions import contradictions
from dicom_ai.routing.rule import RuleSet
from dicom_ai.routing.shipped import rules_of
from dicom_ai.storage import database, rules
from dicom_ai.storage.rules import StoredRules
from dicom_ai.web.visit import Visit, Visiting

HIT_DAYS = 7
MOST_VERSIONS = 50
"""Lines of the list of versions; older ones are in `dicom-ai rules list --versions`."""

TRIAL_DAYS = 7
TRIAL_S = 8.0
"""How long a person waits for a dry run: the newest studies are tried first."""
MOST_DIFFERENCES = 100

Why = Annotated[str, Form(max_length=500)]
Seen = Annotated[int, Form(description="the version that the page showed")]


@dataclass(frozen=True, slots=True)
class Place:
    """Lines of a text around an error. line: where it is, from 1."""

    line: int
    lines: tuple[tuple[int, str], ...]


def show(visit: Visiting) -> Response:
    """Show the rules, what each took lately, and their versions."""
    with visit.database.read() as session:
        stored = rules.in_force(session)
        since = database.now(session) - HIT_DAYS * 86_400
        rule_set = stored.rule_set
        hits = {rule.name: rules.hits(session, rule.name, since=since) for rule in rule_set.rules}
        versions = rules.history(session, most=MOST_VERSIONS)
    return visit.page(
        "rules.html",
        stored=stored,
        rules=rule_set.rules,
        hits=hits,
        days=HIT_DAYS,
        versions=[(item, names_on(item)) for item in versions],
        warnings=warnings(visit, rule_set),
    )


def export(visit: Visiting, version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None) -> Response:
    """Return the rules, or an older version of them, as a TOML file."""
    with visit.database.read() as session:
        stored = rules.in_force(session) if version is None else rules.version(session, version)
    name = f'attachment; filename="rules-{stored.version}.toml"'
    return PlainTextResponse(
        stored.rule_set.to_toml(), media_type="application/toml", headers={"Content-Disposition": name}
    )


def turn(
    visit: Visiting,
    name: Annotated[str, Form()],
    state: Annotated[Literal["on", "off", "shadow"], Form()],
    seen: Seen,
    why: Why = "",
) -> Response:
    """Turn a rule on, off or to shadow."""
    with visit.database.write() as session:
        rules.require_newest(session, seen)
        saved = rules.turn(session, name, state, author=visit.who, why=why.strip())
    return visit.go("/rules", notice=f"{name} is {state}: version {saved.version}.")


def roll_back(
    visit: Visiting, version: Annotated[int, Form(ge=1, le=2**31 - 1)], seen: Seen, why: Why = ""
) -> Response:
    """Make an older version the newest."""
    with visit.database.write() as session:
        rules.require_newest(session, seen)
        saved = rules.roll_back(session, version, author=visit.who, why=why.strip())
    return visit.go("/rules", notice=f"The rules are as in version {version}: version {saved.version}.")


def edit(visit: Visiting) -> Response:
    """Show the rules as TOML, to be changed or replaced."""
    with visit.database.read() as session:
        stored = rules.in_force(session)
    return _import_page(visit, stored, stored.rule_set.to_toml())


def import_(
    visit: Visiting,
    seen: Seen,
    text: Annotated[str, Form()] = "",
    checked: Annotated[str, Form()] = "",
    why: Why = "",
    file: UploadFile | None = None,
) -> Response:
    """Check a text of rules and show what would change; save it once this very text was checked."""
    text = "\n".join((_read(file) or text).splitlines()) + "\n"
    with visit.database.read() as session:
        stored = rules.in_force(session)
    try:
        wanted = rules_of(text)
    except RuleError as error:
        return _import_page(visit, stored, text, problem=str(error))
    if checked != _digest(text):
        return _import_page(visit, stored, text, wanted=wanted)
    with visit.database.write() as session:
        rules.require_newest(session, seen)
        note = why.strip() or "imported on the page"
        saved = rules.save(session, wanted.as_toml(), author=visit.who, note=note)
    return visit.go("/rules", notice=f"Saved: version {saved.version}.")


def names_on(stored: StoredRules) -> tuple[str, ...]:
    """Return which rules of a version are on; also of one that this release no longer reads."""
    return tuple(str(table.get("name")) for table in stored.content.get("rule", ()) if table.get("state", "on") == "on")


def warnings(visit: Visit, rule_set: RuleSet) -> list[str]:
    """Return what is well formed and still will not do what it says."""
    return contradictions(rule_set) + [
        f"rule {rule.name!r} sends to {name!r}, which is no destination of this node"
        for rule in rule_set.rules
        for name in rule.destinations
        if name not in visit.app.destinations and rule.state != "off"
    ]


def place_of(text: str, problem: str) -> Place | None:
    """Return the lines around an error: those it names, or where the rule that it names begins."""
    lines = text.splitlines()
    line = _line(lines, problem)
    if line is None:
        return None
    first = max(1, line - 2)
    return Place(line, tuple((first + index, one) for index, one in enumerate(lines[first - 1 : line + 2])))


def _line(lines: list[str], problem: str) -> int | None:
    if "(at end of document)" in problem:
        return len(lines)
    if named := re.search(r"\(at line (\d+)", problem):
        return min(int(named.group(1)), len(lines))
    if rule := re.match(r"rule '([^']*)'", problem):
        written = re.compile(rf"""\s*name\s*=\s*["']{re.escape(rule.group(1))}["']""")
        return next((number for number, one in enumerate(lines, 1) if written.match(one)), None)
    return None


def _read(file: UploadFile | None) -> str:
    """Return the text of an uploaded file; "" for none. Bytes that are no text become signs that TOML refuses."""
    return "" if file is None else file.file.read().decode("utf-8-sig", errors="replace")


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _trial(visit: Visit, before: RuleSet, after: RuleSet) -> Trial:
    """Try rules on the studies of the last days, and note that who asked has seen those that differ."""
    with visit.database.read() as session:
        since = database.now(session) - TRIAL_DAYS * 86_400
    trial = try_rules(visit.database, visit.app.files.path, before, after, Bounds(since, TRIAL_S))
    shown = trial.differences[:MOST_DIFFERENCES]
    visit.viewed_many(list(dict.fromkeys(item.study_uid for item in shown)))
    return trial


def _import_page(
    visit: Visit, stored: StoredRules, text: str, *, problem: str = "", wanted: RuleSet | None = None
) -> Response:
    different = changes(stored.rule_set, wanted) if wanted else ()
    return visit.page(
        "rules_import.html",
        status=422 if problem else 200,
        stored=stored,
        text=text,
        digest=_digest(text),
        problem=problem,
        place=place_of(text, problem) if problem else None,
        wanted=wanted,
        changes=different,
        trial=_trial(visit, stored.rule_set, wanted) if wanted and different else None,
        days=TRIAL_DAYS,
        most=MOST_DIFFERENCES,
        warnings=warnings(visit, wanted) if wanted else [],
    )
