"""A node with accounts of every role, and a browser for each. To test a page: take `node` and the role's browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from dicom_ai import settings
from dicom_ai.app import App, open_app, prepare
from dicom_ai.domain.account import Role
from dicom_ai.storage import accounts
from dicom_ai.web import passwords
from dicom_ai.web.application import create
from tests.unit.web.browser import PASSWORD, Browser


@pytest.fixture(scope="session")
def hashed() -> str:
    return passwords.hashed(PASSWORD)  # slow on purpose: once is enough


@pytest.fixture
def new_node(tmp_path: Path) -> Iterator[App]:
    """A node that was never started before: no account yet."""
    app = open_app(
        settings.Settings(
            storage=settings.Storage(data_dir=tmp_path / "data", reserve_bytes=0),
            web=settings.Web(time_zone="Europe/Berlin"),
            destinations=(
                settings.DestinationSettings(name="pacs", kind="folder", parameters={"path": str(tmp_path)}),
            ),
        )
    )
    prepare(app)
    yield app
    app.close()


@pytest.fixture
def node(new_node: App, hashed: str) -> App:
    """A node with an account of each role, named like it."""
    with new_node.database.write() as session:
        for role in Role:
            accounts.add(session, role.value, role, hashed=hashed, who="test")
    return new_node


@pytest.fixture
def web(node: App) -> FastAPI:
    return create(node)


@pytest.fixture
def anybody(web: FastAPI) -> Browser:
    return Browser(web)


@pytest.fixture
def viewer(web: FastAPI) -> Browser:
    return Browser(web).log_in("viewer")


@pytest.fixture
def operator(web: FastAPI) -> Browser:
    return Browser(web).log_in("operator")


@pytest.fixture
def administrator(web: FastAPI) -> Browser:
    return Browser(web).log_in("administrator")
