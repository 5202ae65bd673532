"""TLS for both directions (PS3.15 B.12: TLS 1.2 and up), and a server that a silent peer cannot block."""

import socket
import ssl
from pathlib import Path
from typing import Any, cast

from dicom_ai.dimse.acceptor import ReceivingServer
from dicom_ai.errors import ConfigError

HANDSHAKE_S = 10.0
"""How long a peer may take for its TLS handshake."""


def server_context(certificate: Path, key: Path, *, authorities: Path | None = None) -> ssl.SSLContext:
    """Return the context of the TLS port; with authorities, every peer must show a certificate they signed.

    certificate, key, authorities: PEM files. Raises ConfigError where one cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, certificate=certificate, key=key, authorities=authorities)
    if authorities:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    *, authorities: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """Return the context to reach a destination: its certificate and host name are always checked.

    authorities: PEM file of who may have signed the peer's certificate; None: the system's authorities.
    certificate, key: our own, where the peer wants to see one. Raises ConfigError where a file cannot be used.
    """
    context = ssl.create_default_context() if authorities is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, certificate=certificate, key=key, authorities=authorities)
    return context


def _load(context: ssl.SSLContext, *, certificate: Path | None, key: Path | None, authorities: Path | None) -> None:
    try:
        if certificate:
            context.load_cert_chain(certificate, key)
        if authorities:
            context.load_verify_locations(authorities)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        names = ", ".join(str(path) for path in (certificate, key, authorities) if path)
        raise ConfigError(f"TLS files cannot be used ({names}): {error}") from error


class TlsReceivingServer(ReceivingServer):
    """Shakes hands in the thread of the connection.

    pynetdicom does it where connections are accepted: there one silent peer keeps everybody else out.
    """

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection and leave its handshake to its own thread."""
        connection, address = cast(socket.socket, self.socket).accept()
        context = self.ssl_context
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Shake hands, then serve the association; who cannot, or is too slow, is cut off."""
        try:
            request.settimeout(HANDSHAKE_S)
            request.do_handshake()
        except OSError as error:
            if reason := _why(error):
                self.refused(client_address[0], f"TLS handshake failed: {reason}")
            self.shutdown_request(request)
            return
        super().process_request_thread(request, client_address)


def _why(error: OSError) -> str:
    """Return what was wrong with a handshake; "" for a peer that went away or stayed silent, as port checks do."""
    if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return ""
    reason: str | None = getattr(error, "reason", None)  # only what OpenSSL itself raises has one
    words = reason.replace("_", " ").lower() if reason else "not TLS"
    detail = getattr(error, "verify_message", "")
    return f"{words}: {detail}" if detail else words
