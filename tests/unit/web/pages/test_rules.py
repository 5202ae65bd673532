import re

import pytest

from dicom_ai.app import App
from dicom_ai.storage import audit, decisions, rules
from dicom_ai.storage.decisions import StoredDecision
from dicom_ai.web.application import create
from dicom_ai.web.pages.rules import place_of
from tests.unit.pipeline.lab import STUDY
from tests.unit.web.browser import Browser

DIGEST = re.compile(r'name="checked" value="([0-9a-f]+)"')
RULES = """[[rule]]
name = "neck"
model = "spinal-cord"
destinations = ["pacs"]
state = "on"
all = [{ keyword = "Modality", equals = "MR" }]
"""


def newest(node: App) -> rules.StoredRules:
    with node.database.read() as session:
        stored = rules.current(session)
    assert stored is not None
    return stored


def states(node: App) -> dict[str, str]:
    return {rule.name: rule.state for rule in newest(node).rule_set.rules}


def taken(series_uid: str, *, shadow: bool) -> StoredDecision:
    return StoredDecision(series_uid, "cord", "spinal-cord", taken=True, shadow=shadow, reasons=())


def test_rules_are_listed_with_what_they_took(node: App, viewer: Browser) -> None:
    with node.database.write() as session:
        found = [taken("1.1", shadow=True), taken("1.2", shadow=True), taken("1.3", shadow=False)]
        decisions.replace(session, "1", found, rules_version=1)
        decisions.replace(session, "2", [StoredDecision("2.1", "cord", "", False, False, ())], rules_version=1)

    row = next(row for row in viewer.get("/rules").text.split("<tr>") if ">cord<br>" in row)

    assert '<span class="state quiet">shadow</span>' in row
    assert re.findall(r'<td class="number">(\d+)</td>', row) == ["1", "1", "2"]  # order, sent on, in shadow


def test_an_administrator_turns_a_rule_on_and_it_is_kept_who_and_why(node: App, administrator: Browser) -> None:
    answer = administrator.post("/rules/turn", {"name": "cord", "state": "on", "seen": 1, "why": "looks right"})

    assert answer.headers["location"].startswith("/rules?done=")
    assert states(node)["cord"] == "on"
    assert (newest(node).version, newest(node).author, newest(node).note) == (
        2,
        "administrator",
        "cord turned on: looks right",
    )
    with node.database.read() as session:
        assert ("administrator", "rules saved") in [(event.actor, event.action) for event in audit.events(session)]


@pytest.mark.parametrize("form", [{"name": "nothing", "state": "on"}, {"name": "cord", "state": "loud"}])
def test_a_rule_or_a_state_that_is_not_there_changes_nothing(
    node: App, administrator: Browser, form: dict[str, str]
) -> None:
    assert administrator.post("/rules/turn", form | {"seen": 1}).status_code == 422
    assert newest(node).version == 1


def test_who_has_not_seen_the_newest_rules_changes_nothing(node: App, administrator: Browser) -> None:
    administrator.post("/rules/turn", {"name": "cord", "state": "on", "seen": 1})

    late = administrator.post("/rules/turn", {"name": "cord", "state": "off", "seen": 1})

    assert late.status_code == 422
    assert "the rules were changed meanwhile (version 2 by administrator, cord turned on)" in late.text
    assert states(node)["cord"] == "on"


def test_an_older_version_comes_back_as_a_new_one(node: App, administrator: Browser) -> None:
    administrator.post("/rules/turn", {"name": "cord", "state": "on", "seen": 1})
    administrator.post("/rules/roll-back", {"version": 1, "seen": 2, "why": "too many"})

    assert (newest(node).version, newest(node).note) == (3, "rolled back to version 1: too many")
    assert states(node)["cord"] == "shadow"
    assert administrator.post("/rules/roll-back", {"version": 9, "seen": 3}).status_code == 422


def test_what_is_exported_can_be_imported(node: App, administrator: Browser) -> None:
    text = administrator.get("/rules/rules.toml?version=1").text

    page = administrator.post("/rules/import", {"seen": 1, "text": text}).text

    assert "these are the rules that the node has" in page


