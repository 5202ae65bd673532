import re
from typing import Any

import pytest

from dicom_ai.app import App
from dicom_ai.pipeline import neighbours
from dicom_ai.pipeline.neighbours import Change
from dicom_ai.storage import audit, decisions, pauses, rules
from dicom_ai.storage.decisions import StoredDecision
from dicom_ai.storage.pauses import PauseKind, Subject
from dicom_ai.web.application import create
from dicom_ai.web.pages.rules_import import place_of
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


def fingerprint(page: str) -> str:
    """Return what a page says that saving must carry."""
    found = DIGEST.search(page)
    assert found is not None, page
    return found.group(1)


def turned_on(administrator: Browser, name: str = "cord", *, seen: int = 1, why: str = "") -> Any:
    """Turn a rule on as a person does, who looks first."""
    checked = fingerprint(administrator.get(f"/rules/turn?name={name}").text)
    return administrator.post(
        "/rules/turn", {"name": name, "state": "on", "seen": seen, "checked": checked, "why": why}
    )


def test_rules_are_listed_with_what_they_took_on_each_day(node: App, viewer: Browser) -> None:
    with node.database.write() as session:
        found = [taken("1.1", shadow=True), taken("1.2", shadow=True), taken("1.3", shadow=False)]
        decisions.replace(session, "1", found, rules_version=1)
        decisions.replace(session, "2", [StoredDecision("2.1", "cord", "", False, False, ())], rules_version=1)

    row = next(row for row in viewer.get("/rules").text.split("<tr>") if ">cord<br>" in row)

    assert '<span class="state quiet">shadow</span>' in row
    assert "1 sent on, 2 in shadow" in row
    assert re.search(r'aria-label="\d{4}-\d\d-\d\d: 1 sent on, 2 in shadow. "', row)
    assert re.findall(r'class="(shadow|sent)" [^>]*height="([\d.]+)"', row) == [("shadow", "18.7"), ("sent", "9.3")]


@pytest.mark.parametrize(
    ("subject", "rows"),
    [
        (Subject(PauseKind.ALL, ""), ["cord", "spine", "spine-radiograph"]),
        (Subject(PauseKind.RULE, "cord"), ["cord"]),
        (Subject(PauseKind.MODEL, "spine-mr"), ["spine"]),
        (Subject(PauseKind.DESTINATION, "pacs"), ["cord", "spine", "spine-radiograph"]),
        (Subject(PauseKind.DESTINATION, "archive"), []),
    ],
)
def test_a_pause_that_holds_what_a_rule_sends_is_seen_beside_it(
    node: App, viewer: Browser, subject: Subject, rows: list[str]
) -> None:
    with node.database.write() as session:
        pauses.pause(session, subject, who="anna", why="the archive is moved")

    page = viewer.get("/rules").text

    found = [row for row in page.split("<tr>") if '<span class="state warn">paused</span>' in row]
    assert [re.search(r'class="wide">([\w-]+)<', row).group(1) for row in found] == rows  # type: ignore[union-attr]


def test_a_rule_that_names_no_destination_says_that_its_results_go_to_every_one(
    node: App, administrator: Browser
) -> None:
    with node.database.write() as session:
        text = {"name": "neck", "model": "spinal-cord", "state": "shadow", "all": [{"fact": "plane", "exists": True}]}
        rules.save(session, {"rule": [text]}, author="seed", note="")

    assert "Results of neck are sent from then on, to pacs" in administrator.get("/rules/turn?name=neck").text
    assert '<td>all: <span class="name">pacs</span>' in administrator.get("/rules").text


def test_on_a_node_without_destinations_a_rule_says_that_nobody_gets_its_results(
    node: App, administrator: Browser
) -> None:
    with node.database.write() as session:
        text = {"name": "neck", "model": "spinal-cord", "state": "shadow", "all": [{"fact": "plane", "exists": True}]}
        rules.save(session, {"rule": [text]}, author="seed", note="")
        neighbours.remove_destination(session, node.neighbours.home, "pacs", Change("ada"))
    node.neighbours.forget()

    assert "Results of neck are sent to nobody" in administrator.get("/rules/turn?name=neck").text
    assert "nowhere: the node has no destination" in administrator.get("/rules").text


