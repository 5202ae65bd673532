"""Results to a DICOMweb archive by STOW-RS (PS3.18 10.5): one POST, whose answer names what was stored and what not.

Parameters: url (of the service: .../dicom-web); authorization (the header's value, "Bearer ..."); authorities (PEM
file), certificate and key (PEM files, for servers that want one); timeout_s (120); check_identity (required).
"""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from dicom_ai.destinations.delivery import Delivery, DeliveryResult, number, refuse_unknown, text
from dicom_ai.dimse.scu import DUPLICATE, PROCESSING_FAILURE, SUCCESS, judge
from dicom_ai.dimse.tls import client_context
from dicom_ai.domain.destination import Destination
from dicom_ai.errors import ConfigError, DeliveryUnknown, DicomAiError, PeerUnavailable, PermanentRefusal

PARAMETERS = frozenset({"url", "authorization", "authorities", "certificate", "key", "timeout_s", "check_identity"})
CHUNK_BYTES = 1 << 18
LONGEST_ANSWER = 16 << 20
WADL = "application/vnd.sun.wadl+xml"

REFERENCED_SOP_SEQUENCE, FAILED_SOP_SEQUENCE = "00081199", "00081198"
REFERENCED_SOP_INSTANCE_UID = "00081155"
WARNING_REASON, FAILURE_REASON = "00081196", "00081197"

ANSWERED = frozenset({200, 202, 409})
"""All, some or none stored: the body says which (PS3.18 table 10.5.3-1)."""

