"""Results on their way: to a C-STORE peer, a STOW-RS server and a folder, and what each failure is called."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ImplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel
from structlog.testing import capture_logs

from dicom_ai.destinations import DESTINATIONS, qido, wado
from dicom_ai.destinations.delivery import Delivery, DeliveryResult
from dicom_ai.destinations.stow_rs import says_it_stores
from dicom_ai.dicom.uids import new_uid
from dicom_ai.dimse import scu
from dicom_ai.domain.destination import Destination
from dicom_ai.errors import DeliveryUnknown, PeerUnavailable, PermanentRefusal, SopClassRefused
from tests.integration.listening import CALLED, CALLING, as_sent, listening, mr_files
from tests.peers import free_port


def deliveries(paths: list[Path], *, sent_before: bool = False) -> list[Delivery]:
    uids = [dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in paths]
    return [Delivery(path, MRImageStorage, uid, sent_before) for path, uid in zip(paths, uids, strict=True)]


def kinds(results: tuple[DeliveryResult, ...]) -> list[type | None]:
    return [type(result.error) if result.error else None for result in results]


# C-STORE


@contextmanager
def archive(
    answer: Callable[[evt.Event], int],
    *,
    syntaxes: list[str] | None = None,
    asked: Callable[[evt.Event], tuple[int, None]] = lambda event: (0x0000, None),
) -> Iterator[int]:
    """A storage SCP that gives the answers a test wants. asked: answers requests for storage commitment."""
    ae = AE(ae_title="ARCHIVE")
    ae.add_supported_context(MRImageStorage, syntaxes or ["1.2.840.10008.1.2.1"])
    ae.add_supported_context(StorageCommitmentPushModel)
    handlers = [(evt.EVT_C_STORE, answer), (evt.EVT_N_ACTION, asked)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


def by_c_store(port: int, **parameters: str | int | float) -> Destination:
    usual = {"host": "127.0.0.1", "port": port, "called_ae_title": "ARCHIVE", "calling_ae_title": CALLING}
    return Destination("archive", "c_store", {**usual, **parameters})


def test_objects_arrive_over_one_association(tmp_path: Path):
    paths = mr_files(tmp_path / "in", 4)
    with listening(tmp_path / "node") as node:
        results = DESTINATIONS["c_store"](deliveries(paths), by_c_store(node.port, called_ae_title=CALLED))
        rows = node.instances()
        kept = [as_sent(node.files.path(row.path)) for row in rows]

    assert [result.answer for result in results] == ["0x0000"] * 4
    assert len({row.association_id for row in rows}) == 1
    assert kept == [as_sent(path) for path in paths]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (0xB000, None),
        (0xA700, PeerUnavailable),
        (0xA900, PermanentRefusal),
        (0xC123, PermanentRefusal),
        (0x0122, SopClassRefused),
        (0x0111, PermanentRefusal),
    ],
)
def test_a_status_says_who_must_act(tmp_path: Path, status: int, kind: type | None):
    with archive(lambda event: status) as port:
        results = DESTINATIONS["c_store"](deliveries(mr_files(tmp_path, 1)), by_c_store(port))

    assert kinds(results) == [kind]
    assert results[0].answer == f"0x{status:04X}"


def test_a_duplicate_answered_to_a_second_try_is_delivered(tmp_path: Path):
    with archive(lambda event: 0x0111) as port:
        [result] = DESTINATIONS["c_store"](deliveries(mr_files(tmp_path, 1), sent_before=True), by_c_store(port))

    assert result.delivered


def test_an_answer_that_does_not_come_is_unknown_and_the_rest_waits(tmp_path: Path):
    release = threading.Event()

    def never(event: evt.Event) -> int:
        release.wait(20)
        return 0x0000

    with archive(never) as port:
        results = DESTINATIONS["c_store"](deliveries(mr_files(tmp_path, 3)), by_c_store(port, dimse_s=0.5))
        release.set()

    assert kinds(results) == [DeliveryUnknown, PeerUnavailable, PeerUnavailable]


def test_a_peer_that_aborts_in_the_middle_leaves_it_unknown_at_once(tmp_path: Path):
    def abort(event: evt.Event) -> int:
        event.assoc.abort()
        return 0x0000

    with archive(abort) as port:
        results = DESTINATIONS["c_store"](deliveries(mr_files(tmp_path, 2)), by_c_store(port, dimse_s=30))

    assert kinds(results) == [DeliveryUnknown, PeerUnavailable]


def test_a_peer_that_is_down_is_tried_later(tmp_path: Path):
    results = DESTINATIONS["c_store"](deliveries(mr_files(tmp_path, 2)), by_c_store(free_port()))

    assert kinds(results) == [PeerUnavailable, PeerUnavailable]


def test_a_host_without_an_address_is_tried_later(tmp_path: Path):
    results = DESTINATIONS["c_store"](deliveries(mr_files(tmp_path, 1)), by_c_store(104, host="no-such-host.invalid"))

    assert kinds(results) == [PeerUnavailable]


def test_a_peer_that_accepts_the_connection_and_stays_silent_is_tried_later(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        results = DESTINATIONS["c_store"](deliveries(mr_files(tmp_path, 1)), by_c_store(port, acse_s=0.5))

    assert kinds(results) == [PeerUnavailable]


def test_what_a_peer_that_does_not_know_us_should_get_waits_until_it_does(tmp_path: Path):
    with listening(tmp_path / "node", peers=[]) as node:
        results = DESTINATIONS["c_store"](
            deliveries(mr_files(tmp_path / "in", 1)), by_c_store(node.port, called_ae_title=CALLED)
        )

    assert kinds(results) == [PeerUnavailable]


def test_a_peer_that_accepts_only_implicit_vr_gets_the_same_content(tmp_path: Path):
    received: list[Dataset] = []

    def keep(event: evt.Event) -> int:
        dataset = event.dataset
        received.append(dataset)
        return 0x0000

    [path] = mr_files(tmp_path, 1)
    with archive(keep, syntaxes=[ImplicitVRLittleEndian]) as port:
        [result] = DESTINATIONS["c_store"](deliveries([path]), by_c_store(port))

    assert result.delivered
    assert {e.tag: e.value for e in received[0]} == {e.tag: e.value for e in dcmread(path)}


def test_a_peer_that_takes_neither_refuses_for_good_and_says_what(tmp_path: Path):
    with archive(lambda event: 0x0000, syntaxes=["1.2.840.10008.1.2.5"]) as port:
        [result] = DESTINATIONS["c_store"](deliveries(mr_files(tmp_path, 1)), by_c_store(port))

    assert isinstance(result.error, PermanentRefusal)
    assert "SOP classes and transfer syntaxes" in str(result.error)


def test_storage_commitment_is_requested_for_every_object_under_its_transaction():
    """PS3.4 J.3.2: action 1 on the well-known instance, with the transaction and each object by class and instance."""
    seen = []
    objects, transaction_uid = [(MRImageStorage, new_uid()) for _ in range(3)], new_uid()

    def asked(event: evt.Event) -> tuple[int, None]:
        information = event.action_information
        references = [
            (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in information.ReferencedSOPSequence
        ]
        seen.append((event.action_type, event.request.RequestedSOPInstanceUID, information.TransactionUID, references))
        return 0x0000, None

    with archive(lambda event: 0x0000, asked=asked) as port:
        peer = scu.RemoteAe("127.0.0.1", port, "ARCHIVE", CALLING)
        scu.request_commitment(peer, objects, transaction_uid=transaction_uid)

    assert seen == [(1, "1.2.840.10008.1.20.1.1", transaction_uid, objects)]


def test_a_request_for_storage_commitment_that_is_refused_is_no_commitment():
    with archive(lambda event: 0x0000, asked=lambda event: (0x0213, None)) as port:
        peer = scu.RemoteAe("127.0.0.1", port, "ARCHIVE", CALLING)
        with pytest.raises(PermanentRefusal, match="ARCHIVE: storage commitment was answered 0x0213"):
            scu.request_commitment(peer, [(MRImageStorage, new_uid())], transaction_uid=new_uid())


# STOW-RS


@dataclass
class Web:
    """A STOW-RS server that keeps what it got and gives the answer a test wants."""

    code: int = 200
    body: object = None
    url: str = ""
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    described: bytes = b""
    """Of a GET or OPTIONS."""


@pytest.fixture
def web() -> Iterator[Web]:
    answers = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            answers.received.append((dict(self.headers) | {"path": self.path}, self.rfile.read(length)))
            body = b"" if answers.body is None else json.dumps(answers.body).encode()
            self.send_response(answers.code)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.do_OPTIONS()

        def do_OPTIONS(self) -> None:
            self.send_response(answers.code)
            for name, value in answers.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answers.described)))
            self.end_headers()
            self.wfile.write(answers.described)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    answers.url = f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
    yield answers
    server.shutdown()
    thread.join()
    server.server_close()


def by_stow(web: Web, **parameters: str) -> Destination:
    return Destination("archive", "stow_rs", {"url": web.url, **parameters})


def sequence(tag: str, *items: dict[str, object]) -> dict[str, object]:
    return {tag: {"vr": "SQ", "Value": list(items)}}


def item(uid: str, tag: str = "", reason: int = 0) -> dict[str, object]:
    named: dict[str, object] = {"00081155": {"vr": "UI", "Value": [uid]}}
    return {**named, tag: {"vr": "US", "Value": [reason]}} if tag else named


def test_all_objects_go_in_one_request_as_multipart(web: Web, tmp_path: Path):
    paths = mr_files(tmp_path, 2)
    wanted = deliveries(paths)
    web.body = sequence("00081199", *(item(one.sop_instance_uid) for one in wanted))

    results = DESTINATIONS["stow_rs"](wanted, by_stow(web, authorization="Bearer token"))

    [(headers, body)] = web.received
    boundary = headers["Content-Type"].split("boundary=")[1].encode()
    sent = [piece.split(b"\r\n\r\n", 1)[1][:-2] for piece in body.split(b"--" + boundary)[1:-1]]
    assert kinds(results) == [None, None]
    assert (headers["path"], headers["Authorization"]) == ("/dicom-web/studies", "Bearer token")
    assert headers["Content-Type"].startswith('multipart/related; type="application/dicom"')
    assert sent == [path.read_bytes() for path in paths]


def test_each_object_has_the_answer_that_names_it(web: Web, tmp_path: Path):
    wanted = deliveries(mr_files(tmp_path, 5))
    uids = [one.sop_instance_uid for one in wanted]
    web.code = 202
    web.body = sequence("00081199", item(uids[0]), item(uids[1], "00081196", 0xB000)) | sequence(
        "00081198", item(uids[2], "00081197", 0xA700), item(uids[3], "00081197", 0xC000)
    )

    with capture_logs() as logs:
        results = DESTINATIONS["stow_rs"](wanted, by_stow(web))

    assert kinds(results) == [None, None, PeerUnavailable, PermanentRefusal, DeliveryUnknown]
    assert [(line["event"], line["sop_instance_uid"], line["status"]) for line in logs] == [
        ("STOW-RS answered", uids[1], "0xB000"),
        ("STOW-RS answered", uids[2], "0xA700"),
        ("STOW-RS answered", uids[3], "0xC000"),
    ]


def test_a_409_is_read_too(web: Web, tmp_path: Path):
    [one] = deliveries(mr_files(tmp_path, 1), sent_before=True)
    web.code, web.body = 409, sequence("00081198", item(one.sop_instance_uid, "00081197", 0x0111))

    assert kinds(DESTINATIONS["stow_rs"]([one], by_stow(web))) == [None]


@pytest.mark.parametrize(
    ("code", "kind"),
    [(200, None), (400, PermanentRefusal), (415, PermanentRefusal), (401, PeerUnavailable), (503, PeerUnavailable)],
)
def test_a_code_without_a_body_says_who_must_act(web: Web, tmp_path: Path, code: int, kind: type | None):
    web.code = code

    assert kinds(DESTINATIONS["stow_rs"](deliveries(mr_files(tmp_path, 1)), by_stow(web))) == [kind]


@pytest.mark.parametrize("body", [[], "text", 7, {"00081198": 3}, {"00081199": {"Value": ["x"]}}])
def test_a_success_whose_body_names_nothing_is_unknown(web: Web, tmp_path: Path, body: object):
    web.body = body

    results = DESTINATIONS["stow_rs"](deliveries(mr_files(tmp_path, 1)), by_stow(web))

    assert kinds(results) == [DeliveryUnknown]
    assert str(results[0].error) == "archive: the answer does not name the object"


STORES = b'<resource path="studies"><method name="POST" id="StoreInstances"/><method name="GET"/></resource>'
ONLY_SEARCHES = b'<resource path="studies"><method name="GET" id="SearchForStudies"/></resource>'


@pytest.mark.parametrize(
    ("code", "allow", "described", "says"),
    [
        (200, "", STORES, "it says that studies can be stored there"),
        (204, "GET, POST", b"", "it says that studies can be stored there"),
        (404, "", b"", "it answers, and does not describe what it offers (HTTP 404)"),
        (200, "", b"", "it answers, and does not describe what it offers (HTTP 200)"),
    ],
)
def test_what_a_service_says_of_itself_is_passed_on(web: Web, code: int, allow: str, described: bytes, says: str):
    web.code, web.headers, web.described = code, {"Allow": allow} if allow else {}, described

    assert says_it_stores(by_stow(web)) == says


@pytest.mark.parametrize(
    ("code", "described", "kind", "says"),
    [
        (200, ONLY_SEARCHES, PermanentRefusal, "it says that studies cannot be stored there"),
        (401, b"", PermanentRefusal, "HTTP 401: it does not let this node in"),
        (503, b"", PeerUnavailable, "HTTP 503"),
    ],
)
def test_a_service_that_cannot_be_sent_to_says_who_must_act(
    web: Web, code: int, described: bytes, kind: type, says: str
):
    web.code, web.described = code, described

    with pytest.raises(kind, match=f"^archive: {says}$"):
        says_it_stores(by_stow(web))


def test_a_server_that_is_down_is_tried_later(tmp_path: Path):
    nowhere = Destination("archive", "stow_rs", {"url": f"http://127.0.0.1:{free_port()}/dicom-web"})

    assert kinds(DESTINATIONS["stow_rs"](deliveries(mr_files(tmp_path, 1)), nowhere)) == [PeerUnavailable]


def test_a_server_that_never_answers_leaves_it_unknown(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        destination = Destination("archive", "stow_rs", {"url": url, "timeout_s": 0.5})

        assert kinds(DESTINATIONS["stow_rs"](deliveries(mr_files(tmp_path, 1)), destination)) == [DeliveryUnknown]


def test_a_server_that_answers_before_it_has_read_everything_is_heard(tmp_path: Path):
    """It cuts the rest off; its answer is there all the same."""
    large = tmp_path / "large.dcm"
    with large.open("wb") as file:
        file.truncate(32 << 20)
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        server.bind(("127.0.0.1", 0))
        server.listen()

        def refuse() -> None:
            with server.accept()[0] as connection:
                connection.recv(1 << 12)
                connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        destination = Destination("archive", "stow_rs", {"url": f"http://127.0.0.1:{server.getsockname()[1]}"})
        with capture_logs() as logs:
            (result,) = DESTINATIONS["stow_rs"]([Delivery(large, MRImageStorage, "1.2.3")], destination)
        thread.join()

    assert [line["event"] for line in logs] == ["the server stopped reading; it may have answered before"]
    assert (result.answer, type(result.error)) == ("HTTP 413", PermanentRefusal)


# QIDO-RS and WADO-RS


def search(destination: Destination) -> object:
    return qido.ask(destination, "studies", {"StudyInstanceUID": "1.2"})


def fetch(destination: Destination) -> object:
    return wado.get_instance(destination, "1.2", "1.2.1", "1.2.1.1")


@pytest.mark.parametrize(
    ("ask", "code", "kind", "said"),
    [
        (search, 501, PermanentRefusal, "QIDO-RS was answered with HTTP 501"),
        (search, 503, PeerUnavailable, "QIDO-RS was answered with HTTP 503"),
        (fetch, 404, PermanentRefusal, "WADO-RS was answered with HTTP 404"),
        (fetch, 503, PeerUnavailable, "WADO-RS was answered with HTTP 503"),
        (fetch, 200, PermanentRefusal, "WADO-RS sent no DICOM object"),
    ],
)
def test_an_archive_that_does_not_tell_or_give_says_who_must_act(
    web: Web, ask: Callable[[Destination], object], code: int, kind: type, said: str
):
    web.code, web.described = code, b"<html>a page of errors, as gateways send them</html>" * 3

    with pytest.raises(kind, match=f"^archive: {said}$"):
        ask(by_stow(web))


# Folder


def into(folder: Path) -> Destination:
    return Destination("folder", "folder", {"folder": str(folder)})


def test_files_are_whole_and_named_by_their_uid(tmp_path: Path):
    paths = mr_files(tmp_path / "in", 2)
    wanted = deliveries(paths)
    (tmp_path / "out").mkdir()

    results = DESTINATIONS["folder"](wanted, into(tmp_path / "out"))

    assert kinds(results) == [None, None]
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        f"{one.sop_instance_uid}.dcm": one.path.read_bytes() for one in wanted
    }


def test_the_same_file_again_is_delivered_and_another_under_its_name_is_refused(tmp_path: Path):
    [one] = deliveries(mr_files(tmp_path / "in", 1))
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / f"{one.sop_instance_uid}.dcm"

    twice = [DESTINATIONS["folder"]([one], into(tmp_path / "out"))[0].delivered for _ in range(2)]
    target.write_bytes(b"something else")
    [refused] = DESTINATIONS["folder"]([one], into(tmp_path / "out"))

    assert twice == [True, True]
    assert isinstance(refused.error, PermanentRefusal)
    assert str(refused.error) == f"{target} is there with other content"
    assert target.read_bytes() == b"something else"


def test_a_uid_that_leads_out_of_the_folder_names_no_file(tmp_path: Path):
    [one] = deliveries(mr_files(tmp_path / "in", 1))
    [refused] = DESTINATIONS["folder"]([replace(one, sop_instance_uid="../x")], into(tmp_path))

    assert isinstance(refused.error, PermanentRefusal)
    assert str(refused.error) == "the SOP instance UID cannot name a file"


def test_a_folder_that_is_not_mounted_is_tried_later_and_not_made(tmp_path: Path):
    results = DESTINATIONS["folder"](deliveries(mr_files(tmp_path / "in", 1)), into(tmp_path / "out"))

    assert kinds(results) == [PeerUnavailable]
    assert str(results[0].error) == f"{tmp_path / 'out'}: No such file or directory"
    assert not (tmp_path / "out").exists()
