import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from dicom_ai.app import App, configure_log, open_app, prepare
from dicom_ai.settings import DestinationSettings, Log, Node, Settings, Storage, Timeouts
from dicom_ai.storage import rules

PACS = DestinationSettings(name="pacs", kind="c_store", parameters={"host": "h", "port": 104, "dimse_s": 300.0})
SHELF = DestinationSettings(name="shelf", kind="folder", parameters={"folder": "/srv"})


@pytest.fixture(autouse=True)
def the_log_is_put_back() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = open_app(
        Settings(
            node=Node(ae_title="NODE7"),
            timeouts=Timeouts(connect_s=3),
            storage=Storage(data_dir=tmp_path, reserve_bytes=0),
            destinations=(PACS, SHELF),
        )
    )
    yield app
    app.close()


def states(app: App) -> set[str]:
    with app.database.read() as session:
        stored = rules.current(session)
    assert stored is not None
    return {rule["state"] for rule in stored.content["rule"]}


def test_an_empty_database_is_seeded_with_the_shipped_rules_in_shadow(app: App) -> None:
    prepare(app)

    assert "on" not in states(app)
    assert "shadow" in states(app)


def test_the_demo_seeds_them_on(app: App) -> None:
    prepare(app, rules_on=True)

    assert "on" in states(app)


def test_rules_that_are_there_are_left_alone(app: App) -> None:
    prepare(app)
    prepare(app, rules_on=True)

    assert "on" not in states(app)


def test_a_destination_by_c_store_takes_what_the_node_has_unless_it_has_its_own(app: App) -> None:
    assert app.destinations["pacs"].parameters == {
        "host": "h",
        "port": 104,
        "calling_ae_title": "NODE7",
        "connect_s": 3,
        "acse_s": 10,
        "dimse_s": 300,
        "network_s": 120,
    }
    assert app.destinations["shelf"].parameters == {"folder": "/srv"}


def test_a_log_line_is_one_json_object(capfd: pytest.CaptureFixture[str]) -> None:
    configure_log(Settings(log=Log(format="json")))
    structlog.get_logger().info("routed", study_uid="1.2.3")
    structlog.get_logger().debug("not written at this level")
    logging.getLogger("celery").info("nor is this")

    (line,) = capfd.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["event"], found["study_uid"], found["level"]) == ("routed", "1.2.3", "info")
