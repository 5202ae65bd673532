"""Trying a destination before a result depends on it: does it answer, what does it take, what does it say of an object.

Nothing of a patient is sent. To add a kind of destination: name its functions in the tables at the end.
"""

import os
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from dicom_ai.destinations import DESTINATIONS, stow_rs
from dicom_ai.destinations.c_store import TIMEOUTS, remote_ae, timeouts
from dicom_ai.destinations.delivery import Delivery, text
from dicom_ai.destinations.presence import PRESENCE, Object
from dicom_ai.dicom.trial_object import PATIENT_ID, trial_object
from dicom_ai.dimse import offer, scu
from dicom_ai.domain.destination import Destination
from dicom_ai.domain.output import (
    PDF_SLOT,
    PICTURE_SLOT,
    SR_FALLBACK_SLOT,
    SR_SLOT,
    Output,
    next_best,
    note_slot,
    seg_slot,
)
from dicom_ai.errors import DicomAiError, Unavailable

_SEG = seg_slot("model", "series")
_LABELMAP = seg_slot("model", "series", Output.LABELMAP)
_SOFT, _XRAY = (seg_slot("model", "series", form) for form in (Output.SOFT_SEG, Output.XRAY_SEG))
_NOTE = note_slot("")

_FORMS: Mapping[Output, tuple[str, str | None]] = {
    Output.SEG: ("masks", _SEG),
    Output.LABELMAP: ("masks", _LABELMAP),
    Output.SOFT_SEG: ("soft masks", _SOFT),
    Output.XRAY_SEG: ("masks of radiographs", _XRAY),
    Output.SR: ("reports", SR_SLOT),
    Output.PDF: ("reports on one page", PDF_SLOT),
    Output.PICTURE: ("pictures of reports", PICTURE_SLOT),
    Output.REJECTION_NOTE: ("rejection notes", _NOTE),
}
"""Output -> what it is called, and the slot whose next best forms are looked for."""

_CLASSES = {
    **dict.fromkeys((_SEG, _SOFT, _XRAY), "1.2.840.10008.5.1.4.1.1.66.4"),
    _LABELMAP: "1.2.840.10008.5.1.4.1.1.66.7",
    SR_SLOT: "1.2.840.10008.5.1.4.1.1.88.34",
    SR_FALLBACK_SLOT: "1.2.840.10008.5.1.4.1.1.88.33",
    PDF_SLOT: "1.2.840.10008.5.1.4.1.1.104.1",
    PICTURE_SLOT: "1.2.840.10008.5.1.4.1.1.7",
    _NOTE: "1.2.840.10008.5.1.4.1.1.88.59",
}
_NAMES = {
    **dict.fromkeys((_SEG, _SOFT, _XRAY), "Segmentation"),
    _LABELMAP: "Label Map Segmentation",
    SR_SLOT: "Comprehensive 3D SR",
    SR_FALLBACK_SLOT: "Comprehensive SR",
    PDF_SLOT: "Encapsulated PDF",
    PICTURE_SLOT: "Secondary Capture",
    _NOTE: "Key Object Selection",
}
STORAGE_COMMITMENT, C_FIND = "1.2.840.10008.1.20.1", "1.2.840.10008.5.1.4.1.2.2.1"

LONGEST_WAIT_S = 10.0
"""A person waits no longer for each answer of a destination, whatever its own timeouts are."""

_WAITS = TIMEOUTS | {"timeout_s"}


