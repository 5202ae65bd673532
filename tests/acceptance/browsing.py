"""What the tests of the pages share: somebody logged in, and axe."""

import os

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.peers import REPOSITORY
from tests.unit.web.browser import PASSWORD

AXE = REPOSITORY / ".cache" / "axe" / "axe.min.js"


def signed_in(chromium: Browser, address: str, name: str, **options) -> BrowserContext:
    """Return a context in which somebody has logged in by the form."""
    context = chromium.new_context(**options)
    page = context.new_page()
    page.goto(f"{address}login")
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.click("main button")
    page.wait_for_url(address)
    page.close()
    return context


def serious_faults(page: Page) -> list[list[str]]:
    """Return what axe-core calls serious or critical on the page: [impact, rule, element] of each.

    The test is skipped, or fails in CI, where axe-core is not there.
    """
    if not AXE.exists():
        reason = "axe-core is not there: make axe"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then(seen => seen.violations.map(v => [v.impact, v.id, v.nodes[0].html]))")
    return [fault for fault in found if fault[0] in ("serious", "critical")]
