"""Syslog by stream: octet counting (RFC 6587), TLS with a checked certificate (RFC 5425), the local socket."""

import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dicom_ai import syslog
from dicom_ai.dimse.tls import client_context
from dicom_ai.errors import ConfigError, Unavailable
from dicom_ai.syslog import Facility, Message, Server, Severity
from tests.integration.certificates import make_certificates
from tests.peers import free_port

TWO = [
    Message(Facility.AUTHPRIV, Severity.NOTICE, "one", "Ä first\nline", 1.5),
    Message(Facility.DAEMON, Severity.CRITICAL, "two", "second", 0.0),
]


def received(accept: Callable[[socket.socket], socket.socket], send: Callable[[int], None]) -> bytes:
    """Return what a server on loopback got."""
    got = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                with accept(server.accept()[0]) as connection:
                    while piece := connection.recv(4096):
                        got.extend(piece)
            except OSError:
                return  # the client did not trust us

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            send(server.getsockname()[1])
        finally:
            thread.join()
    return bytes(got)


def unframed(stream: bytes) -> list[str]:
    """Return the messages of a stream of counted frames."""
    found = []
    while stream:
        length, _, rest = stream.partition(b" ")
        found.append(rest[: int(length)].decode())
        stream = rest[int(length) :]
    return found


def test_messages_over_tcp_are_counted_in_bytes() -> None:
    got = received(lambda c: c, lambda port: syslog.send(TWO, Server(f"tcp://127.0.0.1:{port}")))

    first, second = unframed(got)
    assert first.startswith("<85>1 1970-01-01T00:00:01.500Z ")
    assert first.endswith(" one - \ufeffÄ first\nline")
    assert second.startswith("<26>1 1970-01-01T00:00:00.000Z ")


def test_messages_over_tls_reach_only_a_server_that_is_trusted(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.node, files.node_key)

    def accept(connection: socket.socket) -> socket.socket:
        return context.wrap_socket(connection, server_side=True)

    trusted = client_context(authorities=files.authority)
    got = received(accept, lambda port: syslog.send(TWO, Server(f"tls://localhost:{port}", trusted)))

    assert len(unframed(got)) == 2
    with pytest.raises(Unavailable, match=r"SSLCertVerificationError|certificate verify failed"):
        received(accept, lambda port: syslog.send(TWO, Server(f"tls://localhost:{port}")))


def test_a_server_that_closes_before_it_was_our_turn_to_was_not_told(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.node, files.node_key)

    def hang_up(connection: socket.socket) -> socket.socket:
        secure = context.wrap_socket(connection, server_side=True)
        secure.recv(4096)
        secure.close()
        return secure

    trusted = client_context(authorities=files.authority)
    with pytest.raises(Unavailable, match=r"^syslog tls://localhost:\d+: closed before the end$"):
        received(hang_up, lambda port: syslog.send(TWO[:1], Server(f"tls://localhost:{port}", trusted)))


def test_messages_go_to_the_local_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        syslog.send(TWO[1:], Server(f"unix://{tmp_path / 'log'}"))

        assert server.recv(4096).decode().endswith("second")


def test_a_server_that_is_away_and_a_url_that_is_none_are_told_apart() -> None:
    with pytest.raises(Unavailable, match="Connection refused"):
        syslog.send(TWO, Server(f"tcp://127.0.0.1:{free_port()}"))
    with pytest.raises(
        ConfigError, match=r"^syslog: 'http://127\.0\.0\.1' is none of udp://, tcp://, tls://, unix://$"
    ):
        syslog.send(TWO, Server("http://127.0.0.1"))