def test_an_import_shows_what_changes_before_it_is_saved(node: App, administrator: Browser) -> None:
    form = {"seen": 1, "text": RULES.replace("\n", "\r\n")}  # as browsers send lines

    page = administrator.post("/rules/import", form).text
    not_yet = newest(node).version
    digest = DIGEST.search(page)
    assert digest is not None
    saved = administrator.post("/rules/import", form | {"checked": digest.group(1), "why": "only necks"})

    assert '<th scope="row">neck</th><td>new, on</td>' in page
    assert '<th scope="row">cord</th><td>is gone</td>' in page
    assert not_yet == 1
    assert saved.status_code == 303
    assert states(node) == {"neck": "on"}
    assert newest(node).note == "only necks"


def test_a_check_says_which_series_of_the_last_days_would_go_otherwise_and_why(own_study: App) -> None:
    administrator = Browser(create(own_study)).log_in("administrator")

    page = administrator.post("/rules/import", {"seen": newest(own_study).version, "text": RULES}).text

    assert "Tried on 1 study of the last 7 days: 2 differences" in page
    rows = [re.sub(r"<[^>]+>|\s+", " ", row) for row in page.split("<tr>") if f"/studies/{STUDY}" in row]
    assert [re.search(r"(neck|cord) +(sent|not taken) +(sent|not taken)", row).groups() for row in rows] == [  # type: ignore[union-attr]
        ("neck", "not taken", "sent"),
        ("cord", "sent", "not taken"),
    ]
    with own_study.database.read() as session:
        last = audit.events(session)[-1]
    assert (last.action, last.detail) == ("viewed", {"studies": STUDY})


def test_a_text_that_was_changed_after_the_check_is_checked_again(node: App, administrator: Browser) -> None:
    digest = DIGEST.search(administrator.post("/rules/import", {"seen": 1, "text": RULES}).text)
    assert digest is not None

    changed = {"seen": 1, "text": RULES.replace("MR", "CT"), "checked": digest.group(1)}

    assert administrator.post("/rules/import", changed).status_code == 200
    assert newest(node).version == 1


def test_a_file_takes_the_place_of_the_text(administrator: Browser) -> None:
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', administrator.get("/rules/import").text)
    assert token is not None

    answer = administrator.client.post(
        "/rules/import",
        data={"csrf": token.group(1), "seen": "1", "text": "nonsense"},
        files={"file": ("rules.toml", RULES.encode())},
    )

    assert "new, on" in answer.text


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        (RULES.replace('"spinal-cord"', "spinal-cord"), "Refused: is not TOML: Invalid value (at line 3", 3),
        (RULES + RULES.replace("neck", "back").replace("equals", "equal"), "rule &#39;back&#39;, all[1]", 8),
    ],
)
def test_the_place_of_an_error_is_shown(administrator: Browser, text: str, problem: str, line: int) -> None:
    answer = administrator.post("/rules/import", {"seen": 1, "text": text})

    assert answer.status_code == 422
    assert problem in answer.text
    assert f"→{line:4d}  " in answer.text


def test_an_error_without_a_place_has_none() -> None:
    assert place_of("x = 1\n", "rules: unknown key 'x'; a file of rules has [[rule]] tables only") is None


def test_a_destination_that_the_node_does_not_have_is_told(administrator: Browser) -> None:
    page = administrator.post("/rules/import", {"seen": 1, "text": RULES.replace('["pacs"]', '["archive"]')}).text

    assert "rule &#39;neck&#39; sends to &#39;archive&#39;, which is no destination of this node" in page


@pytest.mark.parametrize("path", ["/rules/turn", "/rules/roll-back", "/rules/import"])
def test_an_operator_sees_the_rules_and_changes_none(node: App, operator: Browser, path: str) -> None:
    form = {"name": "cord", "state": "on", "seen": 1, "version": 1, "text": RULES}

    assert "/rules/turn" not in operator.get("/rules").text
    assert operator.post(path, form).status_code == 403
    assert newest(node).version == 1
