"""The rules: what each takes and where it sends, what it took of late, and every version with who made it and why."""

from datetime import datetime, time, timedelta
from typing import Annotated

from fastapi import Query
from starlette.responses import PlainTextResponse, Response

from dicom_ai.routing.rule import Rule
from dicom_ai.storage import database, pauses, rules
from dicom_ai.storage.pauses import Pause, PauseKind
from dicom_ai.storage.rules import Hits, StoredRules
from dicom_ai.web.pages.rules_review import warnings
from dicom_ai.web.visit import Visit, Visiting

HIT_DAYS = 14
MOST_VERSIONS = 50
"""Lines of the list of versions; older ones are in `dicom-ai rules list --versions`."""

_NO_HITS = (Hits(0, 0),) * HIT_DAYS


def show(visit: Visiting) -> Response:
    """Show the rules, what each took lately, and their versions."""
    with visit.database.read() as session:
        stored = rules.in_force(session)
        days = _days(visit, database.now(session))
        hits = rules.daily_hits(session, days)
        versions = rules.history(session, most=MOST_VERSIONS)
        paused = pauses.all_of(session)
    rule_set = stored.rule_set
    return visit.page(
        "rules.html",
        stored=stored,
        rules=rule_set.rules,
        destinations=tuple(visit.app.destinations),
        hits={rule.name: hits.get(rule.name, _NO_HITS) for rule in rule_set.rules},
        paused={rule.name: [one for one in paused if _holds(one, rule)] for rule in rule_set.rules},
        days=[visit.site.pages.day(begin) for begin in days[:-1]],
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


def names_on(stored: StoredRules) -> tuple[str, ...]:
    """Return which rules of a version are on; also of one that this release no longer reads."""
    return tuple(str(table.get("name")) for table in stored.content.get("rule", ()) if table.get("state", "on") == "on")


def _holds(pause: Pause, rule: Rule) -> bool:
    """Say whether a pause holds results of a rule."""
    kind = pause.subject.kind
    named = {PauseKind.RULE: (rule.name,), PauseKind.MODEL: (rule.model,), PauseKind.DESTINATION: rule.destinations}
    if kind is PauseKind.ALL or (kind is PauseKind.DESTINATION and not rule.destinations):
        return True  # a rule that names no destination sends to all
    return not set(named[kind]).isdisjoint(pause.names)


def _days(visit: Visit, now: float) -> list[float]:
    """Return when each of the last days begins in the site's zone, and when the last of them ends."""
    zone = visit.site.pages.zone
    today = datetime.fromtimestamp(now, zone).date()
    dates = [today + timedelta(days=number) for number in range(1 - HIT_DAYS, 2)]
    return [datetime.combine(date, time(), zone).timestamp() for date in dates]
