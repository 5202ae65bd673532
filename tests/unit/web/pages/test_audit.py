import csv
import io
import re

import pytest
import sqlalchemy as sa

from dicom_ai.app import App
from dicom_ai.domain.trail import TrailSearch
from dicom_ai.storage import audit
from dicom_ai.storage.tables import AuditRow
from dicom_ai.web.application import create
from dicom_ai.web.trail import AT_ONCE, csv_of, detail_text
from tests.unit.pipeline.lab import STUDY
from tests.unit.web.browser import Browser

HOSTILE = "<script>alert(1)</script>"


def rows(page: str) -> list[tuple[str, str]]:
    """Return who did what, as a page of the trail shows it."""
    return re.findall(r'<th scope="row">([^<]*)</th>\s*<td>([^<]*)</td>', page)


def record(node: App, *events: tuple[str, str, str]) -> None:
    with node.database.write() as session:
        for event in events:
            audit.record(session, *event)


def test_every_look_at_a_study_is_found_by_the_study(sent_study: App) -> None:
    viewer = Browser(create(sent_study)).log_in("viewer")
    administrator = Browser(create(sent_study)).log_in("administrator")
    viewer.get("/studies")
    viewer.get(f"/studies/{STUDY}")
    viewer.get(f"/studies/{STUDY}/runs/1")

    found = rows(administrator.get(f"/audit?study={STUDY}&who=viewer").text)

    assert found[:3] == [("viewer", "viewed")] * 3
    assert rows(administrator.get("/audit?study=1.2.3.4").text) == []


def test_events_are_found_by_person_action_and_day(node: App, administrator: Browser) -> None:
    record(node, ("ada", "paused", "all"), ("ada", "resumed", "all"), ("eve", "paused", "all"))

    assert rows(administrator.get("/audit?who=ada").text) == [("ada", "resumed"), ("ada", "paused")]
    assert rows(administrator.get("/audit?action=paused").text) == [("eve", "paused"), ("ada", "paused")]
    assert rows(administrator.get("/audit?date_to=2020-01-01").text) == []
    assert ("ada", "paused") in rows(administrator.get("/audit?date_from=2020-01-01").text)


def test_a_long_trail_is_read_page_by_page_without_a_gap(node: App, administrator: Browser) -> None:
    record(node, *((f"robot {number:03}", "paused", "all") for number in range(120)))
    seen: list[str] = []
    path = "/audit?action=paused"
    while path:
        page = administrator.get(path).text
        seen += [actor for actor, _ in rows(page)]
        older = re.search(r'rel="next" href="([^"]*)"', page)
        path = older.group(1).replace("&amp;", "&") if older else ""

    assert seen == [f"robot {number:03}" for number in reversed(range(120))]


def test_an_export_has_the_whole_trail_and_is_itself_in_it(node: App, administrator: Browser) -> None:
    record(node, *((f"robot {number}", "paused", "all") for number in range(60)))

    answer = administrator.get("/audit/trail.csv?action=paused")

    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["content-type"].startswith("text/csv")
    assert [row["who"] for row in table] == [f"robot {number}" for number in reversed(range(60))]
    assert rows(administrator.get("/audit").text)[0] == ("administrator", "audit trail exported")


def test_an_export_reads_a_long_trail_in_parts_and_leaves_out_nothing(node: App, administrator: Browser) -> None:
    number = 2 * AT_ONCE + 1
    events = [
        {"at": 1.0, "actor": f"robot {at}", "action": "paused", "subject": "all", "detail": {}} for at in range(number)
    ]
    with node.database.write() as session:
        session.execute(sa.insert(AuditRow), events)
        session.execute(sa.insert(AuditRow), [events[0] | {"action": "resumed"}] * 3)

    table = list(csv.DictReader(io.StringIO(administrator.get("/audit/trail.csv?action=paused").text)))

    assert [row["who"] for row in table] == [f"robot {at}" for at in reversed(range(number))]


def test_what_is_done_while_an_export_runs_is_no_part_of_it_and_disturbs_nothing(node: App) -> None:
    record(node, *[("ada", "paused", "all")] * AT_ONCE)
    parts = csv_of(node.database, TrailSearch(action="paused"))
    begun = [next(parts), next(parts)]
    record(node, ("eve", "paused", "all"))  # the export holds no transaction meanwhile

    lines = "".join([*begun, *parts]).splitlines()

    assert (len(lines), "eve" in "".join(lines)) == (1 + AT_ONCE, False)


def test_no_name_becomes_a_formula_of_a_spreadsheet(node: App, administrator: Browser) -> None:
    record(node, ("=HYPERLINK(1)", "paused", "@all"))

    answer = administrator.get("/audit/trail.csv?action=paused")

    assert "'=HYPERLINK(1),paused,'@all" in answer.text


def test_what_is_a_script_in_the_trail_is_shown_as_text(node: App, administrator: Browser) -> None:
    with node.database.write() as session:
        audit.record(session, HOSTILE, HOSTILE, f"study {HOSTILE}", {HOSTILE: HOSTILE})

    page = administrator.get("/audit").text

    assert "alert(1)" in page
    assert "<script>alert" not in page


@pytest.mark.parametrize("query", ["before=nothing", "before=0", f"who={'x' * 200}"])
def test_a_malformed_search_is_refused(administrator: Browser, query: str) -> None:
    assert administrator.get(f"/audit?{query}").status_code == 422


@pytest.mark.parametrize("path", ["/audit", "/audit/trail.csv"])
def test_the_trail_is_for_administrators(operator: Browser, path: str) -> None:
    assert operator.get(path).status_code == 403
    assert "/audit" not in operator.get("/").text


def test_what_worked_is_said_in_words() -> None:
    event = audit.AuditEvent(1, 0.0, "anna", "destination tried", "destination pacs", {"worked": True, "objects": 1})

    assert detail_text(event) == "worked: yes; objects: 1"
