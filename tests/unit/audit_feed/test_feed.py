"""At least once: what an outlet did not take comes again, also after a restart; rows that are late are waited for."""

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import pytest
import sqlalchemy as sa

from dicom_ai.audit_feed.feed import Feed, run
from dicom_ai.audit_feed.outlets import Message, Outlet, RotatedFile, Syslog
from dicom_ai.dimse.tls import client_context
from dicom_ai.errors import Unavailable
from dicom_ai.storage import audit, duties
from dicom_ai.storage.database import Database
from dicom_ai.storage.tables import AuditRow
from dicom_ai.syslog import Server
from tests.integration.certificates import Certificates, make_certificates
from tests.unit.storage.conftest import Clock
from tests.unit.test_syslog import unframed


@dataclass
class Memory:
    """An outlet that keeps what it got, and fails when told to."""

    fails: bool = False
    studies: list[str] = field(default_factory=list)

    def deliver(self, messages: Sequence[Message], *, at: float) -> None:
        if self.fails:
            raise Unavailable("away")
        self.studies += [study_of(message.text) for message in messages]


def study_of(text: str) -> str:
    (found,) = ElementTree.fromstring(text).iter("ParticipantObjectIdentification")
    return found.get("ParticipantObjectID") or ""


def view(database: Database, *studies: str) -> None:
    with database.write() as session:
        for study in studies:
            audit.record(session, "anna", "viewed", f"study {study}")


def feed_of(database: Database, outlet: Outlet) -> Feed:
    return Feed(database, "audit-test", "DICOM_AI@node7", outlet)


def test_what_was_there_before_and_what_comes_is_brought_once(database: Database) -> None:
    memory = Memory()
    view(database, "1.1", "1.2")

    numbers = [run(feed_of(database, memory), "a")]
    view(database, "1.3")
    numbers += [run(feed_of(database, memory), "a"), run(feed_of(database, memory), "b")]

    assert (numbers, memory.studies) == ([2, 1, 0], ["1.1", "1.2", "1.3"])


def test_more_than_a_batch_is_brought_at_once(database: Database) -> None:
    memory = Memory()
    view(database, *(f"1.{number}" for number in range(1100)))

    assert (run(feed_of(database, memory), "a"), len(set(memory.studies))) == (1100, 1100)


def test_what_an_outlet_did_not_take_comes_again(database: Database) -> None:
    memory = Memory(fails=True)
    view(database, "1.1")
    with pytest.raises(Unavailable, match="away"):
        run(feed_of(database, memory), "a")
    memory.fails = False

    assert (run(feed_of(database, memory), "b"), memory.studies) == (1, ["1.1"])


def test_a_process_that_died_before_it_moved_the_mark_loses_nothing(
    database: Database, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "audit.xml"
    view(database, "1.1")
    with database.write() as session:  # dies with the turn, after the file has the row
        duties.take(session, "audit-test", "dead", lease_s=300, start=0.0)
    RotatedFile(path).deliver([Message(clock.at, "<written/>")], at=clock.at)
    view(database, "1.2")
    restarted = Database(database.url, clock=clock)

    brought = [run(feed_of(restarted, RotatedFile(path)), "new")]
    clock.advance(301)
    brought.append(run(feed_of(restarted, RotatedFile(path)), "new"))
    restarted.close()

    lines = path.read_text().splitlines()
    assert (brought, [study_of(line) for line in lines[1:]]) == ([0, 2], ["1.1", "1.2"])


def test_a_row_whose_transaction_is_still_open_is_waited_for(database: Database, clock: Clock) -> None:
    memory = Memory()
    feed = feed_of(database, memory)

    def write(row_id: int) -> None:
        with database.write() as session:
            values = {"id": row_id, "at": clock.at, "actor": "a", "action": "viewed", "detail": {}}
            session.execute(sa.insert(AuditRow).values(**values, subject=f"study 1.{row_id}"))

    write(1)
    write(3)
    run(feed, "a")
    before = list(memory.studies)
    write(2)
    run(feed, "a")
    write(5)  # nothing is ever numbered 4: rolled back
    run(feed, "a")
    waiting = list(memory.studies)
    clock.advance(301)
    run(feed, "a")

    assert (before, waiting, memory.studies[3:]) == (["1.1"], ["1.1", "1.2", "1.3"], ["1.5"])


@contextmanager
def repository(files: Certificates, got: bytearray) -> Iterator[int]:
    """Run an audit record repository on loopback that wants a certificate, for one connection; yields its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.node, files.node_key)
    context.load_verify_locations(files.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                with context.wrap_socket(server.accept()[0], server_side=True) as connection:
                    while piece := connection.recv(4096):
                        got.extend(piece)
            except OSError:
                return  # it does not trust who calls

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join()


def test_a_repository_gets_them_by_tls_and_one_that_refuses_us_gets_them_later(
    database: Database, tmp_path: Path
) -> None:
    files = make_certificates(tmp_path / "certificates")
    view(database, "1.1", "1.2")
    got = bytearray()
    stranger = client_context(authorities=files.authority)
    known = client_context(authorities=files.authority, certificate=files.peer, key=files.peer_key)

    with repository(files, got) as port, pytest.raises(Unavailable, match="syslog"):
        run(feed_of(database, Syslog(Server(f"tls://localhost:{port}", stranger))), "a")
    refused = bytes(got)
    with repository(files, got) as port:
        run(feed_of(database, Syslog(Server(f"tls://localhost:{port}", known))), "a")

    frames = [frame.partition(" - \ufeff") for frame in unframed(bytes(got))]
    assert refused == b""
    assert [study_of(text) for _, _, text in frames] == ["1.1", "1.2"]
    assert all(header.startswith("<85>1 ") and header.endswith(" DICOM+RFC3881") for header, _, _ in frames)
