import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from dicom_ai.app import App, configure_log, open_app, prepare, refuse_loops
from dicom_ai.errors import ConfigError
from dicom_ai.settings import DestinationSettings, Log, Node, Settings, Storage, Timeouts
from dicom_ai.storage import rules, studies
from tests.unit.storage.test_studies import IMAGE

PACS = DestinationSettings(name="pacs", kind="c_store", parameters={"host": "h", "port": 104, "dimse_s": 300.0})
SHELF = DestinationSettings(name="shelf", kind="folder", parameters={"folder": "/srv"})


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


def test_a_database_that_was_only_upgraded_counts_as_empty(app: App, capfd: pytest.CaptureFixture[str]) -> None:
    prepare(app)
    prepare(app, rules_on=True)

    assert "on" in states(app)
    assert "--rules-on" not in capfd.readouterr().err


@pytest.mark.parametrize(("rules_on", "note"), [(False, "seeded in shadow"), (True, "seeded as they stand")])
def test_the_first_version_of_the_rules_says_how_it_was_seeded(app: App, rules_on: bool, note: str) -> None:
    prepare(app, rules_on=rules_on)

    with app.database.read() as session:
        stored = rules.current(session)
    assert stored is not None
    assert (stored.version, stored.author, stored.note) == (1, "dicom-ai", note)


def test_a_process_that_cannot_be_noted_in_the_audit_trail_is_in_the_log(app: App) -> None:
    with capture_logs() as logs:
        app.note_process("started", "serve")  # its database was never made

    (line,) = logs
    assert (line["event"], line["action"], line["process"]) == ("not in the audit trail", "started", "serve")
    assert line["reason"].startswith("database: no such table")


def a_person_changes_a_rule(app: App) -> None:
    with app.database.write() as session:
        name = rules.in_force(session).rule_set.rules[0].name
        rules.turn(session, name, "off", author="anna")


def an_image_comes(app: App) -> None:
    with app.database.write() as session:
        studies.record_instance(session, IMAGE)


@pytest.mark.parametrize(
    ("used", "reason"),
    [
        (a_person_changes_a_rule, "version 2 by anna: cord turned off"),
        (an_image_comes, "version 1 by dicom-ai: seeded in shadow"),
    ],
)
def test_the_rules_of_a_database_in_use_are_left_alone_and_the_log_says_so(
    app: App, capfd: pytest.CaptureFixture[str], used: Callable[[App], None], reason: str
) -> None:
    prepare(app)
    used(app)
    configure_log(Settings(log=Log(format="json")))
    prepare(app, rules_on=True)

    assert "on" not in states(app)
    (line,) = capfd.readouterr().err.splitlines()
    assert json.loads(line) | {"timestamp": ""} == {
        "event": "--rules-on does nothing",
        "level": "warning",
        "reason": f"the database has rules, {reason}",
        "instead": "dicom-ai rules turn NAME on",
        "timestamp": "",
    }


def test_rules_that_are_on_are_left_as_they_are(app: App) -> None:
    prepare(app, rules_on=True)
    prepare(app, rules_on=True)

    with app.database.read() as session:
        assert rules.in_force(session).version == 1


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


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_destination_that_is_the_node_itself_is_refused(host: str) -> None:
    itself = DestinationSettings(name="pacs", kind="c_store", parameters={"host": host, "port": 11112})

    with pytest.raises(ConfigError, match=f"destination pacs: {host}:11112 is this node itself"):
        refuse_loops(Settings(destinations=(itself,)))


def loops(**parameters: str | int) -> bool:
    """Whether a destination is refused as the node itself, which listens on port 11112."""
    destination = DestinationSettings(name="pacs", kind="c_store", parameters=parameters)
    try:
        refuse_loops(Settings(destinations=(destination,)))
    except ConfigError:
        return True
    return False


@pytest.mark.parametrize(
    ("host", "port", "itself"),
    [("127.0.0.1", 11112, True), ("127.0.0.1", 104, False), ("192.0.2.1", 11112, False), ("no.such.invalid", 1, False)],
)
def test_an_archive_beside_the_node_or_elsewhere_is_not_the_node(host: str, port: int, itself: bool) -> None:
    assert loops(host=host, port=port) == itself
