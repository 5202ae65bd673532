"""The pages of the rules as a person uses them: with and without scripts, by keyboard, in wide and narrow windows."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from dicom_ai.app import App
from dicom_ai.storage import rules
from dicom_ai.web import passwords
from tests.acceptance.browsing import serious_faults, signed_in
from tests.unit.web.browser import PASSWORD
from tests.unit.web.seeded import lab_node

PAGES = {
    "rules": "rules",
    "new": "rules/edit",
    "edit": "rules/edit?name=cord",
    "copy": "rules/edit?copy_of=neck",
    "turn": "rules/turn?name=neck",
    "remove": "rules/remove?name=cord",
    "roll-back": "rules/roll-back?version=1",
    "compare": "rules/compare?old=1&new=2",
    "import": "rules/import",
}
RULES = {
    "rule": [
        {"name": "cord", "model": "spinal-cord", "all": [{"keyword": "Modality", "equals": "MR"}], "state": "shadow"},
        {
            "name": "neck",
            "model": "spinal-cord",
            "destinations": ["pacs"],
            "state": "shadow",
            "all": [
                {"keyword": "Modality", "in": ["MR", "CT"]},
                {"fact": "slices", "range": {"min": 3, "below": 90}},
                {"fact": "localizer", "equals": False},
                {"keyword": "PatientName", "exists": True},
            ],
        },
    ]
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    lab, app = lab_node(tmp_path_factory.mktemp("rules"), passwords.hashed(PASSWORD), sent=False)
    with app.database.write() as session:
        rules.save(session, RULES, author="anna", note="the neck scanner")
    yield app
    app.close()
    lab.database.close()


@pytest.fixture
def page(administrator: BrowserContext) -> Iterator[Page]:
    page = administrator.new_page()
    yield page
    page.close()


def tried(page: Page, address: str) -> None:
    """Show the editor with a rule that was changed and tried."""
    page.goto(address + PAGES["edit"])
    page.get_by_label("State", exact=True).select_option("on")
    page.get_by_role("button", name="Check and try").click()
    expect(page.locator("#review")).to_be_focused()  # who types goes on there, not at the top of the page


def refused(page: Page, address: str) -> None:
    """Show the editor with marked faults."""
    page.goto(address + PAGES["edit"])
    page.get_by_label("Priority").fill("high")
    page.get_by_label("Value of Modality").fill("")
    page.get_by_role("button", name="Check and try").click()
    page.locator(".fault").first.wait_for()


ACTS = {"tried": tried, "refused": refused}


def go(page: Page, address: str, name: str) -> None:
    if name in ACTS:
        ACTS[name](page, address)
    else:
        page.goto(address + PAGES[name])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [*PAGES, *ACTS])
def test_a_page_has_no_serious_fault_and_fits_every_window(page: Page, address: str, name: str, scheme: str) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: "Content Security" in message.text and problems.append(message.text))
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    go(page, address, name)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    found = serious_faults(page)
    widths = {}
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        widths[width] = page.evaluate("document.documentElement.scrollWidth")

    assert found == []
    assert [width for width, needed in widths.items() if needed > width] == []
    assert problems == []


def test_a_condition_is_added_by_keyboard_and_the_cursor_waits_in_its_field(page: Page, address: str) -> None:
    page.goto(address + PAGES["new"])
    page.locator("#all-new").focus()
    page.keyboard.type("plane")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(page.locator("#all-1-value")).to_be_focused()
    page.keyboard.type("axial")
    page.keyboard.press("Enter")
    expect(page.get_by_text("a rule needs a name").or_(page.get_by_text("is empty")).first).to_be_visible()
    expect(page.locator("#all-1-value")).to_have_value("axial")


def test_the_fields_follow_the_operator(page: Page, address: str) -> None:
    page.goto(address + PAGES["new"])
    page.get_by_label("How Modality is asked").select_option("is one of")
    page.get_by_role("button", name="MR ·").click()
    expect(page.get_by_label("Values of Modality, one a line")).to_have_value("MR")
    page.get_by_label("How Modality is asked").select_option("has a value")

    expect(page.get_by_label("Values of Modality, one a line")).to_have_count(0)


def test_the_link_of_a_fault_leads_to_its_field(page: Page, address: str) -> None:
    refused(page, address)
    page.get_by_role("link", name="all[1] Modality").click()

    expect(page.locator("#at-all-0")).to_be_focused()


def test_without_a_script_a_rule_is_written_tried_and_saved(chromium: Browser, address: str, node: App) -> None:
    context = signed_in(chromium, address, "administrator", java_script_enabled=False)
    page = context.new_page()
    page.goto(address + PAGES["copy"])
    page.get_by_label("Name", exact=True).fill("neck-without-script")
    page.get_by_role("button", name="Remove the condition on PatientName").click()
    page.locator("#none-new").fill("StationName")
    page.get_by_role("button", name="Add condition: … and every one of these is false").click()
    page.get_by_label("How StationName is asked").select_option("contains")
    page.get_by_role("button", name="Show its fields").last.click()
    page.get_by_label("Value of StationName").fill("TEST")
    page.get_by_role("button", name="Check and try").click()
    page.get_by_role("button", name="Save as a new version").click()

    expect(page.get_by_role("status").get_by_text("neck-without-script is saved and is shadow")).to_be_visible()
    with node.database.read() as session:
        saved = rules.in_force(session).rule_set.named("neck-without-script")
    assert [one.text for one in (*saved.all, *saved.none)] == [
        "Modality in ['MR', 'CT']",
        "fact slices range min 3, below 90",
        "fact localizer equals false",
        "StationName contains TEST",
    ]
    context.close()


def test_a_rule_is_turned_on_after_a_look_at_what_comes_of_it(page: Page, address: str) -> None:
    page.goto(f"{address}rules")
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="neck", exact=False)).first
    row.get_by_role("link", name="Turn on …").click()
    expect(page.get_by_text("Results of neck are sent from then on")).to_be_visible()
    page.get_by_role("button", name="Turn neck on").click()

    expect(page.get_by_role("status").get_by_text("neck is on: version")).to_be_visible()
    expect(
        page.get_by_role("rowheader", name="neck").first.locator("xpath=..").get_by_text("on", exact=True)
    ).to_be_visible()
