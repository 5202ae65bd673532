"""The way in, for `dicom-ai doctor`: does the listener answer here, and which peers have reached it?

No DICOM service makes an archive call: its own C-ECHO comes when somebody presses the button there. So doctor calls the
running listener as an archive would, over each of its ports, and says who has called it from outside, and who was
rejected. `--wait` shows it as it happens.
"""

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dicom_ai.cli._found import Found
from dicom_ai.errors import DicomAiError, PeerUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_ai.app import App
    from dicom_ai.storage.callers import Contact

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}
"""Address of the settings -> where this machine reaches it."""

CONNECT_S = 5.0
RENEW_DAYS = 30
DAY_S = 86_400.0
MOST_STRANGERS = 5


def listener(app: "App") -> Iterator[Found]:
    """Send a C-ECHO to every port of the listener on this machine, under the node's own AE title."""
    node, tls = app.settings.node, app.settings.tls
    yield _answer(app, node.port, None)
    if tls.certificate and tls.key:
        yield from _tls(app, tls.certificate, tls.key)


def peers(app: "App") -> Iterator[Found]:
    """Say of every peer when it called, and who was rejected within the last day."""
    from dicom_ai.storage import callers

    with app.database.read() as session:
        known = callers.contacts(session)
    titles = app.neighbours.now.neighbours.ae_titles
    for title in titles:
        yield _peer(title, [one for one in known if one.calling_ae_title == title])
    since = time.time() - DAY_S
    strangers = [one for one in known if one.calling_ae_title not in titles and (one.rejected_at or 0) > since]
    for one in sorted(strangers, key=lambda one: one.rejected_at or 0)[-MOST_STRANGERS:]:
        yield Found("stranger", True, f"{named(one)} was rejected at {_when(one.rejected_at)}: {one.reason}")


def named(one: "Contact") -> str:
    """Return a caller as people name it."""
    return f"{one.calling_ae_title or 'somebody'} at {one.address or 'several addresses'}"


def _peer(title: str, contacts: Sequence["Contact"]) -> Found:
    let_in = max((one for one in contacts if one.called_at), key=lambda one: one.called_at or 0, default=None)
    refused = max((one for one in contacts if one.rejected_at), key=lambda one: one.rejected_at or 0, default=None)
    if refused and (let_in is None or (refused.rejected_at or 0) > (let_in.called_at or 0)):
        says = f"it called from {refused.address} at {_when(refused.rejected_at)} and was rejected: {refused.reason}"
        return Found(f"peer {title}", False, says)
    if let_in is None:
        return Found(f"peer {title}", True, "it has not called yet: send a C-ECHO from there; doctor --wait shows it")
    echo = max((one.verified_at or 0 for one in contacts), default=0)
    last_echo = f"its last C-ECHO came at {_when(echo)}" if echo else "it has sent no C-ECHO"
    return Found(f"peer {title}", True, f"it called from {let_in.address} at {_when(let_in.called_at)}; {last_echo}")


def _answer(app: "App", port: int, context: ssl.SSLContext | None) -> Found:
    """Return whether the node answers C-ECHO on a port of this machine."""
    from dicom_ai.dimse import scu

    node, kind = app.settings.node, "TLS port" if context else "port"
    if not _is_open(_host(app), port):
        return Found(
            "listener", True, f"nothing listens on {kind} {port} here: the node is not running on this machine"
        )
    us = scu.RemoteAe(_host(app), port, node.ae_title, node.ae_title, context)
    waits = scu.Timeouts(CONNECT_S, CONNECT_S, CONNECT_S, CONNECT_S)
    try:
        round_trip_s = scu.c_echo(us, timeouts=waits)
    except DicomAiError as error:
        return Found("listener", False, f"what listens on {kind} {port} does not answer as {node.ae_title}: {error}")
    return Found("listener", True, f"{node.ae_title} answers C-ECHO on {kind} {port} in {round_trip_s * 1000:.0f} ms")


def _tls(app: "App", certificate: "Path", key: "Path") -> Iterator[Found]:
    """Yield what a peer sees of the certificate, and whether it is answered."""
    from dicom_ai.dimse.tls import client_context

    port = app.settings.tls.port
    context = client_context(authorities=certificate, certificate=certificate, key=key)
    context.check_hostname = False  # by which of its names a peer calls the node is not known here
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate vouches for itself: is it the one shown?
    if _is_open(_host(app), port):
        yield _shown(app, certificate, context)
    answer = _answer(app, port, context)
    authorities = app.settings.tls.authorities
    if not answer.ok and authorities:
        says = f"TLS port {port} wants a certificate signed by {authorities}, and does not take the node's own"
        answer = Found("listener", True, says)
    yield answer


def _shown(app: "App", certificate: "Path", context: ssl.SSLContext) -> Found:
    """Return whose certificate the TLS port shows, and until when it is valid."""
    host, port = _host(app), app.settings.tls.port
    try:
        with (
            socket.create_connection((host, port), timeout=CONNECT_S) as connection,
            context.wrap_socket(connection, server_hostname=host) as secured,
        ):
            shown = secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        says = f"TLS port {port} shows another certificate than {certificate}, or a bad one: {error.verify_message}"
        return Found("listener", False, f"{says}; where it was renewed, start the node again")
    except OSError as error:
        raise PeerUnavailable(f"TLS port {port}: {error.strerror or type(error).__name__}") from error
    names = ", ".join(str(entry[1]) for entry in shown.get("subjectAltName", ())) or "no name"
    ends = ssl.cert_time_to_seconds(str(shown["notAfter"]))
    left_days = (ends - time.time()) / DAY_S
    says = f"TLS port {port} shows a certificate for {names}, valid until {_when(ends)}"
    return Found("listener", left_days > RENEW_DAYS, says if left_days > RENEW_DAYS else f"{says}: renew it")


def _host(app: "App") -> str:
    return EVERYWHERE.get(app.settings.node.address, app.settings.node.address)


def _is_open(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except OSError:
        return False
    return True


def _when(at: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at or 0))
