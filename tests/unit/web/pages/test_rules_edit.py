import re

import pytest

from dicom_ai.app import App
from dicom_ai.storage import audit, pauses, rules
from dicom_ai.storage.pauses import PauseKind, Subject
from dicom_ai.web.application import create
from tests.unit.pipeline.lab import STUDY
from tests.unit.web.browser import Browser

NECK = {
    "seen": "1",
    "name": "neck",
    "description": "MR of the neck",
    "model": "spinal-cord",
    "destinations": "pacs",
    "outputs": ["seg", "sr"],
    "priority": "30",
    "state": "shadow",
    "take": "best",
    "all-0-subject": "Modality",
    "all-0-operator": "equals",
    "all-0-value": "MR",
}


def newest(node: App) -> rules.StoredRules:
    with node.database.read() as session:
        return rules.in_force(session)


def fingerprint(page: str) -> str:
    found = re.search(r'name="checked" value="([0-9a-f]+)"', page)
    assert found is not None, page
    return found.group(1)


def saved(administrator: Browser, form: dict, **more: str) -> object:
    """Try a rule, then save it as it was tried."""
    checked = fingerprint(administrator.post("/rules/edit", form).text)
    return administrator.post("/rules/edit", form | {"do": "save", "checked": checked, **more})


def test_a_new_rule_is_written_tried_and_saved_with_who_and_why(node: App, administrator: Browser) -> None:
    answer = saved(administrator, NECK, why="the second scanner")

    assert answer.headers["location"].startswith("/rules?done=neck%20is%20saved%20and%20is%20shadow")  # type: ignore[attr-defined]
    assert newest(node).rule_set.names == ("neck", "cord", "spine", "spine-radiograph")
    assert (newest(node).author, newest(node).note) == ("administrator", "neck added: the second scanner")


def test_nothing_is_saved_that_was_not_tried_as_it_is(node: App, administrator: Browser) -> None:
    checked = fingerprint(administrator.post("/rules/edit", NECK).text)

    changed = NECK | {"all-0-value": "CT", "do": "save", "checked": checked}
    answer = administrator.post("/rules/edit", changed)

    assert "Not saved yet: the rule was not tried as it is now" in answer.text
    assert newest(node).version == 1
    assert administrator.post("/rules/edit", changed | {"checked": fingerprint(answer.text)}).status_code == 303


def test_a_rule_that_is_changed_keeps_its_place_and_its_other_parts(node: App, administrator: Browser) -> None:
    page = administrator.get("/rules/edit?name=spine").text
    before = newest(node).rule_set.named("spine")
    fields = dict(re.findall(r'<input[^>]* name="([\w-]+)"[^>]* value="([^"]*)"', page))

    assert fields["instead_of"] == "spine"
    assert fields["all-2-low"] == "4"
    assert [row.name for row in before.all] == [
        subject for name, subject in re.findall(r'name="(all-\d+-subject)" value="(\w+)"', page)
    ]


def test_a_copy_has_a_free_name_and_sends_nothing(administrator: Browser) -> None:
    page = administrator.get("/rules/edit?copy_of=spine").text

    assert 'name="instead_of" value=""' in page
    assert 'name="name" value="spine-2"' in page
    assert "<option selected>shadow</option>" in page


def test_every_fault_is_marked_at_its_field(node: App, administrator: Browser) -> None:
    form = NECK | {
        "name": "cord",
        "priority": "high",
        "all-1-subject": "EchoTime",
        "all-1-operator": "range",
        "all-1-low": "sixty",
    }

    answer = administrator.post("/rules/edit", form)

    assert answer.status_code == 422
    assert "Not saved: 3 things to mend" in answer.text
    assert '<a href="#at-name">name</a>: the name is used by another rule' in answer.text
    assert '<a href="#at-priority">priority</a>: needs a whole number, not &#39;high&#39;' in answer.text
    assert '<a href="#at-all-1">all[2] EchoTime</a>' in answer.text
    assert re.search(r'<li class="condition faulty" id="at-all-1"', answer.text)
    assert re.search(r'name="priority" value="high"[^>]* aria-invalid="true"', answer.text)
    assert newest(node).version == 1


