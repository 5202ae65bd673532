"""A node from its first start to its second study, by its pages: real processes, a real Orthanc, a real browser.

The tests go on where the one before left off: one node, one browser, one story.
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from pydicom import dcmread

from dicom_ai.demo.study import NeckStudy
from dicom_ai.dicom.uids import new_uid
from tests.acceptance.archives import ORTHANC_AE_TITLE, Orthanc, orthanc, wait_for
from tests.acceptance.nodes import ONE, new_port, node

expect.set_options(timeout=30_000)
PASSWORD = "a sentence is a good password"
LONGEST_MS = 240_000
RULE = "second-neck"


@dataclass
class Site:
    """A node with its archive, and the browser of its administrator."""

    address: str
    archive: Orthanc
    chromium: Browser
    page: Page
    study_uid: str
    files: tuple[Path, ...]
    next_files: tuple[Path, ...]

    def open(self, path: str) -> Page:
        """Show a page of the node."""
        self.page.goto(self.address + path)
        return self.page


@pytest.fixture(scope="module")
def site(neck: NeckStudy, chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("flow")
    port, web_port = new_port(), new_port()
    again = written_again(neck, folder)
    with (
        orthanc(folder / "orthanc", node_port=port) as archive,
        node(
            ONE,
            folder / "node",
            port=port,
            archive_port=archive.port,
            archive_ae_title=ORTHANC_AE_TITLE,
            extra=["[web]", f"port = {web_port}"],
        ),
    ):
        page = chromium.new_page()
        page.set_default_timeout(30_000)
        wait_for(lambda: _listens(web_port), timeout_s=60, named="the pages")
        yield Site(f"http://127.0.0.1:{web_port}/", archive, chromium, page, neck.study_uid, neck.files, again)
        page.close()


def written_again(neck: NeckStudy, folder: Path) -> tuple[Path, ...]:
    """Return the same images as those of another study, of the same patient."""
    study_uid, series_uid, files = new_uid(), new_uid(), []
    for path in neck.files:
        dataset = dcmread(path)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = study_uid, series_uid, new_uid()
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        files.append(folder / path.name)
        dataset.save_as(files[-1])
    return tuple(files)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def sign_in(page: Page, address: str, name: str) -> None:
    page.goto(f"{address}login")
    page.locator("#name").fill(name)
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url(address)


def test_the_first_start_makes_the_administrator_who_then_logs_in(site: Site) -> None:
    page = site.open("")
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    expect(page.locator(".who")).to_contain_text("anna administrator")
    page.get_by_role("button", name="Log out").click()
    sign_in(page, site.address, "anna")

    expect(page.get_by_role("link", name="Accounts")).to_be_visible()


def test_a_study_that_the_archive_forwards_appears_and_is_analysed(site: Site) -> None:
    site.archive.upload(site.files)
    page = site.open("studies")
    link = page.get_by_role("link", name="Phantom, Neck")
    while not link.count():
        page.wait_for_timeout(500)
        page.reload()
    link.click()

    expect(page.get_by_role("link", name="Run 1")).to_be_visible(timeout=LONGEST_MS)


def test_its_result_opens_with_overlay_curve_and_numbers(site: Site) -> None:
    page = site.open(f"studies/{site.study_uid}/runs/1")

    assert page.evaluate("picture.decode().then(() => picture.naturalWidth)") > 0
    with_segments = page.locator("#picture").get_attribute("src")
    page.get_by_role("button", name="None").click()
    assert page.locator("#picture").get_attribute("src") != with_segments
    plot = page.locator("figure img").first
    assert plot.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    expect(page.get_by_text("Mean CSA").first).to_be_visible()


def test_a_reject_is_kept_and_counted(site: Site) -> None:
    page = site.open(f"studies/{site.study_uid}/runs/1")
    page.get_by_label("rejected").check()
    page.get_by_label("Reason").fill("the cord ends too early")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_text("the cord ends too early")).to_be_visible()

    assert "rejected" in site.open(f"studies/{site.study_uid}").locator("table").first.inner_text()


def test_a_rule_is_written_from_what_occurred_tried_and_saved(site: Site) -> None:
    page = site.open("rules/edit")
    page.get_by_label("Name", exact=True).fill(RULE)
    page.get_by_label("Model", exact=True).select_option("spinal-cord")
    page.get_by_label("State", exact=True).select_option("on")
    page.get_by_role("button", name="MR ·").click()
    expect(page.get_by_label("Value of Modality")).to_have_value("MR")
    page.locator("#all-new").fill("plane")
    page.locator("#all-new").press("Enter")
    page.get_by_role("button", name="sagittal ·").click()
    expect(page.get_by_label("Value of plane")).to_have_value("sagittal")
    page.get_by_role("button", name="Check and try").click()

    expect(page.get_by_text(f"{RULE} would take 1 (100.0 %")).to_be_visible()
    page.get_by_label("Why").fill("the second neck")
    page.get_by_role("button", name="Save as a new version").click()
    expect(page.get_by_role("status").get_by_text("is saved and is on: version 2")).to_be_visible()


def test_it_takes_the_next_study(site: Site) -> None:
    site.archive.upload(site.next_files)
    page, path = site.page, f"studies/{dcmread(site.next_files[0]).StudyInstanceUID}"
    took = page.locator("summary", has_text=RULE).get_by_text("taken", exact=True)
    site.open(path)
    while not took.count():
        page.wait_for_timeout(500)
        page.reload()

    assert took.count() == 1
    row = site.open("rules").get_by_role("row").filter(has=page.get_by_role("rowheader", name=RULE))
    expect(row).to_contain_text("1 sent on, 0 in shadow")


def test_a_viewer_sees_the_rule_and_cannot_change_anything(site: Site) -> None:
    page = site.open("accounts")
    page.get_by_label("Name", exact=True).fill("victor")
    page.get_by_label("Role", exact=True).last.select_option("viewer")
    page.locator("#password").fill(PASSWORD)
    page.locator("#password-again").fill(PASSWORD)
    page.get_by_role("button", name="Add the account").click()
    context = site.chromium.new_context()
    viewer = context.new_page()
    sign_in(viewer, site.address, "victor")
    viewer.goto(f"{site.address}rules")
    token = viewer.locator('input[name="csrf"]').first.get_attribute("value") or ""
    form = {"csrf": token, "name": RULE, "state": "off", "seen": "2", "version": "1", "by": "-1", "do": "save"}
    changes = ("turn", "roll-back", "remove", "move", "edit", "import")
    answers = {path: context.request.post(f"{site.address}rules/{path}", form=form).status for path in changes}

    expect(viewer.get_by_role("rowheader", name=RULE)).to_be_visible()
    assert viewer.locator('main form[method="post"]').count() == 0
    assert answers == dict.fromkeys(changes, 403)
    context.close()


def test_the_rules_go_back_to_what_they_were(site: Site) -> None:
    page = site.open("rules")
    page.get_by_role("link", name="Roll back … to version 1").click()
    expect(page.get_by_text(f"{RULE} would take 0")).to_be_visible()
    page.get_by_label("Why").fill("only a trial")
    page.get_by_role("button", name="Roll back to version 1").click()

    expect(page.get_by_role("status").get_by_text("The rules are as in version 1: version 3")).to_be_visible()
    assert RULE not in page.get_by_role("table").first.inner_text()
    page.get_by_role("link", name="changes of version 3").click()
    expect(page.get_by_role("rowheader", name=RULE)).to_contain_text("is gone")
