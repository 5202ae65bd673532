"""Log-in by an identity provider on another site, in a browser that keeps cookies of other sites apart."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from dicom_ai import settings
from dicom_ai.app import open_app, prepare
from dicom_ai.domain.account import Role
from dicom_ai.sections import OidcSettings
from dicom_ai.storage import accounts
from dicom_ai.web.server import WebPart
from tests.peers import free_port
from tests.unit.web.identity_provider import CLIENT, SECRET, IdentityProvider, new_key


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The pages of a node at 127.0.0.1; its provider is at localhost, which to a browser is another site."""
    claims = {"sub": "42", "preferred_username": "ada", "groups": ["radiology"]}
    provider = IdentityProvider(new_key(), claims, host="localhost")
    port = free_port()
    oidc = OidcSettings(
        issuer=provider.issuer,
        client_id=CLIENT,
        client_secret=SECRET,
        address=f"http://127.0.0.1:{port}/",
        viewers=("radiology",),
    )
    storage = settings.Storage(data_dir=tmp_path, reserve_bytes=0)
    app = open_app(settings.Settings(storage=storage, oidc=oidc))
    prepare(app)
    with app.database.write() as session:
        accounts.add(session, "admin", Role.ADMINISTRATOR, hashed="no password fits", who="test")
    part = WebPart(app, port=port)
    part.start()
    yield part.address
    part.stop()
    app.close()
    provider.stop()


def test_who_comes_back_from_the_provider_is_logged_in_where_they_wanted_to_be(chromium: Browser, address: str) -> None:
    page = chromium.new_page()
    page.goto(f"{address}studies")
    page.get_by_role("link", name="Log in with").click()
    page.wait_for_url(f"{address}studies")
    who = page.locator(".who span").inner_text()
    page.close()

    assert who == "ada viewer"
