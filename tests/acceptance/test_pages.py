"""The pages as a person uses them: headless Chromium on a node that has one study."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from dicom_ai.app import App
from dicom_ai.web import passwords
from tests.acceptance.browsing import serious_faults, signed_in
from tests.unit.pipeline.lab import STUDY
from tests.unit.web.browser import PASSWORD
from tests.unit.web.seeded import lab_node

PAGES = {
    "overview": "",
    "studies": "studies",
    "study": f"studies/{STUDY}",
    "result": f"studies/{STUDY}/runs/1",
    "queue": "queue",
    "judgements": "judgements",
    "rules": "rules",
    "import": "rules/import",
    "accounts": "accounts",
    "tokens": "tokens",
    "audit": "audit",
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    lab, app = lab_node(tmp_path_factory.mktemp("pages"), passwords.hashed(PASSWORD), sent=False)
    yield app
    app.close()
    lab.database.close()


@pytest.fixture
def page(administrator: BrowserContext) -> Iterator[Page]:
    page = administrator.new_page()
    page.problems = []  # type: ignore[attr-defined]
    page.on("console", lambda message: message.type == "error" and page.problems.append(message.text))  # type: ignore[attr-defined]
    page.on("dialog", lambda dialog: page.problems.append(dialog.message))  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.problems.append(str(error)))  # type: ignore[attr-defined]
    yield page
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_serious_fault_for_who_sees_or_types_otherwise(
    chromium: Browser, address: str, administrator: BrowserContext, name: str, scheme: str
) -> None:
    page = administrator.new_page()
    page.emulate_media(color_scheme=scheme)
    page.goto(address + PAGES[name])

    found = serious_faults(page)
    page.close()

    assert found == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window_and_breaks_no_policy(page: Page, address: str, name: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(address + PAGES[name])
    page.wait_for_load_state("networkidle")

    assert page.problems == []  # type: ignore[attr-defined]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_segments_go_off_and_slices_move_without_a_reload(page: Page, address: str) -> None:
    page.goto(address + PAGES["result"])
    source = page.locator("#picture").get_attribute("src")
    page.get_by_label("Slice", exact=True).press("ArrowRight")
    moved = page.locator("#picture").get_attribute("src")
    page.get_by_role("button", name="None").click()

    assert moved != source
    assert page.locator("#picture").get_attribute("src") == moved.replace("&segments=1", "")
    assert page.evaluate("picture.decode().then(() => picture.naturalWidth)") > 0


def test_a_reject_is_kept(page: Page, address: str) -> None:
    page.goto(address + PAGES["result"])
    page.get_by_label("rejected").check()
    page.get_by_label("Reason").fill("the cord ends too early")
    page.get_by_role("button", name="Keep").click()
    page.goto(f"{address}judgements")

    assert page.locator("tbody tr").inner_text().split("\t")[-2:] == ["1", "0 %"]


def test_a_pause_asks_first_is_seen_and_ends(page: Page, address: str) -> None:
    page.goto(f"{address}queue")
    page.get_by_text("Pause pacs …").click()
    page.locator("details[open]").get_by_label("Why").fill("the archive is moved")
    page.get_by_role("button", name="Pause pacs").click()
    page.goto(address)
    seen = page.get_by_text("Paused: destination pacs").is_visible()
    page.goto(f"{address}queue")
    page.get_by_role("button", name="Resume").click()

    assert seen
    assert page.get_by_text("Paused: destination pacs").count() == 0


def test_a_viewer_finds_no_button_that_changes_anything(chromium: Browser, address: str) -> None:
    context = signed_in(chromium, address, "viewer")
    page = context.new_page()
    page.goto(f"{address}queue")

    assert page.get_by_role("button").all_inner_texts() == ["Log out"]
    context.close()
