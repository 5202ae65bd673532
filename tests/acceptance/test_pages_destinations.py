"""Destinations, peers and models as an administrator uses them: Chromium, and a real Orthanc that comes and goes."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dicom_ai import settings
from dicom_ai.app import App, open_app
from dicom_ai.destinations.trials import LONGEST_WAIT_S
from dicom_ai.domain.account import Role
from dicom_ai.node import ClockPart, WorkPart
from dicom_ai.storage import accounts, callers
from dicom_ai.storage.callers import Rejection
from dicom_ai.web import passwords
from dicom_ai.web.server import WebPart
from tests.acceptance.archives import ORTHANC_AE_TITLE, Orthanc, orthanc, wait_for
from tests.acceptance.browsing import serious_faults, signed_in
from tests.peers import free_port
from tests.unit.pipeline.lab import Lab
from tests.unit.pipeline.test_versions_of_models import two_models
from tests.unit.web.browser import PASSWORD

ANSWER_MS = 3000 * LONGEST_WAIT_S

PAGES = {
    "destinations": "destinations",
    "destination": "destinations/one?name=pacs",
    "change": "destinations/edit?name=pacs",
    "new": "destinations/edit?kind=c_store",
    "new-web": "destinations/edit?kind=stow_rs",
    "peers": "peers",
    "models": "models",
    "model": "models/one?name=spinal-cord",
    "compare": "models/compare?one=cord&other=cord-new",
}


@dataclass
class Site:
    """A node with two results for an archive that is not there yet. archive: once it runs."""

    app: App
    address: str
    folder: Path
    archive_port: int
    archives: ExitStack
    archive: Orthanc | None = None

    def start_archive(self) -> Orthanc:
        """Let the archive come."""
        running = orthanc(self.folder, node_port=free_port(), forwards=False, port=self.archive_port)
        self.archive = self.archives.enter_context(running)
        return self.archive


def opened(folder: Path, archive_port: int) -> App:
    """Return a node on what the laboratory left in a folder, whose only destination is an archive."""
    pacs = {"host": "127.0.0.1", "port": archive_port, "called_ae_title": ORTHANC_AE_TITLE}
    pacs |= {"check_identity": "if_known"}
    app = open_app(
        settings.Settings(
            storage=settings.Storage(
                data_dir=folder / "data", database_url=f"sqlite:///{folder / 'node.db'}", reserve_bytes=0
            ),
            web=settings.Web(time_zone="Europe/Berlin"),
            peers=(settings.Peer(ae_title=ORTHANC_AE_TITLE, addresses=("127.0.0.1",)),),
            destinations=(settings.DestinationSettings(name="pacs", kind="c_store", parameters=pacs),),
            timing=settings.Timing(clock_s=0.2, token_gap_s=0.5, retry_first_s=0.5, retry_longest_s=2, lease_s=5),
        )
    )
    hashed = passwords.hashed(PASSWORD)
    with app.database.write() as session:
        for role in Role:
            accounts.add(session, role.value, role, hashed=hashed, who="test")
        callers.rejected(session, Rejection("MR7", "192.0.2.7", "calling AE title or address is not a configured peer"))
    return app


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("destinations"), free_port()
    lab = Lab(folder, at=time.time() - 3600)
    two_models(lab)
    lab.database.close()
    app = opened(folder, port)
    work, clock, web = WorkPart(app, ("io",)), ClockPart(app), WebPart(app, port=0)
    for part in (work, clock, web):
        part.start()
    wait_for(lambda: _listens(web.port), timeout_s=30, named="the pages")
    with ExitStack() as archives:
        yield Site(app, web.address, folder / "archive", port, archives)
    for part in (web, clock, work):
        part.stop()
    app.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def page(chromium: Browser, site: Site) -> Iterator[Page]:
    context = signed_in(chromium, site.address, "administrator")
    page = context.new_page()
    page.problems = []  # type: ignore[attr-defined]
    page.on("console", lambda message: message.type == "error" and page.problems.append(message.text))  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.problems.append(str(error)))  # type: ignore[attr-defined]
    yield page
    context.close()


def test_the_pages_have_no_serious_fault_fit_their_window_and_break_no_policy(page: Page, site: Site) -> None:
    faults = []
    for name, path in PAGES.items():
        page.goto(site.address + path)
        for scheme, width in product(("light", "dark"), (1280, 390)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 900})
            faults += [(name, scheme, width, *fault) for fault in serious_faults(page)]
            wide = page.evaluate("document.documentElement.scrollWidth")
            faults += [(name, f"{wide} pixels wide where the window has {width}")] if wide > width else []

    assert faults == []
    assert page.problems == []  # type: ignore[attr-defined]


def test_a_destination_that_is_down_is_seen_and_when_it_is_back_the_result_arrives(page: Page, site: Site) -> None:
    page.goto(site.address)
    expect(page.get_by_role("row", name="pacs").get_by_text("failing")).to_be_visible(timeout=ANSWER_MS)
    page.goto(f"{site.address}destinations")
    page.get_by_role("link", name="pacs").click()
    expect(page.get_by_text("It has not taken anything")).to_be_visible()
    page.get_by_role("button", name="C-ECHO").click()
    expect(page.locator("#trials").get_by_text("No:")).to_be_visible(timeout=ANSWER_MS)

    archive = site.start_archive()
    page.get_by_role("button", name="C-ECHO").click()
    expect(page.locator("#trials").get_by_text("answers C-ECHO in")).to_be_visible(timeout=ANSWER_MS)
    arrived = wait_for(lambda: len(archive.find(PatientID="*")) == 2, timeout_s=30, named="the results in the archive")

    assert arrived
    expect(page.locator("#now").get_by_text("reached")).to_be_visible(timeout=ANSWER_MS)  # without a reload
    expect(page.get_by_text("No result waits.")).to_be_visible(timeout=ANSWER_MS)


def test_a_destination_is_added_tried_and_takes_the_test_object(page: Page, site: Site) -> None:
    archive = site.archive or site.start_archive()
    page.goto(f"{site.address}destinations")
    page.get_by_role("link", name="By C-STORE").click()
    page.get_by_label("Name", exact=True).fill("research")
    page.get_by_label("Host name or address").fill("127.0.0.1")
    page.get_by_label("Port", exact=True).fill(str(site.archive_port))
    page.get_by_label("Its AE title").fill(ORTHANC_AE_TITLE)
    tls_files_before = page.get_by_label("Authorities").is_visible()
    page.get_by_label("Connect with TLS").check()
    tls_files_after = page.get_by_label("Authorities").is_visible()
    page.get_by_label("Connect with TLS").uncheck()
    page.get_by_label("Its AE title").press("Enter")
    page.get_by_role("button", name="C-ECHO").click()
    page.get_by_role("button", name="Ask what it takes").click()
    page.get_by_text("Send a test object …").click()
    page.get_by_role("button", name="Send the test object").click()

    trials = page.locator("#trials")
    expect(trials.get_by_text(f"{ORTHANC_AE_TITLE} answers C-ECHO in")).to_be_visible(timeout=ANSWER_MS)
    expect(trials.get_by_text("it will store masks (Segmentation)")).to_be_visible()
    expect(trials.get_by_text("asked, it has the object")).to_be_visible()
    assert (tls_files_before, tls_files_after) == (False, True)
    assert len(archive.find(PatientID="DICOM-AI-TEST")) == 1
    assert "research" in site.app.destinations


def test_who_was_turned_away_is_let_in_with_the_keyboard(page: Page, site: Site) -> None:
    page.goto(f"{site.address}peers")
    page.get_by_text("Let in …").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("MR7 may connect: version")).to_be_visible()

    assert "MR7" in [peer.ae_title for peer in site.app.neighbours.peers]
