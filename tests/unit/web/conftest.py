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
from tests.unit.web.seeded import lab_node


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


@pytest.fixture(scope="session")
def sent_study(tmp_path_factory: pytest.TempPathFactory, hashed: str) -> Iterator[App]:
    """A node with one study whose results were sent; for tests that only look."""
    lab, app = lab_node(tmp_path_factory.mktemp("sent"), hashed)
    yield app
    app.close()
    lab.database.close()


@pytest.fixture
def own_study(tmp_path: Path, hashed: str) -> Iterator[App]:
    """The same for a test that changes something; its results wait to be sent."""
    lab, app = lab_node(tmp_path / "own", hashed, sent=False)
    yield app
    app.close()
    lab.database.close()


@pytest.fixture
def looking(sent_study: App) -> Browser:
    """A viewer on the node with one study."""
    return Browser(create(sent_study)).log_in("viewer")
