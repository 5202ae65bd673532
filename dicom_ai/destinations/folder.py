"""Results into a folder, one file per object, named after its UID: whole files only, safe on disk when reported.

Parameters: folder.
"""

import filecmp
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from dicom_ai.destinations.delivery import Delivery, DeliveryResult, refuse_unknown, text
from dicom_ai.dimse.datastream import is_uid
from dicom_ai.domain.destination import Destination
from dicom_ai.errors import PeerUnavailable, PermanentRefusal

PARAMETERS = frozenset({"folder"})


def send(deliveries: Sequence[Delivery], destination: Destination) -> tuple[DeliveryResult, ...]:
    """Copy the objects; a file that is there already with the same bytes counts as delivered."""
    refuse_unknown(destination, PARAMETERS)
    folder = Path(text(destination, "folder"))
    return tuple(_copy(delivery, folder) for delivery in deliveries)


def _copy(delivery: Delivery, folder: Path) -> DeliveryResult:
    uid = delivery.sop_instance_uid
    if not is_uid(uid):
        return DeliveryResult(uid, PermanentRefusal("the SOP instance UID cannot name a file"))
    target = folder / f"{uid}.dcm"
    try:
        if target.exists() and not filecmp.cmp(delivery.path, target, shallow=False):
            return DeliveryResult(uid, PermanentRefusal(f"{target} is there with other content"))
        _write(delivery.path, target)
    except OSError as error:
        return DeliveryResult(uid, PeerUnavailable(f"{folder}: {error.strerror}"))
    return DeliveryResult(uid, answer="written")


def _write(source: Path, target: Path) -> None:
    part = target.with_suffix(".part")
    try:
        with source.open("rb") as reader, part.open("wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.flush()
            os.fsync(writer.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
