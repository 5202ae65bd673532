"""The audit trail as pages and API show it: what an address asks for, and the trail as a table for a spreadsheet."""

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from io import StringIO
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field
from starlette.responses import Response, StreamingResponse

from dicom_ai.domain.trail import TrailSearch
from dicom_ai.storage import audit
from dicom_ai.storage.audit import AuditEvent
from dicom_ai.storage.database import Database
from dicom_ai.web.days import begin_of, end_of
from dicom_ai.web.numbers import harmless

AT_ONCE = 1000
"""Events of an export that are read in one transaction."""

Text = Annotated[str, Field(max_length=128, pattern=r"^[^\x00]*$")]
Before = Annotated[int | None, Field(ge=1, le=2**31 - 1), BeforeValidator(lambda value: value or None)]


class Asked(BaseModel):
    """What to look for in the trail. date_from, date_to: days in the site's zone, both included."""

    who: Text = ""
    action: Text = ""
    study: Text = ""
    date_from: Text = ""
    date_to: Text = ""

    def search(self, zone: tzinfo | None) -> TrailSearch:
        """Return what is asked for; a day that is none counts as not asked."""
        begin, end = begin_of(self.date_from, zone), end_of(self.date_to, zone)
        return TrailSearch(self.who.strip(), self.action.strip(), self.study.strip(), begin, end)


def note_look(database: Database, who: str, asked: Asked, *, exported: bool = False) -> None:
    """Note in the trail that somebody looked at it, and for what: the trail says what patients' studies are about."""
    sought = {key: value for key, value in asked.model_dump(exclude={"before"}).items() if value}
    with database.write() as session:
        audit.record(session, who, "audit trail exported" if exported else "audit trail viewed", "audit trail", sought)


def study_of(event: AuditEvent) -> str:
    """Return the study that an event names; "" where it names none."""
    kind, _, uid = event.subject.partition(" ")
    return uid if kind == "study" else ""


def detail_text(event: AuditEvent) -> str:
    """Return the details of an event as one line; of the studies of a list only how many they are."""
    shown = {key: value for key, value in event.detail.items() if value not in (None, "")}
    if audit.STUDIES in shown:
        shown[audit.STUDIES] = len(str(shown[audit.STUDIES]).split())
    return "; ".join(f"{key.replace('_', ' ')}: {_word(value)}" for key, value in shown.items())


def _word(value: object) -> object:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def csv_of(database: Database, wanted: TrailSearch) -> Iterator[str]:
    """Yield a heading, then a line an event, newest first: when in UTC, who, what, on what, and the details as JSON.

    It is read in parts, each going on from the last event before: however long the trail is, all of it comes, little
    is in memory, and no transaction stays open for who reads slowly.
    """
    yield _line(("number", "when", "who", "action", "subject", "detail"))
    before: int | None = None
    while True:
        with database.read() as session:
            found = audit.search(session, wanted, before=before, most=AT_ONCE)
        yield "".join(map(_event_line, found))
        if len(found) < AT_ONCE:
            return
        before = found[-1].id


def download(database: Database, wanted: TrailSearch) -> Response:
    """Return what fits as a file."""
    headers = {"Content-Disposition": 'attachment; filename="audit-trail.csv"'}
    return StreamingResponse(csv_of(database, wanted), media_type="text/csv; charset=utf-8", headers=headers)


def _event_line(event: AuditEvent) -> str:
    moment = datetime.fromtimestamp(event.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    detail = json.dumps(dict(event.detail), ensure_ascii=False, sort_keys=True) if event.detail else ""
    return _line((str(event.id), moment, event.actor, event.action, event.subject, detail))


def _line(values: Iterable[str]) -> str:
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerow([harmless(value) for value in values])
    return out.getvalue()