def test_an_administrator_turns_a_rule_on_and_it_is_kept_who_and_why(node: App, administrator: Browser) -> None:
    answer = turned_on(administrator, why="looks right")

    assert answer.headers["location"].startswith("/rules?done=")
    assert states(node)["cord"] == "on"
    assert (newest(node).version, newest(node).author, newest(node).note) == (
        2,
        "administrator",
        "cord turned on: looks right",
    )
    with node.database.read() as session:
        assert ("administrator", "rules saved") in [(event.actor, event.action) for event in audit.events(session)]


def test_a_rule_is_not_turned_on_before_somebody_has_seen_what_comes_of_it(node: App, administrator: Browser) -> None:
    answer = administrator.post("/rules/turn", {"name": "cord", "state": "on", "seen": 1})
    page = administrator.get(answer.headers["location"]).text

    assert "Results of cord are sent from then on" in page
    assert "state shadow → on" in page
    assert newest(node).version == 1


@pytest.mark.parametrize("state", ["off", "shadow"])
def test_a_step_to_a_safer_state_is_made_at_once(node: App, administrator: Browser, state: str) -> None:
    turned_on(administrator)

    administrator.post("/rules/turn", {"name": "cord", "state": state, "seen": 2})

    assert states(node)["cord"] == state


@pytest.mark.parametrize("form", [{"name": "nothing", "state": "on"}, {"name": "cord", "state": "loud"}])
def test_a_rule_or_a_state_that_is_not_there_changes_nothing(
    node: App, administrator: Browser, form: dict[str, str]
) -> None:
    assert administrator.post("/rules/turn", form | {"seen": 1}).status_code == 422
    assert newest(node).version == 1


def test_who_has_not_seen_the_newest_rules_changes_nothing(node: App, administrator: Browser) -> None:
    turned_on(administrator)

    late = administrator.post("/rules/turn", {"name": "cord", "state": "off", "seen": 1})

    assert late.status_code == 422
    assert "the rules were changed meanwhile (version 2 by administrator, cord turned on)" in late.text
    assert states(node)["cord"] == "on"


def test_a_rule_that_cannot_work_is_not_turned_on(node: App, administrator: Browser) -> None:
    with node.database.write() as session:
        text = {"name": "neck", "model": "gone", "state": "shadow", "all": [{"keyword": "Modality", "equals": "MR"}]}
        rules.save(session, {"rule": [text]}, author="seed", note="")

    answer = administrator.get("/rules/turn?name=neck")

    assert answer.status_code == 422
    assert "rule &#39;neck&#39;, model: model &#39;gone&#39; is not installed here" in answer.text
    assert administrator.post("/rules/turn", {"name": "neck", "state": "off", "seen": 2}).status_code == 303


def test_a_rule_passes_another_and_gets_its_priority(node: App, administrator: Browser) -> None:
    answer = administrator.post("/rules/move", {"name": "spine", "by": "-1", "seen": 1})

    assert "spine%20has%20priority%2020%20now" in answer.headers["location"]
    assert newest(node).rule_set.names == ("spine", "cord", "spine-radiograph")


def test_a_rule_is_removed_after_a_look_and_comes_back_with_an_older_version(node: App, administrator: Browser) -> None:
    page = administrator.get("/rules/remove?name=cord").text
    administrator.post("/rules/remove", {"name": "cord", "seen": 1, "why": "moved"})
    without = set(states(node))
    back = administrator.get("/rules/roll-back?version=1").text
    administrator.post("/rules/roll-back", {"version": 1, "seen": 2})

    assert "is gone" in page
    assert without == {"spine", "spine-radiograph"}
    assert "new, shadow" in back
    assert "cord" in states(node)


def test_a_version_in_which_a_rule_is_on_comes_back_once_somebody_has_seen_what_comes_of_it(
    node: App, administrator: Browser
) -> None:
    turned_on(administrator)
    administrator.post("/rules/turn", {"name": "cord", "state": "off", "seen": 2})

    unseen = administrator.post("/rules/roll-back", {"version": 2, "seen": 3})
    after = states(node)["cord"]
    checked = fingerprint(administrator.get("/rules/roll-back?version=2").text)
    administrator.post("/rules/roll-back", {"version": 2, "seen": 3, "checked": checked})

    assert (unseen.headers["location"], after) == ("/rules/roll-back?version=2", "off")
    assert states(node)["cord"] == "on"


