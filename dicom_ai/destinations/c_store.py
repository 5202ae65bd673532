"""Results to an archive by C-STORE.

Parameters: host, port, called_ae_title; calling_ae_title (DICOM_AI); tls (false), authorities, certificate and key
(PEM files); connect_s (10), acse_s (10), dimse_s (120) and network_s (120); check_identity (required).
"""

from collections.abc import Sequence
from pathlib import Path
from ssl import SSLContext

from dicom_ai.destinations.delivery import Delivery, DeliveryResult, number, refuse_unknown, text
from dicom_ai.dimse import scu
from dicom_ai.dimse.tls import client_context
from dicom_ai.domain.destination import Destination

WHO = frozenset({"host", "port", "called_ae_title", "calling_ae_title"})
TLS = frozenset({"tls", "authorities", "certificate", "key"})
TIMEOUTS = frozenset({"connect_s", "acse_s", "dimse_s", "network_s"})
PARAMETERS = WHO | TLS | TIMEOUTS | {"check_identity"}


def send(deliveries: Sequence[Delivery], destination: Destination) -> tuple[DeliveryResult, ...]:
    """Send all objects over one association."""
    outcomes = scu.c_store(
        [scu.Outgoing(delivery.path, delivery.sent_before) for delivery in deliveries],
        remote_ae(destination),
        timeouts=timeouts(destination),
    )
    return tuple(
        DeliveryResult(
            delivery.sop_instance_uid, outcome.error, "" if outcome.status is None else f"0x{outcome.status:04X}"
        )
        for delivery, outcome in zip(deliveries, outcomes, strict=True)
    )


def remote_ae(destination: Destination) -> scu.RemoteAe:
    """Return the peer a destination means. Raises ConfigError."""
    refuse_unknown(destination, PARAMETERS)
    return scu.RemoteAe(
        host=text(destination, "host"),
        port=int(number(destination, "port")),
        called_ae_title=text(destination, "called_ae_title"),
        calling_ae_title=text(destination, "calling_ae_title", "DICOM_AI"),
        tls=_tls(destination),
    )


def timeouts(destination: Destination) -> scu.Timeouts:
    """Return how long to wait for a destination. Raises ConfigError."""
    usual = scu.Timeouts()
    return scu.Timeouts(
        connect_s=number(destination, "connect_s", usual.connect_s),
        acse_s=number(destination, "acse_s", usual.acse_s),
        dimse_s=number(destination, "dimse_s", usual.dimse_s),
        network_s=number(destination, "network_s", usual.network_s),
    )


def _tls(destination: Destination) -> SSLContext | None:
    if destination.parameters.get("tls", False) is not True:
        return None
    authorities, certificate, key = (
        Path(name) if (name := text(destination, parameter, "")) else None
        for parameter in ("authorities", "certificate", "key")
    )
    return client_context(authorities=authorities, certificate=certificate, key=key)
