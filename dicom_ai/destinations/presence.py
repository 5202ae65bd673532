"""Whether a destination has objects: C-FIND of an archive, QIDO-RS of a DICOMweb one, the files of a folder.

To add a kind: write a function as Present and name it in PRESENCE.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dicom_ai.destinations import c_store, qido
from dicom_ai.destinations.delivery import text
from dicom_ai.dimse import find
from dicom_ai.domain.destination import Destination
from dicom_ai.errors import PeerUnavailable


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
    found: set[str] = set()
    for item in objects:
        path = f"studies/{item.study_uid}/series/{item.series_uid}/instances"
        matches = qido.ask(destination, path, {"SOPInstanceUID": item.sop_instance_uid})
        found.update(match["SOPInstanceUID"] for match in matches)
    return frozenset(item.sop_instance_uid for item in objects if item.sop_instance_uid in found)


def by_file(objects: Sequence[Object], destination: Destination) -> frozenset[str]:
    """Look for the files of a folder; one that is away, as when its volume is not mounted, tells nothing."""
    folder = Path(text(destination, "folder"))
    uids = (item.sop_instance_uid for item in objects)
    try:
        folder.stat()
        return frozenset(uid for uid in uids if (folder / f"{uid}.dcm").is_file())
    except OSError as error:
        raise PeerUnavailable(f"{folder}: {error.strerror}") from error


PRESENCE: dict[str, Present] = {"c_store": by_c_find, "stow_rs": by_qido, "folder": by_file}
"""Kind of destination -> how it is asked."""