def test_an_older_version_comes_back_as_a_new_one(node: App, administrator: Browser) -> None:
    turned_on(administrator)
    administrator.post("/rules/roll-back", {"version": 1, "seen": 2, "why": "too many"})  # nothing is sent anew

    assert (newest(node).version, newest(node).note) == (3, "rolled back to version 1: too many")
    assert states(node)["cord"] == "shadow"
    assert administrator.post("/rules/roll-back", {"version": 9, "seen": 3}).status_code == 422
    assert administrator.get("/rules/roll-back?version=9").status_code == 422


def test_two_versions_are_compared_the_older_first(node: App, administrator: Browser) -> None:
    turned_on(administrator, why="looks right")

    page = administrator.get("/rules/compare?old=2&new=1").text

    assert "From version 1 to version 2" in page
    assert "<td><del>shadow</del></td>" in page
    assert "<td><ins>on</ins></td>" in page
    assert "cord turned on: looks right" in page


def test_what_is_exported_can_be_imported(node: App, administrator: Browser) -> None:
    text = administrator.get("/rules/rules.toml?version=1").text

    page = administrator.post("/rules/import", {"seen": 1, "text": text}).text

    assert "these are the rules that the node has" in page


def test_an_import_shows_what_changes_before_it_is_saved(node: App, administrator: Browser) -> None:
    form = {"seen": 1, "text": RULES.replace("\n", "\r\n")}  # as browsers send lines

    page = administrator.post("/rules/import", form).text
    not_yet = newest(node).version
    saved = administrator.post("/rules/import", form | {"checked": fingerprint(page), "why": "only necks"})

    assert "neck<br><small>new, on</small>" in page
    assert "cord<br><small>is gone</small>" in page
    assert not_yet == 1
    assert saved.status_code == 303
    assert states(node) == {"neck": "on"}
    assert newest(node).note == "only necks"


def test_a_check_says_which_series_of_the_last_days_would_go_otherwise_and_why(own_study: App) -> None:
    administrator = Browser(create(own_study)).log_in("administrator")

    page = administrator.post("/rules/import", {"seen": newest(own_study).version, "text": RULES}).text

    assert "Tried on 1 series of 1 study of the last 7 days: 2 differences" in page
    plain = re.sub(r"<[^>]+>|\s+", " ", page)
    found = re.findall(r"(neck|cord): +(sent|not taken) +→ +(sent|not taken) *, 1 series", plain)
    assert found == [("neck", "not taken", "sent"), ("cord", "sent", "not taken")]
    assert f"/studies/{STUDY}" in page
    with own_study.database.read() as session:
        last = audit.events(session)[-1]
    assert (last.action, last.detail) == ("viewed", {"studies": STUDY})


def test_a_text_that_was_changed_after_the_check_is_checked_again(node: App, administrator: Browser) -> None:
    checked = fingerprint(administrator.post("/rules/import", {"seen": 1, "text": RULES}).text)

    changed = {"seen": 1, "text": RULES.replace("MR", "CT"), "checked": checked}

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


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('["pacs"]', '["archive"]'), "&#39;archive&#39; is no destination of this node; there are pacs"),
        (("spinal-cord", "cord-2"), "model &#39;cord-2&#39; is not installed here"),
        (("equals", "range = { min = 3, max = 2 }, equals"), "has equals and range"),
    ],
)
def test_a_new_rule_that_cannot_work_here_is_refused(
    node: App, administrator: Browser, change: tuple[str, str], problem: str
) -> None:
    answer = administrator.post("/rules/import", {"seen": 1, "text": RULES.replace(*change)})

    assert answer.status_code == 422
    assert problem in answer.text
    assert newest(node).version == 1


CHANGES = ["/rules/turn", "/rules/roll-back", "/rules/import", "/rules/edit", "/rules/remove", "/rules/move"]


@pytest.mark.parametrize("path", CHANGES)
def test_an_operator_sees_the_rules_and_changes_none(node: App, operator: Browser, path: str) -> None:
    form = {"name": "cord", "state": "on", "seen": 1, "version": 1, "text": RULES, "by": "1", "do": "save"}

    assert not [one for one in CHANGES if one in operator.get("/rules").text]
    assert operator.post(path, form).status_code == 403
    assert newest(node).version == 1
