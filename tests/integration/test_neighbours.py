"""A running listener takes up peers that are added and removed by another process, without a restart."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_ai import settings
from dicom_ai.app import home_of, open_app, prepare
from dicom_ai.destinations.trials import TrialKind
from dicom_ai.dimse import scu
from dicom_ai.errors import PermanentRefusal
from dicom_ai.listener import Listener
from dicom_ai.pipeline import neighbours, versions_of_models
from dicom_ai.pipeline.neighbours import TAKEN_UP_S, Change, Home, Live
from dicom_ai.sections import Neighbours, Peer
from dicom_ai.storage import models_off, schema, traffic
from dicom_ai.storage import neighbours as stored_neighbours
from dicom_ai.storage.database import Database
from tests.integration.servers import postgres
from tests.unit.storage.old_secrets import NEW, contents, keep_old_versions

ADA = Change("ada")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[settings.Settings, int]]:
    """A listener that lets nobody in."""
    wanted = settings.Settings(
        node=settings.Node(address="127.0.0.1", port=0),
        storage=settings.Storage(data_dir=tmp_path / "data", reserve_bytes=0),
    )
    app = open_app(wanted)
    prepare(app)
    listener = Listener(wanted, app.database, app.files, app.neighbours)
    listener.start()
    yield wanted, listener.port
    listener.stop()
    app.close()


def is_let_in(port: int) -> bool:
    try:
        scu.c_echo(scu.RemoteAe("127.0.0.1", port, "DICOM_AI", "CT1"))
    except PermanentRefusal:
        return False
    return True


def becomes(port: int, wanted: bool) -> bool:
    deadline = time.monotonic() + 10 * TAKEN_UP_S
    while is_let_in(port) is not wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    return is_let_in(port)


def test_a_peer_is_let_in_and_shut_out_while_the_listener_runs(node: tuple[settings.Settings, int]) -> None:
    wanted, port = node
    home, other = home_of(wanted), Database(wanted.database_url)  # as another process has them
    before = is_let_in(port)
    with other.write() as session:
        neighbours.add_peer(session, home, Peer(ae_title="CT1", addresses=("127.0.0.1",)), ADA)
    added = becomes(port, True)
    with other.write() as session:
        neighbours.remove_peer(session, home, "CT1", ADA)
    removed = becomes(port, False)
    other.close()

    assert (before, added, removed) == (False, True, False)


def test_versions_trials_and_models_that_are_off_are_kept_in_postgresql_too() -> None:
    with postgres() as url:
        database = Database(url)
        file = Neighbours(peers=(Peer(ae_title="PACS"),))
        home, live = Home(file), Live(database, Home(file))
        empty = [peer.ae_title for peer in live.peers]  # the tables are not there yet
        schema.upgrade(database)
        shelf = neighbours.destination_from({"name": "shelf", "kind": "folder", "parameters": {"folder": "/nowhere"}})
        with database.write() as session:
            neighbours.add_destination(session, home, shelf, ADA)
            models_off.turn_off(session, "cord", who="ada", why="")
        live.forget()
        said = neighbours.try_destination(database, live.destinations["shelf"], TrialKind.STORE, who="ada")
        with database.read() as session:
            versions = [item.version for item in stored_neighbours.history(session)]
            tried, off = traffic.trials(session, "shelf"), list(models_off.all_of(session))
            waiting = traffic.of_destination(session, "shelf").waiting
            met = versions_of_models.compare(session, "cord", "cord-new").studies
        schema.downgrade(database, to="0015")
        schema.upgrade(database)
        keep_old_versions(database)
        schema.upgrade(database)
        upgraded = contents(database)
        with database.read() as session:
            secret = stored_neighbours.in_force(session, file).neighbours.destinations[0].parameters["authorization"]
        database.close()

    assert (empty, versions, off, waiting, met) == (["PACS"], [2, 1], ["cord"], 0, ())
    assert [one.ok for one in said] == [False]
    assert tried["store"].said[0][:2] == (False, said[0].says)
    assert (secret, "Bearer" in upgraded) == (NEW, False)
