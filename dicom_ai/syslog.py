"""Syslog messages (RFC 5424) over UDP (RFC 5426), TCP (RFC 6587, counted), TLS (RFC 5425) or the local socket."""

import errno
import os
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import IntEnum
from urllib.parse import urlsplit

from dicom_ai.errors import ConfigError, Unavailable

PORTS = {"udp": 514, "tcp": 601, "tls": 6514}
TIMEOUT_S = 10.0
PARTING_S = 2.0
LONGEST_DATAGRAM = 65_000
BOM = "\ufeff"


class Facility(IntEnum):
    """Where a message comes from (RFC 5424, table 1). Audit messages of DICOM are sent as security messages."""

    DAEMON = 3
    AUTHPRIV = 10


class Severity(IntEnum):
    """How much it matters (RFC 5424, table 2)."""

    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5


@dataclass(frozen=True, slots=True)
class Server:
    """A syslog server. url: udp://host, tcp://host, tls://host, each with :port if it is not the usual one, or
    unix:///dev/log. tls: the context of a tls:// server.
    """

    url: str
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message. message_id: its kind, without spaces. at: seconds since 1970."""

    facility: Facility
    severity: Severity
    message_id: str
    text: str
    at: float


def send(messages: Sequence[Message], server: Server) -> None:
    """Send messages, in order, over one connection. Raises Unavailable, or ConfigError for a URL that is none.

    Neither UDP nor TCP says whether a message arrived; what is not reached is noticed where the system notices it.
    """
    url = urlsplit(server.url)
    if url.scheme not in (*PORTS, "unix"):
        raise ConfigError(f"syslog: {server.url!r} is none of udp://, tcp://, tls://, unix://")
    frames = [_frame(message) for message in messages]
    try:
        if url.scheme in ("udp", "unix"):
            _send_datagrams(frames, url.scheme, url.hostname or "", url.port or PORTS["udp"], url.path)
        else:
            _send_stream(frames, server, url.hostname or "", url.port or PORTS[url.scheme])
    except OSError as error:
        raise Unavailable(f"syslog {server.url}: {error.strerror or type(error).__name__}") from error


def _send_datagrams(frames: Sequence[bytes], scheme: str, host: str, port: int, path: str) -> None:
    if scheme == "unix":
        family, address = socket.AF_UNIX, path
    else:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]  # type: ignore[assignment]
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(address)
        for frame in frames:
            connection.send(frame[:LONGEST_DATAGRAM])


def _send_stream(frames: Sequence[bytes], server: Server, host: str, port: int) -> None:
    connection = socket.create_connection((host, port), timeout=TIMEOUT_S)
    if server.url.startswith("tls:"):
        context = server.tls or ssl.create_default_context()
        try:
            connection = context.wrap_socket(connection, server_hostname=host)
        except OSError:
            connection.close()
            raise
    with closing(connection):
        for frame in frames:
            connection.sendall(b"%d " % len(frame) + frame)
        _part(connection)


def _part(connection: socket.socket) -> None:
    """Close after the other side: one that went away, or (TLS 1.3) refuses our certificate, says so only now."""
    connection.settimeout(PARTING_S)
    if isinstance(connection, ssl.SSLSocket):
        with suppress(TimeoutError):  # silence is consent
            if not connection.recv(1):
                raise ConnectionAbortedError(errno.ECONNABORTED, "closed before the end")
        with suppress(TimeoutError, ssl.SSLEOFError):  # it keeps its side open, or closes without a word
            connection.unwrap()
        return
    with suppress(TimeoutError):
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass


def _frame(message: Message) -> bytes:
    """Return a message as RFC 5424 writes it."""
    priority = message.facility * 8 + message.severity
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(message.at)) + f".{int(message.at % 1 * 1000):03d}Z"
    header = f"<{priority}>1 {at} {socket.gethostname()} dicom-ai {os.getpid()} {message.message_id} -"
    return f"{header} {BOM}{message.text}".encode()
