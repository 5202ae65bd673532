"""Destinations and peers: what is in force, how it is changed, and who takes it up."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from dicom_ai.errors import ConfigError
from dicom_ai.pipeline import neighbours
from dicom_ai.pipeline.neighbours import Change, Home, Live
from dicom_ai.sections import DestinationSettings, Neighbours, Peer
from dicom_ai.storage import audit, outbox, schema
from dicom_ai.storage import neighbours as stored
from dicom_ai.storage.database import Database, Session
from dicom_ai.storage.outbox import OutboxState
from dicom_ai.storage.tables import OutboxRow
from tests.unit.pipeline.lab import Lab
from tests.unit.pipeline.test_report import analysed, reported

PACS = {"host": "192.0.2.10", "port": 104, "called_ae_title": "PACS"}
FILE = Neighbours(
    destinations=(DestinationSettings(name="pacs", kind="c_store", parameters=PACS),),
    peers=(Peer(ae_title="PACS", addresses=("192.0.2.10",)), Peer(ae_title="PACS", addresses=("192.0.2.11",))),
)
HOME = Home(FILE, ports=frozenset({11112}), most_per_hour=1000, usual={"calling_ae_title": "NODE"})
ADA = Change("ada", "the archive moved")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'node.db'}")
    schema.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    with database.write() as session:
        yield session


def c_store(name: str = "research", **parameters: Any) -> DestinationSettings:
    return neighbours.destination_from({"name": name, "kind": "c_store", "parameters": PACS | parameters})


def names(session: Session) -> list[str]:
    return [item.name for item in stored.in_force(session, FILE).neighbours.destinations]


def test_the_settings_file_counts_until_the_first_change_and_is_kept_as_version_1(session: Session) -> None:
    before = stored.in_force(session, FILE)
    saved = neighbours.add_destination(session, HOME, c_store(), ADA)
    other_file = Neighbours()

    assert (before.version, before.neighbours) == (0, FILE)
    assert (saved.version, saved.author) == (2, "ada")
    assert stored.version(session, 1).neighbours == FILE
    assert [item.name for item in stored.in_force(session, other_file).neighbours.destinations] == ["pacs", "research"]


def test_a_version_says_what_was_changed_by_whom_and_why(session: Session) -> None:
    changed = DestinationSettings(name="pacs", kind="c_store", parameters=PACS | {"port": 11113}, largest_mb=4)
    neighbours.change_destination(session, HOME, changed, ADA)

    newest = stored.in_force(session, FILE)
    assert newest.note == "destination pacs: largest_mb 0 → 4, destination pacs: port 104 → 11113; the archive moved"
    assert ("neighbours saved", "neighbours version 2") in [
        (event.action, event.subject) for event in audit.events(session)
    ]


def test_a_value_that_was_left_to_the_node_is_said_to_be_as_usual(session: Session) -> None:
    own = FILE.destinations[0].model_copy(update={"most_per_hour": 5})

    saved = neighbours.change_destination(session, HOME, own, Change("ada"))

    assert saved.note == "destination pacs: most_per_hour as usual → 5"


def test_a_secret_stands_in_no_note(session: Session) -> None:
    secret = {"url": "https://pacs.example/dicom-web", "authorization": "Bearer one"}
    neighbours.add_destination(session, HOME, DestinationSettings(name="web", kind="stow_rs", parameters=secret), ADA)
    changed = DestinationSettings(name="web", kind="stow_rs", parameters=secret | {"authorization": "Bearer two"})

    saved = neighbours.change_destination(session, HOME, changed, ADA)

    assert saved.note == "destination web: authorization changed; the archive moved"
    assert "Bearer" not in str([event.detail for event in audit.events(session)])


WEB = {"url": "https://pacs.example/dicom-web"}


def stow_rs(authorization: str, url: str = WEB["url"]) -> DestinationSettings:
    return DestinationSettings(
        name="web",
        kind="stow_rs",
        parameters={"url": url} | ({"authorization": authorization} if authorization else {}),
    )


def in_force(session: Session) -> dict[str, Any]:
    (web,) = [item for item in stored.in_force(session, FILE).neighbours.destinations if item.name == "web"]
    return web.parameters


def test_a_version_holds_no_secret_and_an_older_one_comes_back_with_that_of_today(session: Session) -> None:
    neighbours.add_destination(session, HOME, stow_rs("Bearer one"), ADA)
    neighbours.change_destination(session, HOME, stow_rs("Bearer two"), ADA)
    neighbours.change_destination(session, HOME, stow_rs("Bearer two", "https://other.example"), ADA)
    neighbours.roll_back(session, HOME, 2, ADA)

    assert in_force(session) == {"url": WEB["url"], "authorization": "Bearer two"}
    assert "Bearer" not in str(session.execute(sa.text("SELECT content FROM neighbour_versions")).all())
    assert session.execute(sa.text("SELECT value FROM destination_secrets")).scalars().all() == ["Bearer two"]


def test_a_secret_goes_with_its_destination_and_must_be_entered_again(session: Session) -> None:
    neighbours.add_destination(session, HOME, stow_rs("Bearer one"), ADA)
    neighbours.remove_destination(session, HOME, "web", ADA)
    kept = session.execute(sa.text("SELECT value FROM destination_secrets")).all()
    back = neighbours.roll_back(session, HOME, 2, ADA)

    assert kept == []
    assert in_force(session) == WEB
    assert back.note == "rolled back to version 2; enter the authorization of web again; the archive moved"


def test_a_version_from_before_the_secret_comes_back_without_one(session: Session) -> None:
    neighbours.add_destination(session, HOME, stow_rs(""), ADA)
    neighbours.change_destination(session, HOME, stow_rs("Bearer one"), ADA)
    back = neighbours.roll_back(session, HOME, 2, ADA)

    assert in_force(session) == WEB
    assert back.note == "rolled back to version 2; the archive moved"


def test_a_secret_of_the_settings_file_is_in_force_after_the_first_change_and_in_no_version(session: Session) -> None:
    home = Home(Neighbours(destinations=(stow_rs("Bearer of the file"),)))
    neighbours.add_peer(session, home, Peer(ae_title="CT1"), ADA)

    assert in_force(session)["authorization"] == "Bearer of the file"
    assert "Bearer" not in str(session.execute(sa.text("SELECT content FROM neighbour_versions")).all())


@pytest.mark.parametrize(
    ("kind", "parameters", "problem"),
    [
        (
            "c_store",
            {"host": "127.0.0.1", "port": 11112, "called_ae_title": "ME"},
            "11112 is this node itself",
        ),
        ("c_store", PACS | {"port": 70_000}, "port: 70000 is not between 1 and 65535"),
        ("c_store", PACS | {"called_ae_title": "A TITLE THAT IS TOO LONG"}, "is no AE title"),
        ("c_store", PACS | {"host": "a host"}, "no host name or address"),
        ("c_store", PACS | {"colour": "red"}, "no parameter colour"),
        ("c_store", PACS | {"check_identity": "maybe"}, "check_identity is one of required, if_known, off"),
        ("c_store", PACS | {"acse_s": 0}, "more than 0 seconds"),
        ("c_store", PACS | {"tls": True, "authorities": "/no/such.pem"}, "TLS files cannot be used"),
        ("stow_rs", {"url": "ftp://pacs.example"}, "neither http nor https"),
        ("stow_rs", {"url": "http://pacs.example", "authorization": "Bearer\r\nX: y"}, "one line"),
        ("stow_rs", {"url": "https://ada:secret@pacs.example"}, "holds a log-in: give that as parameter authorization"),
        ("folder", {"folder": "results"}, "must begin with /"),
        ("folder", {}, "parameter folder is missing"),
    ],
)
def test_a_destination_that_cannot_be_is_refused_with_the_reason(
    session: Session, kind: str, parameters: dict[str, Any], problem: str
) -> None:
    item = DestinationSettings.model_validate({"name": "new", "kind": kind, "parameters": parameters})

    with pytest.raises(ConfigError, match=problem):
        neighbours.add_destination(session, HOME, item, ADA)
    assert names(session) == ["pacs"]


def test_what_is_malformed_is_told_by_its_name() -> None:
    with pytest.raises(ConfigError, match=r"kind: Input should be 'c_store'.*largest_mb: Input should be greater"):
        neighbours.destination_from({"name": "x", "kind": "fax", "largest_mb": -1})


def test_two_people_cannot_change_the_same_version(session: Session) -> None:
    neighbours.add_destination(session, HOME, c_store(), Change("ada", seen=0))

    with pytest.raises(ConfigError, match=r"changed meanwhile .version 2 by ada, destination research added"):
        neighbours.remove_destination(session, HOME, "research", Change("bob", seen=0))


def test_names_are_unique_and_known(session: Session) -> None:
    with pytest.raises(ConfigError, match="there is a destination 'pacs' already"):
        neighbours.add_destination(session, HOME, c_store("pacs"), ADA)
    with pytest.raises(ConfigError, match="there is no destination 'none'; there is pacs"):
        neighbours.change_destination(session, HOME, c_store("none"), ADA)
    with pytest.raises(ConfigError, match=r"^nothing is changed by this$"):
        neighbours.change_destination(session, HOME, FILE.destinations[0], ADA)


def test_the_archive_of_the_settings_must_stay(session: Session) -> None:
    home = Home(FILE, archives={"pacs": "completion.archive", "": "prior.archive"})

    with pytest.raises(
        ConfigError, match=r"^destination pacs is completion\.archive of the settings file: it must stay$"
    ):
        neighbours.remove_destination(session, home, "pacs", ADA)


def test_peers_are_added_changed_and_removed(session: Session) -> None:
    neighbours.add_peer(session, HOME, Peer(ae_title="CT1"), ADA)
    neighbours.change_peer(session, HOME, Peer(ae_title="PACS", addresses=("10.0.0.0/24",)), ADA)
    changed = stored.in_force(session, FILE).neighbours.peers
    neighbours.remove_peer(session, HOME, "CT1", ADA)

    assert [(peer.ae_title, peer.addresses) for peer in changed] == [("PACS", ("10.0.0.0/24",)), ("CT1", ())]
    assert stored.in_force(session, FILE).neighbours.ae_titles == ("PACS",)


@pytest.mark.parametrize(
    ("act", "peer", "problem"),
    [
        (neighbours.add_peer, Peer(ae_title="PACS"), "there is a peer 'PACS' already"),
        (neighbours.change_peer, Peer(ae_title="CT9"), "there is no peer 'CT9'; there is PACS"),
        (
            neighbours.add_peer,
            Peer(ae_title="CT1", addresses=("10.0.0.5", "10.0.0. 6")),
            "peer CT1: '10.0.0. 6' is no IP address, network or host name",
        ),
    ],
)
def test_a_peer_that_cannot_be_is_refused_with_the_reason(session: Session, act: Any, peer: Peer, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        act(session, HOME, peer, ADA)

    assert str(caught.value) == problem
    assert stored.in_force(session, FILE).version == 0


def test_an_older_version_becomes_the_newest_and_0_is_the_settings_file(session: Session) -> None:
    neighbours.add_destination(session, HOME, c_store(), ADA)
    back = neighbours.roll_back(session, HOME, 1, ADA)
    again = neighbours.roll_back(session, HOME, 2, ADA)
    file = neighbours.roll_back(session, HOME, 0, ADA)

    assert (back.version, back.neighbours, back.note) == (3, FILE, "rolled back to version 1; the archive moved")
    assert [item.name for item in again.neighbours.destinations] == ["pacs", "research"]
    assert (file.neighbours, file.note) == (FILE, "as the settings file has them now; the archive moved")


def test_a_destination_by_c_store_has_the_titles_and_the_cap_of_the_node_unless_its_own(session: Session) -> None:
    usual = neighbours.destination_of(HOME, c_store())
    own = neighbours.destination_of(
        HOME,
        DestinationSettings(name="x", kind="c_store", parameters=PACS | {"calling_ae_title": "OTHER"}, most_per_hour=5),
    )

    assert (usual.parameters["calling_ae_title"], usual.most_per_hour) == ("NODE", 1000)
    assert (own.parameters["calling_ae_title"], own.most_per_hour) == ("OTHER", 5)


def test_a_change_is_seen_by_who_holds_the_destinations(database: Database) -> None:
    live = Live(database, HOME)
    held = live.destinations
    before = list(held)
    with database.write() as session:
        neighbours.add_destination(session, HOME, c_store(), ADA)
        neighbours.add_peer(session, HOME, Peer(ae_title="CT1"), ADA)
    live.forget()
    with capture_logs() as logs:
        live.now  # noqa: B018 - looks them up

    assert [(line["event"], line["version"], line["author"]) for line in logs] == [
        ("destinations and peers were changed", 3, "ada")
    ]
    assert (before, list(held), held["research"].kind) == (["pacs"], ["pacs", "research"], "c_store")
    assert [peer.ae_title for peer in live.peers] == ["PACS", "PACS", "CT1"]


def test_while_the_database_is_away_the_last_known_stay(database: Database) -> None:
    with database.write() as session:
        neighbours.add_destination(session, HOME, c_store(), ADA)
    live = Live(database, HOME)
    known = list(live.destinations)
    with database.write() as session:
        session.execute(sa.text("DROP TABLE neighbour_versions"))
    live.forget()
    with capture_logs() as logs:
        live.now  # noqa: B018 - looks them up

    assert [line["event"] for line in logs] == ["destinations and peers stay as they were known"]
    assert "no such table" in logs[0]["reason"]
    assert (known, list(live.destinations)) == (["pacs", "research"], ["pacs", "research"])


def test_a_database_without_the_tables_leaves_the_settings_file(tmp_path: Path) -> None:
    empty = Database(f"sqlite:///{tmp_path / 'empty.db'}")

    assert list(Live(empty, HOME).destinations) == ["pacs"]
    empty.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A study whose results wait for the destination pacs."""
    lab = Lab(tmp_path)
    analysed(lab)
    reported(lab)
    yield lab
    lab.database.close()


def states(lab: Lab) -> set[str]:
    with lab.database.read() as session:
        return set(session.scalars(sa.select(OutboxRow.state)))


def test_a_destination_for_which_results_wait_is_not_removed_unasked(lab: Lab) -> None:
    with lab.database.write() as session, pytest.raises(ConfigError, match="2 results wait for pacs: say whether"):
        neighbours.remove_destination(session, HOME, "pacs", ADA)


@pytest.mark.parametrize(("waiting", "after"), [("keep", OutboxState.WAITING), ("give-up", OutboxState.CANCELLED)])
def test_results_that_wait_for_a_removed_destination_are_kept_or_given_up(lab: Lab, waiting: Any, after: str) -> None:
    with lab.database.write() as session:
        neighbours.remove_destination(session, HOME, "pacs", ADA, waiting=waiting)

    assert states(lab) == {after}
    with lab.database.write() as session:
        assert outbox.claim(session, "sender", known=(), lease_s=60) is None
    with lab.database.read() as session:
        listed = [item.name for item in outbox.statuses(session)]
    assert listed == (["pacs"] if waiting == "keep" else [])
