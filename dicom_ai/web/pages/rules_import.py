"""All rules as TOML, to be changed or replaced; checked and tried before they are saved."""

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Form, UploadFile
from starlette.responses import Response

from dicom_ai.errors import RuleError
from dicom_ai.routing.rule import RuleSet
from dicom_ai.routing.shipped import rules_of
from dicom_ai.storage import rules
from dicom_ai.storage.rules import StoredRules
from dicom_ai.web.pages.rules_change import Checked, Seen, Why
from dicom_ai.web.pages.rules_review import require_sound, review
from dicom_ai.web.visit import Visit, Visiting


@dataclass(frozen=True, slots=True)
class Place:
    """Lines of a text around an error. line: where it is, from 1."""

    line: int
    lines: tuple[tuple[int, str], ...]


def show(visit: Visiting) -> Response:
    """Show the rules as TOML, to be changed or replaced."""
    stored = _in_force(visit)
    return _page(visit, stored, stored.rule_set.to_toml())


def save(
    visit: Visiting,
    seen: Seen,
    text: Annotated[str, Form()] = "",
    checked: Checked = "",
    why: Why = "",
    file: UploadFile | None = None,
) -> Response:
    """Check a text of rules and show what would change; save it once these very rules were shown."""
    text = "\n".join((_read(file) or text).splitlines()) + "\n"
    stored = _in_force(visit)
    try:
        wanted = rules_of(text)
        require_sound(visit, stored.rule_set, wanted)
    except RuleError as error:
        return _page(visit, stored, text, problem=str(error))
    if checked != rules.fingerprint(seen, wanted):
        return _page(visit, stored, text, wanted=wanted)
    with visit.database.write() as session:
        rules.require_newest(session, seen)
        note = why.strip() or "imported on the page"
        saved = rules.save(session, wanted.as_toml(), author=visit.who, note=note)
    return visit.go("/rules", notice=f"Saved: version {saved.version}.")


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


def _in_force(visit: Visit) -> StoredRules:
    with visit.database.read() as session:
        return rules.in_force(session)


def _page(
    visit: Visit, stored: StoredRules, text: str, *, problem: str = "", wanted: RuleSet | None = None
) -> Response:
    return visit.page(
        "rules_import.html",
        status=422 if problem else 200,
        stored=stored,
        text=text,
        problem=problem,
        place=place_of(text, problem) if problem else None,
        review=review(visit, stored, wanted) if wanted is not None else None,
    )
