"""Questions to a DICOMweb archive by QIDO-RS (PS3.18 10.6)."""

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydicom.datadict import tag_for_keyword

from dicom_ai.destinations.delivery import number, text
from dicom_ai.dimse.tls import client_context
from dicom_ai.domain.destination import Destination
from dicom_ai.errors import PeerUnavailable, PermanentRefusal

LONGEST_ANSWER = 16 << 20
NOT_OFFERED = frozenset({400, 403, 405, 406, 501})
"""Answers of a service that will not say, however often it is asked; 404 means that nothing matches."""


def ask(destination: Destination, path: str, keys: Mapping[str, str]) -> list[Mapping[str, str]]:
    """Return what matches under a path ("studies", "studies/1.2/series"): keyword -> value, "" where there is none.

    keys: keyword -> value to match; "" is only asked to be returned.
    Raises PeerUnavailable where the archive does not answer now, PermanentRefusal where it offers no such query.
    """
    query = [(keyword, value) for keyword, value in keys.items() if value]
    query += [("includefield", keyword) for keyword, value in keys.items() if not value]
    url = f"{text(destination, 'url').rstrip('/')}/{path}?{urllib.parse.urlencode(query)}"
    found = _get(url, destination)
    entries = found if isinstance(found, list) else []
    return [{keyword: _value(entry, keyword) for keyword in keys} for entry in entries if isinstance(entry, dict)]


def _get(url: str, destination: Destination) -> Any:
    request = urllib.request.Request(url, headers=headers(destination, accept="application/dicom+json"))
    timeout_s = number(destination, "timeout_s", 120)
    try:
        with urllib.request.urlopen(request, timeout=timeout_s, context=tls(destination)) as answer:
            return json.loads(answer.read(LONGEST_ANSWER) or b"[]")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return []
        kind = PermanentRefusal if error.code in NOT_OFFERED else PeerUnavailable
        raise kind(f"{destination.name}: QIDO-RS was answered with HTTP {error.code}") from error
    except (OSError, ValueError) as error:
        raise PeerUnavailable(f"{destination.name}: QIDO-RS: {type(error).__name__}") from error


def _value(entry: Mapping[str, Any], keyword: str) -> str:
    """Return the first value of an element of DICOM JSON as text (PS3.18 F.2)."""
    element = entry.get(f"{tag_for_keyword(keyword) or 0:08X}")
    values = element.get("Value") if isinstance(element, dict) else None
    value = values[0] if isinstance(values, list) and values else ""
    if isinstance(value, dict):  # a person's name
        value = value.get("Alphabetic", "")
    return str(value).strip()


def headers(destination: Destination, *, accept: str) -> dict[str, str]:
    """Return what every request to a destination carries."""
    authorization = text(destination, "authorization", "")
    return {"Accept": accept, **({"Authorization": authorization} if authorization else {})}


def tls(destination: Destination) -> ssl.SSLContext | None:
    """Return how a destination is called by HTTPS; None by HTTP. Raises ConfigError."""
    if not text(destination, "url").startswith("https:"):
        return None
    authorities, certificate, key = (
        Path(name) if (name := text(destination, parameter, "")) else None
        for parameter in ("authorities", "certificate", "key")
    )
    return client_context(authorities=authorities, certificate=certificate, key=key)