@pytest.mark.parametrize(
    ("change", "place", "text"),
    [
        ({"model": "cord-2"}, "model", "is not installed here"),
        ({"destinations": ["pacs", "archive"]}, "destinations", "is no destination of this node"),
        ({"name": "cord"}, "name", "the name is used by another rule"),
        ({"name": ""}, "name", "is empty"),
        ({"outputs": []}, "outputs", "is empty; known are seg, sr, overlay"),
        ({"all-0-subject": "Modalities"}, "all-0", "unknown DICOM keyword"),
        ({"all-0-subject": "plane", "all-0-value": "saggital"}, "all-0", "the fact plane is one of axial"),
        ({"all-0-operator": "regex", "all-0-value": "(a+)*"}, "all-0", "repeats what repeats"),
        (
            {"none-0-subject": "Modality", "none-0-operator": "in", "none-0-value": "CT\r\nMR"},
            "none-0",
            "excludes what Modality equals MR under all asks for",
        ),
        ({"all-0-subject": "", "all-0-value": ""}, "all-0", "unknown DICOM keyword"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_the_place_marked(
    node: App, administrator: Browser, change: dict, place: str, text: str
) -> None:
    answer = administrator.post("/rules/edit", NECK | change)

    assert answer.status_code == 422
    assert f'href="#at-{place}"' in answer.text
    assert text in answer.text
    assert newest(node).version == 1


def test_a_rule_that_is_off_may_wait_for_its_model(node: App, administrator: Browser) -> None:
    saved(administrator, NECK | {"model": "cord-2", "state": "off"})

    assert newest(node).rule_set.named("neck").model == "cord-2"


def test_conditions_come_and_go_by_buttons_without_a_script(administrator: Browser) -> None:
    more = administrator.post("/rules/edit", NECK | {"do": "add none", "none-new": "localizer"}).text
    fewer = administrator.post("/rules/edit", NECK | {"do": "remove all 0"}).text
    picked = administrator.post("/rules/edit", NECK | {"do": "pick all 0 CT scan"}).text

    assert 'name="none-0-subject" value="localizer"' in more
    assert "all-0-subject" not in fewer
    assert 'name="all-0-value" value="CT scan"' in picked


def test_values_that_occurred_are_offered_and_where_a_rule_goes_otherwise_is_told(own_study: App) -> None:
    administrator = Browser(create(own_study)).log_in("administrator")
    form = NECK | {"seen": newest(own_study).version, "all-1-subject": "plane", "all-1-operator": "equals"}

    page = administrator.post("/rules/edit", form | {"all-1-value": "axial"}).text

    assert 'value="pick all 1 axial"' in page
    assert '<option value="MR" label="MR · 1 series">' in page
    assert "Tried on 1 series of 1 study of the last 7 days: 1 difference" in page
    assert f'href="/studies/{STUDY}"' in page
    with own_study.database.read() as session:
        assert audit.events(session)[-1].action == "viewed"


def test_a_rule_under_another_name_is_compared_with_itself(own_study: App) -> None:
    administrator = Browser(create(own_study)).log_in("administrator")
    form = NECK | {"seen": newest(own_study).version, "instead_of": "cord", "state": "on"}

    page = administrator.post("/rules/edit", form).text

    assert "1 study of the last 7 days: 0 differences" in page
    assert "cord becomes neck: what it took is counted under the old name" in page


def test_a_paused_rule_under_another_name_stays_paused_with_all_it_made(own_study: App) -> None:
    administrator = Browser(create(own_study)).log_in("administrator")
    with own_study.database.write() as session:
        pauses.pause(session, Subject(PauseKind.RULE, "cord"), who="eve", why="a new coil")
    form = NECK | {"seen": newest(own_study).version, "instead_of": "cord", "state": "shadow"}
    page = administrator.post("/rules/edit", form).text
    administrator.post("/rules/edit", form | {"do": "save", "checked": fingerprint(page)})

    with own_study.database.read() as session:
        (pause,) = pauses.all_of(session)
    assert "its pause goes on and holds neck too" in page
    assert (pause.text, pause.who, pause.why) == ("rule neck (before: cord)", "eve", "a new coil")
    assert pause.held > 0
    assert "rule neck (before: cord)" in administrator.get("/rules").text


def test_a_hostile_value_is_shown_as_text(administrator: Browser) -> None:
    hostile = '"><script>alert(1)</script>'

    page = administrator.post("/rules/edit", NECK | {"name": hostile, "all-0-value": hostile, "all-new": hostile}).text

    assert "<script>alert" not in page


def test_a_change_that_somebody_else_made_meanwhile_is_not_overwritten(node: App, administrator: Browser) -> None:
    checked = fingerprint(administrator.post("/rules/edit", NECK).text)
    with node.database.write() as session:
        rules.turn(session, "cord", "on", author="anna")

    answer = administrator.post("/rules/edit", NECK | {"do": "save", "checked": checked})

    assert "Not saved yet" in answer.text
    assert newest(node).rule_set.named("cord").state == "on"
