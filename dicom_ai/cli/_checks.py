"""What `dicom-ai doctor` looks at. To add a check: write a function here that yields findings; name it in CHECKS."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

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
from dicom_ai.errors import ConfigError, DicomAiError, PeerUnavailable, Unavailable

if TYPE_CHECKING:
    from dicom_ai.app import App
    from dicom_ai.domain.destination import Destination

_SEG = seg_slot("model", "series")
_LABELMAP = seg_slot("model", "series", Output.LABELMAP)
_SOFT, _XRAY = (seg_slot("model", "series", form) for form in (Output.SOFT_SEG, Output.XRAY_SEG))
_NOTE = note_slot("")

_FORMS: dict[Output, tuple[str, str | None]] = {
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
CLOCK_SLACK_S = 60
YEAR_2026 = 1_767_225_600
"""The first second of 2026, before which this release did not exist."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found. ok: False where something does not work; True with a note where a person should know more."""

    check: str
    ok: bool
    says: str


def settings(app: "App") -> Iterator[Found]:
    """Look for what the settings lack."""
    from dicom_ai.app import refuse_loops

    if not app.settings.peers:
        yield Found("settings", False, "no [[peers]]: every association is rejected")
    if not app.destinations:
        yield Found("settings", False, "no [[destinations]]: results go nowhere")
    try:
        refuse_loops(app.settings)
    except ConfigError as error:
        yield Found("settings", False, str(error))
    yield Found("settings", True, f"{len(app.settings.peers)} peers, {len(app.destinations)} destinations")


def database(app: "App") -> Iterator[Found]:
    """Look at the revision of the database, and whether its tables are those of this release."""
    from dicom_ai.storage import schema

    schema.require_newest(app.database)
    differences = schema.drift(app.database)
    if differences:
        yield Found("database", False, f"the tables differ from this release: {differences[0]}")
    kind = "SQLite" if app.database.is_sqlite else "PostgreSQL"
    yield Found("database", not differences, f"{kind}, revision {schema.newest()}")


def clock(app: "App") -> Iterator[Found]:
    """Look whether the clock can be right."""
    from dicom_ai.storage import studies

    at = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
    if at < YEAR_2026:
        yield Found("clock", False, f"it says {shown}, before this release was made")
        return
    with app.database.read() as session:
        last = studies.last_received_at(session)
    if last is not None and last > at + CLOCK_SLACK_S:
        yield Found("clock", False, f"it says {shown}, {last - at:.0f} s before the last image came: it was set back")
        return
    yield Found("clock", True, shown)


def disk(app: "App") -> Iterator[Found]:
    """Look whether the data folder can be written and how full its disk is."""
    from dicom_ai.storage.disk import disk_of

    root = app.files.root
    if not os.access(root, os.W_OK):
        yield Found("disk", False, f"{root} cannot be written")
    found = disk_of(root)
    warning = found.warning(reserve_bytes=app.files.reserve_bytes)
    yield Found("disk", not warning, warning or f"{found.free / 1e9:.1f} GB of {found.total / 1e9:.1f} GB are free")


def models(app: "App") -> Iterator[Found]:
    """Load every model, and say what it really runs on."""
    from dicom_ai.inference.registry import ModelStore

    wanted = app.settings.models
    store = ModelStore(app.models_folder, device=wanted.device, runtime=wanted.runtime, threads=wanted.threads)
    if not store.names():
        yield Found("model", False, f"no models in {app.models_folder}")
    for name in store.names():
        report = store.check(name)
        says = f"{name} runs on {report.device}" if report.ok else f"{name} cannot serve: {'; '.join(report.problems)}"
        yield Found("model", report.ok, says)


def broker(app: "App") -> Iterator[Found]:
    """Look whether the broker answers."""
    from dicom_ai.worker.celery_app import MEMORY, reach

    url = app.settings.workers.broker_url
    if url == MEMORY:
        yield Found("broker", True, "none needed: one process")
        return
    reach(url)
    yield Found("broker", True, "it answers")


def destinations(app: "App") -> Iterator[Found]:
    """Call every destination, and say what it will store."""
    for destination in app.destinations.values():
        try:
            yield from _REACH[destination.kind](destination)
        except DicomAiError as error:
            yield Found(f"destination {destination.name}", False, str(error))


def _c_store(destination: "Destination") -> Iterator[Found]:
    from dicom_ai.destinations.c_store import remote_ae, timeouts
    from dicom_ai.dimse import offer, scu

    name = f"destination {destination.name}"
    peer, wait = remote_ae(destination), timeouts(destination)
    round_trip_s = scu.c_echo(peer, timeouts=wait)
    yield Found(name, True, f"{peer.called_ae_title} answers C-ECHO in {round_trip_s * 1000:.0f} ms")
    wanted = dict.fromkeys((*_CLASSES.values(), STORAGE_COMMITMENT, C_FIND))
    takes = offer.accepted(list(wanted), peer, timeouts=wait)
    for output in sorted(destination.outputs, key=list(_FORMS).index):
        yield Found(name, *_stored(output, takes))
    yield Found(name, True, _confirmation(takes))


def _stored(output: Output, takes: frozenset[str]) -> tuple[bool, str]:
    """Say in which form a destination that takes some SOP classes will store what it has chosen."""
    what, slot = _FORMS[output]
    names: list[str] = []
    while slot is not None:
        names.append(_NAMES[slot])
        if _CLASSES[slot] in takes:
            in_place = f" as {names[-1]}: it does not accept {', '.join(names[:-1])}"
            return True, f"it will store {what}{in_place if len(names) > 1 else f' ({names[0]})'}"
        slot = next_best(slot)
    return False, f"it will refuse {what}: it does not accept {', '.join(names)}"


def _confirmation(takes: frozenset[str]) -> str:
    if STORAGE_COMMITMENT in takes:
        return "it offers storage commitment: results will be confirmed by its reports"
    if C_FIND in takes:
        return "it offers no storage commitment: results will be confirmed by C-FIND"
    return "it offers neither storage commitment nor C-FIND: results will stay unconfirmed"


def _stow_rs(destination: "Destination") -> Iterator[Found]:
    url = urlsplit(str(destination.parameters.get("url", "")))
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((url.hostname or "", port), timeout=10).close()
    except OSError as error:
        raise PeerUnavailable(f"{url.hostname}:{port}: {error.strerror or error}") from error
    says = f"{url.hostname}:{port} takes connections; what it stores is known when the first result is sent"
    yield Found(f"destination {destination.name}", True, says)


def _folder(destination: "Destination") -> Iterator[Found]:
    folder = Path(str(destination.parameters.get("folder", "")))
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise Unavailable(f"{folder} is no folder that can be written")
    yield Found(f"destination {destination.name}", True, f"{folder} can be written")


_REACH: dict[str, Callable[["Destination"], Iterator[Found]]] = {
    "c_store": _c_store,
    "stow_rs": _stow_rs,
    "folder": _folder,
}

CHECKS: dict[str, Callable[["App"], Iterator[Found]]] = {
    "settings": settings,
    "database": database,
    "clock": clock,
    "disk": disk,
    "model": models,
    "broker": broker,
    "destination": destinations,
}
"""Name -> check, in the order in which they are made."""


def examine(app: "App") -> Iterator[Found]:
    """Make every check; one that cannot be made is something wrong, and does not stop the others."""
    for name, check in CHECKS.items():
        try:
            yield from check(app)
        except DicomAiError as error:
            yield Found(name, False, str(error))