class TrialKind(StrEnum):
    """What is tried."""

    ANSWER = "answer"
    ACCEPTS = "accepts"
    STORE = "store"


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence of what came of a trial. ok: False where something does not work. output: the form it is about."""

    ok: bool
    says: str
    output: str = ""


def tried(kind: TrialKind, destination: Destination) -> tuple[Said, ...]:
    """Return what came of a trial; a destination that does not answer is an answer too."""
    try:
        return tuple(_TRIALS[kind](_hurried(destination)))
    except DicomAiError as error:
        return (Said(False, str(error)),)


def forms_of(output: str) -> tuple[str, ...]:
    """Return the SOP classes in which a form of results is offered, the best first, by name."""
    slot = _FORMS[Output(output)][1]
    names = []
    while slot is not None:
        names.append(_NAMES[slot])
        slot = next_best(slot)
    return tuple(names)


def answer(destination: Destination) -> Iterator[Said]:
    """Say whether a destination answers. Raises DicomAiError where it does not."""
    yield from _ANSWER[destination.kind](destination)


def accepts(destination: Destination, outputs: Collection[Output]) -> Iterator[Said]:
    """Say in which form a destination would store some outputs. Raises DicomAiError where it cannot be asked."""
    if destination.kind != "c_store":
        yield Said(True, _UNTOLD[destination.kind])
        return
    wanted = dict.fromkeys((*_CLASSES.values(), STORAGE_COMMITMENT, C_FIND))
    takes = offer.accepted(list(wanted), remote_ae(destination), timeouts=timeouts(destination))
    for output in sorted(outputs, key=list(_FORMS).index):
        yield _stored(output, takes)
    yield Said(True, _confirmation(takes))


def store(destination: Destination) -> Iterator[Said]:
    """Send a test object that is no patient's, and say what the destination made of it."""
    sender = text(destination, "calling_ae_title", "DICOM_AI")
    dataset = trial_object(at=datetime.now().astimezone(), sender=sender)
    uids = Object(str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID))
    with tempfile.TemporaryDirectory(prefix="dicom-ai-") as folder:
        path = Path(folder) / "test.dcm"
        dataset.save_as(path, enforce_file_format=True)
        begin = time.monotonic()
        delivery = Delivery(path, str(dataset.SOPClassUID), uids.sop_instance_uid)
        (result,) = DESTINATIONS[destination.kind]([delivery], destination)
        took_ms = (time.monotonic() - begin) * 1000
    if result.error is not None:
        yield Said(False, f"it did not take the test object: {result.error}")
        return
    yield Said(True, f"it took the test object in {took_ms:.0f} ms and answered {result.answer}")
    yield _found_there(uids, destination)
    yield Said(True, f"delete it there: patient ID {PATIENT_ID}, study {uids.study_uid}")


def _found_there(uids: Object, destination: Destination) -> Said:
    try:
        there = PRESENCE[destination.kind]([uids], destination)
    except DicomAiError as error:
        return Said(True, f"it cannot be asked whether it has the object: {error}")
    found = uids.sop_instance_uid in there
    return Said(True, "asked, it has the object" if found else "asked, it does not show the object yet")


def _c_echo(destination: Destination) -> Iterator[Said]:
    peer = remote_ae(destination)
    round_trip_s = scu.c_echo(peer, timeouts=timeouts(destination))
    yield Said(True, f"{peer.called_ae_title} answers C-ECHO in {round_trip_s * 1000:.0f} ms")


def _stored(output: Output, takes: frozenset[str]) -> Said:
    """Say in which form a destination that takes some SOP classes will store an output."""
    what, slot = _FORMS[output]
    names: list[str] = []
    while slot is not None:
        names.append(_NAMES[slot])
        if _CLASSES[slot] in takes:
            in_place = f" as {names[-1]}: it does not accept {', '.join(names[:-1])}"
            return Said(True, f"it will store {what}{in_place if len(names) > 1 else f' ({names[0]})'}", output)
        slot = next_best(slot)
    return Said(False, f"it will refuse {what}: it does not accept {', '.join(names)}", output)


def _confirmation(takes: frozenset[str]) -> str:
    if STORAGE_COMMITMENT in takes:
        return "it offers storage commitment: results will be confirmed by its reports"
    if C_FIND in takes:
        return "it offers no storage commitment: results will be confirmed by C-FIND"
    return "it offers neither storage commitment nor C-FIND: results will stay unconfirmed"


def _connects(destination: Destination) -> Iterator[Said]:
    yield Said(True, stow_rs.says_it_stores(destination))


def _is_writable(destination: Destination) -> Iterator[Said]:
    folder = Path(str(destination.parameters.get("folder", "")))
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise Unavailable(f"{folder} is no folder that can be written")
    yield Said(True, f"{folder} can be written")


def _hurried(destination: Destination) -> Destination:
    usual = {key: LONGEST_WAIT_S for key in (TIMEOUTS if destination.kind == "c_store" else ())}
    if destination.kind == "stow_rs":
        usual["timeout_s"] = LONGEST_WAIT_S
    waits = {
        key: min(float(value), LONGEST_WAIT_S)
        for key, value in destination.parameters.items()
        if key in _WAITS and isinstance(value, int | float)
    }
    return replace(destination, parameters={**destination.parameters, **usual, **waits})


_ANSWER: Mapping[str, Callable[[Destination], Iterator[Said]]] = {
    "c_store": _c_echo,
    "stow_rs": _connects,
    "folder": _is_writable,
}
_UNTOLD = {
    "stow_rs": "DICOMweb has no way to tell beforehand which kinds of object it stores: send the test object; what the "
    "first results are refused goes in its next best form",
    "folder": "a folder takes every form",
}
_TRIALS: Mapping[TrialKind, Callable[[Destination], Iterator[Said]]] = {
    TrialKind.ANSWER: answer,
    TrialKind.ACCEPTS: lambda destination: accepts(destination, list(Output)),
    TrialKind.STORE: store,
}