LATER = frozenset({401, 403, 404, 407, 408, 425, 429})
"""An administrator or time mends these, and the result must then go without anybody's help."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Answer:
    code: int
    body: bytes


def send(deliveries: Sequence[Delivery], destination: Destination) -> tuple[DeliveryResult, ...]:
    """Post all objects in one request, and judge each by the answer."""
    refuse_unknown(destination, PARAMETERS)
    connection, path = _connection(destination)
    try:
        connection.connect()
    except (OSError, HTTPException) as error:
        unreachable = PeerUnavailable(f"{destination.name}: {type(error).__name__}")
        return tuple(DeliveryResult(delivery.sop_instance_uid, unreachable) for delivery in deliveries)
    try:
        answer = _post(connection, path, [delivery.path for delivery in deliveries], _headers(destination))
    except (OSError, HTTPException) as error:
        lost = DeliveryUnknown(f"{destination.name}: {type(error).__name__}")
        return tuple(DeliveryResult(delivery.sop_instance_uid, lost) for delivery in deliveries)
    finally:
        connection.close()
    return _judged(deliveries, answer, destination.name)


def refuse_wrong(destination: Destination) -> None:
    """Raise ConfigError where the address, or a file of TLS, cannot be used; nobody is called."""
    _connection(destination)


def says_it_stores(destination: Destination) -> str:
    """Return what a service says of itself beforehand (PS3.18 8.9, Retrieve Capabilities), in words.

    A description of capabilities (PS3.18 H) names methods and media types, never SOP classes: which of these are taken
    is only known when one is sent. Raises PeerUnavailable where it does not answer, PermanentRefusal where it lets
    nobody in or says that it stores nothing.
    """
    connection, path = _connection(destination)
    try:
        connection.request("OPTIONS", path, headers={**_headers(destination), "Accept": WADL})
        response = connection.getresponse()
        body, allowed = response.read(LONGEST_ANSWER), response.headers.get("Allow", "")
    except (OSError, HTTPException) as error:
        raise PeerUnavailable(f"{destination.name}: {type(error).__name__}") from error
    finally:
        connection.close()
    if response.status in (401, 403, 407):
        raise PermanentRefusal(f"{destination.name}: HTTP {response.status}: it does not let this node in")
    if response.status >= 500:
        raise PeerUnavailable(f"{destination.name}: HTTP {response.status}")
    if response.status >= 400 or not (allowed or body):
        return f"it answers, and does not describe what it offers (HTTP {response.status})"
    if not _offers_post(body, allowed):
        raise PermanentRefusal(f"{destination.name}: it says that studies cannot be stored there")
    return "it says that studies can be stored there"


def _offers_post(body: bytes, allowed: str) -> bool:
    if "POST" in (method.strip().upper() for method in allowed.split(",")):
        return True
    return b"StoreInstances" in body or b'"POST"' in body or b"'POST'" in body


def _connection(destination: Destination) -> tuple[HTTPConnection, str]:
    url = urlsplit(text(destination, "url"))
    timeout_s = number(destination, "timeout_s", 120)
    path = f"{url.path.rstrip('/')}/studies"
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(f"destination {destination.name}: url is neither http nor https")
    if url.scheme == "http":
        return HTTPConnection(url.hostname, url.port, timeout=timeout_s), path
    authorities, certificate, key = (
        Path(name) if (name := text(destination, parameter, "")) else None
        for parameter in ("authorities", "certificate", "key")
    )
    context = client_context(authorities=authorities, certificate=certificate, key=key)
    return HTTPSConnection(url.hostname, url.port, timeout=timeout_s, context=context), path


def _headers(destination: Destination) -> dict[str, str]:
    headers = {"Accept": "application/dicom+json"}
    if authorization := text(destination, "authorization", ""):
        headers["Authorization"] = authorization
    return headers


def _post(connection: HTTPConnection, path: str, files: Sequence[Path], headers: Mapping[str, str]) -> _Answer:
    """Stream files as multipart/related; neither they nor the body are ever whole in memory."""
    boundary = uuid.uuid4().hex
    opening = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    closing = f"--{boundary}--\r\n".encode()
    length = sum(len(opening) + file.stat().st_size + 2 for file in files) + len(closing)
    connection.putrequest("POST", path)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.putheader("Content-Type", f'multipart/related; type="application/dicom"; boundary={boundary}')
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    try:
        for piece in _body(files, opening, closing):
            connection.send(piece)
    except (BrokenPipeError, ConnectionResetError):
        log.info("the server stopped reading; it may have answered before")
    response = connection.getresponse()
    return _Answer(response.status, response.read(LONGEST_ANSWER))


def _body(files: Sequence[Path], opening: bytes, closing: bytes) -> Iterator[bytes]:
    for path in files:
        yield opening
        with path.open("rb") as file:
            while piece := file.read(CHUNK_BYTES):
                yield piece
        yield b"\r\n"
    yield closing


def _judged(deliveries: Sequence[Delivery], answer: _Answer, name: str) -> tuple[DeliveryResult, ...]:
    word = f"HTTP {answer.code}"
    if answer.code not in ANSWERED:
        error = _refused(answer.code, name)
        return tuple(DeliveryResult(delivery.sop_instance_uid, error, word) for delivery in deliveries)
    if answer.code == 200 and not answer.body.strip():
        # Not what the standard asks for, but 200 means that all are stored.
        return tuple(DeliveryResult(delivery.sop_instance_uid, answer=word) for delivery in deliveries)
    statuses = _statuses(answer.body)
    return tuple(_one(delivery, statuses, word, name) for delivery in deliveries)


def _refused(code: int, name: str) -> DicomAiError:
    if code >= 500 or code in LATER or 300 <= code < 400:
        return PeerUnavailable(f"{name}: HTTP {code}")
    return PermanentRefusal(f"{name}: HTTP {code}")


def _one(delivery: Delivery, statuses: Mapping[str, int], word: str, name: str) -> DeliveryResult:
    uid = delivery.sop_instance_uid
    if uid not in statuses:
        return DeliveryResult(uid, DeliveryUnknown(f"{name}: the answer does not name the object"), word)
    status = statuses[uid]
    if status not in (SUCCESS, DUPLICATE):
        log.warning("STOW-RS answered", destination=name, sop_instance_uid=uid, status=f"0x{status:04X}")
    error = judge(status, called=name, sent_before=delivery.sent_before)
    return DeliveryResult(uid, error, f"{word}, 0x{status:04X}")


def _statuses(body: bytes) -> dict[str, int]:
    """Return SOP instance UID -> status, from the DICOM JSON of the answer; empty where it cannot be read."""
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    data_sets = content if isinstance(content, list) else [content]
    statuses: dict[str, int] = {}
    for data_set in data_sets:
        if not isinstance(data_set, dict):
            continue
        for item in _items(data_set, REFERENCED_SOP_SEQUENCE):
            statuses[_value(item, REFERENCED_SOP_INSTANCE_UID, "")] = _number(item, WARNING_REASON, SUCCESS)
        for item in _items(data_set, FAILED_SOP_SEQUENCE):
            statuses[_value(item, REFERENCED_SOP_INSTANCE_UID, "")] = _number(item, FAILURE_REASON, PROCESSING_FAILURE)
    return statuses


def _items(data_set: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    element = data_set.get(tag)
    values = element.get("Value", []) if isinstance(element, dict) else []
    return [item for item in values if isinstance(item, dict)]


def _value(item: Mapping[str, Any], tag: str, default: Any) -> Any:
    element = item.get(tag)
    values = element.get("Value", []) if isinstance(element, dict) else []
    return values[0] if values else default


def _number(item: Mapping[str, Any], tag: str, default: int) -> int:
    value = _value(item, tag, default)
    return value if isinstance(value, int) else PROCESSING_FAILURE
