"""The hostile corpus, and hostile PDUs, sent to a real process: it answers, lives, and takes the next good image."""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from pydicom.uid import MRImageStorage

from dicom_ai.dimse import library
from dicom_ai.dimse.scu import CallingAe
from tests.fuzz.corpus import Hostile, hostile
from tests.integration.listening import CALLED, CALLING, file_of, mr_files, store
from tests.integration.test_listener_kill import start
from tests.peers import free_port

MOST_GROWTH_BYTES = 200_000_000
REFUSED = range(0xA700, 0xD000)
NOT_SENT = "file meta information in the data set"
"""The library that sends takes these elements for those of the file before it."""


@dataclass(frozen=True)
class Target:
    """A listener, as a process of its own."""

    port: int
    process: psutil.Process

    @property
    def memory_bytes(self) -> int:
        return self.process.memory_info().rss


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    port = free_port()
    process = start(tmp_path_factory.mktemp("listener"), port)
    yield Target(port, psutil.Process(process.pid))
    process.terminate()
    process.wait(30)


def answer(port: int, one: Hostile, folder: Path) -> int | None:
    """Return the status that an object is answered with; None where the association ended without one."""
    library.configure()
    ae = CallingAe(ae_title=CALLING)
    ae.add_requested_context(MRImageStorage, one.transfer_syntax_uid)
    association = ae.associate("127.0.0.1", port, ae_title=CALLED)
    path = file_of(
        folder / "object",
        one.data,
        sop_instance_uid=one.sop_instance_uid,
        transfer_syntax_uid=one.transfer_syntax_uid,
    )
    status = association.send_c_store(path)
    if association.is_established:
        association.release()
    return status.get("Status")


def test_every_object_of_the_corpus_is_answered(listener: Target, tmp_path: Path) -> None:
    before = listener.memory_bytes

    objects = [one for one in hostile() if one.name != NOT_SENT]
    answers = {one.name: answer(listener.port, one, tmp_path) for one in objects}

    assert {name: status for name, status in answers.items() if status != 0 and status not in REFUSED} == {}
    assert answers["a bomb of 700 MB in its pixels"] == answers["a bomb of 700 MB in a comment"] == 0xC000
    assert answers["a UID with a path"] == answers["two study UIDs"] == 0xA900
    assert answers["cut in the middle of the pixels"] == 0xC001
    assert listener.memory_bytes - before < MOST_GROWTH_BYTES
    assert [status.Status for status in store(listener.port, *mr_files(tmp_path / "good", 3))] == [0, 0, 0]


def pdu(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    return struct.pack(">BBI", kind, 0, len(body) if length is None else length) + body


HOSTILE_PDUS = {
    "nothing": b"",
    "a browser": b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
    "a TLS hello on the plain port": bytes.fromhex("16030100c8010000c40303") + bytes(180),
    "zeros": bytes(4096),
    "a PDU type nobody knows": pdu(0x42, b"x" * 64),
    "a PDU of 4 GB": pdu(1, b"x" * 64, length=0xFFFFFFFF),
    "an association request of nothing": pdu(1, b""),
    "an association request of 500 KB": pdu(1, b"\0" * 500_000),
    "items longer than the request": pdu(1, struct.pack(">HH", 1, 0) + b" " * 64 + b"\x10\x00\xff\xff" * 20),
    "data before an association": pdu(4, struct.pack(">IBB", 3, 1, 3) + b"x"),
    "an abort before an association": pdu(7, bytes(4)),
    "a release before an association": pdu(5, bytes(4)),
    "half a PDU": pdu(1, b"x" * 200)[:50],
}


@pytest.mark.parametrize("data", HOSTILE_PDUS.values(), ids=HOSTILE_PDUS)
def test_a_stranger_at_the_port_disturbs_nobody(listener: Target, tmp_path: Path, data: bytes) -> None:
    before = listener.memory_bytes
    with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as stranger:
        stranger.sendall(data)
        answers = [status.Status for status in store(listener.port, *mr_files(tmp_path, 1))]

    assert answers == [0]
    assert listener.process.is_running()
    assert listener.memory_bytes - before < MOST_GROWTH_BYTES


@pytest.mark.parametrize("control", [0, 1, 2, 3, 255])
def test_messages_of_garbage_end_their_association_only(listener: Target, tmp_path: Path, control: int) -> None:
    library.configure()
    ae = CallingAe(ae_title=CALLING)
    ae.add_requested_context(MRImageStorage)
    association = ae.associate("127.0.0.1", listener.port, ae_title=CALLED)
    connection = association.dul.socket.socket
    connection.sendall(pdu(4, struct.pack(">IBB", 202, 1, control) + b"\xff\x00\x07" * 66 + b"\0\0") * 50)

    assert [status.Status for status in store(listener.port, *mr_files(tmp_path, 1))] == [0]
    association.abort()
