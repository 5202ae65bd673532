"""Whether a destination has objects: C-FIND of an archive, QIDO-RS of a DICOMweb one, the files of a folder.

To add a kind: write a function as Present and name it in PRESENCE.
"""

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dicom_ai.destinations import c_store
from dicom_ai.destinations.delivery import number, text
from dicom_ai.dimse import find
from dicom_ai.dimse.tls import client_context
from dicom_ai.domain.destination import Destination
from dicom_ai.errors import PeerUnavailable, PermanentRefusal

LONGEST_ANSWER = 1 << 20


@dataclass(frozen=True, slots=True)
class Object:
    """An object by its UIDs; archives are asked from the study downwards (PS3.4 C.4.1.2.1)."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str


class Present(Protocol):
    """A way to ask."""

    def __call__(self, objects: Sequence[Object], destination: Destination) -> frozenset[str]:
        """Return the SOP instance UIDs of those that are there.

        Raises PermanentRefusal where the destination cannot be asked, PeerUnavailable where it does not answer now.
        """


def by_c_find(objects: Sequence[Object], destination: Destination) -> frozenset[str]:
    """Ask an archive by C-FIND at the level of images, over one association."""
    questions = [
        find.Question(
            find.Level.IMAGE,
            {
                "StudyInstanceUID": item.study_uid,
                "SeriesInstanceUID": item.series_uid,
                "SOPInstanceUID": item.sop_instance_uid,
            },
        )
        for item in objects
    ]
    answers = find.ask(c_store.remote_ae(destination), questions, timeouts=c_store.timeouts(destination))
    # An archive that ignores a key answers with more than was asked for: only the very UID counts.
    return frozenset(
        item.sop_instance_uid
        for item, matches in zip(objects, answers, strict=True)
        if any(match["SOPInstanceUID"] == item.sop_instance_uid for match in matches)
    )


def by_qido(objects: Sequence[Object], destination: Destination) -> frozenset[str]:
    """Ask a DICOMweb archive by QIDO-RS (PS3.18 10.6), one request each."""
    return frozenset(item.sop_instance_uid for item in objects if _qido(item, destination))


def by_file(objects: Sequence[Object], destination: Destination) -> frozenset[str]:
    """Look for the files of a folder."""
    folder = Path(text(destination, "folder"))
    return frozenset(item.sop_instance_uid for item in objects if (folder / f"{item.sop_instance_uid}.dcm").is_file())


PRESENCE: dict[str, Present] = {"c_store": by_c_find, "stow_rs": by_qido, "folder": by_file}
"""Kind of destination -> how it is asked."""


def _qido(item: Object, destination: Destination) -> bool:
    base = text(destination, "url").rstrip("/")
    key = urllib.parse.urlencode({"SOPInstanceUID": item.sop_instance_uid})
    url = f"{base}/studies/{item.study_uid}/series/{item.series_uid}/instances?{key}"
    headers = {"Accept": "application/dicom+json"}
    if authorization := text(destination, "authorization", ""):
        headers["Authorization"] = authorization
    request = urllib.request.Request(url, headers=headers)
    try:
        answer = urllib.request.urlopen(
            request, timeout=number(destination, "timeout_s", 120), context=_tls(destination)
        )
        with answer:
            content = json.loads(answer.read(LONGEST_ANSWER) or b"[]")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:  # the study or series is not there
            return False
        kind = PermanentRefusal if error.code in (400, 405, 406, 501) else PeerUnavailable
        raise kind(f"{destination.name}: QIDO-RS was answered with HTTP {error.code}") from error
    except (OSError, ValueError) as error:
        raise PeerUnavailable(f"{destination.name}: {type(error).__name__}") from error
    found = content if isinstance(content, list) else []
    return any(_uid(entry) == item.sop_instance_uid for entry in found)


def _uid(entry: object) -> str:
    element = entry.get("00080018") if isinstance(entry, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]) if isinstance(values, list) and values else ""


def _tls(destination: Destination) -> ssl.SSLContext | None:
    if not text(destination, "url").startswith("https:"):
        return None
    authorities, certificate, key = (
        Path(name) if (name := text(destination, parameter, "")) else None
        for parameter in ("authorities", "certificate", "key")
    )
    return client_context(authorities=authorities, certificate=certificate, key=key)
