from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from dicom_ai.app import App
from dicom_ai.demo.study import ACQUISITIONS, NeckStudy, write_neck_study
from dicom_ai.imaging.neck_phantom import NeckShape
from dicom_ai.web.server import WebPart
from tests.acceptance.browsing import signed_in
from tests.peers import need_program


@pytest.fixture(scope="session")
def neck(tmp_path_factory) -> NeckStudy:
    """One isotropic sagittal T2 series of a neck of known cord area."""
    folder: Path = tmp_path_factory.mktemp("neck")
    return write_neck_study(folder, now=datetime.now().astimezone(), shape=NeckShape(), which=ACQUISITIONS[:1])


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Headless Chromium."""
    program = need_program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(node: App) -> Iterator[str]:
    """The pages of the module's own node."""
    part = WebPart(node, port=0)
    part.start()
    yield part.address
    part.stop()


@pytest.fixture(scope="module")
def administrator(chromium: Browser, address: str) -> Iterator[BrowserContext]:
    """The administrator, logged in."""
    context = signed_in(chromium, address, "administrator")
    yield context
    context.close()
