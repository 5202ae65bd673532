"""An object arrived: keep its bytes, then note study, series and time. Only after both may Success be answered.

Order: the file is synchronised and named, its folder synchronised, and the row committed. A crash between leaves a
file without a row: whole, but not acknowledged; the next start indexes it.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from struct import pack
from typing import NamedTuple

import structlog
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID

from dicom_ai.dimse import datastream
from dicom_ai.dimse.scp import Caller, StoreRequest
from dicom_ai.domain.received import ReceivedInstance, Recorded
from dicom_ai.errors import MissingIdentity, NotDicom, RejectedInput, Unavailable
from dicom_ai.routing.own import mark_in
from dicom_ai.storage import associations, holdings, studies
from dicom_ai.storage.database import Database, Session
from dicom_ai.storage.files import FileStore, PartFile, instance_folders, instance_path

META_START = 144
"""Where group 2 goes on after its length: preamble 128, prefix 4, (0002,0000) 12 bytes."""

IMPLEMENTATION_VERSION = "DICOM_AI"

_MAKERS = {
    "Manufacturer": "manufacturer",
    "ManufacturerModelName": "model_name",
    "SoftwareVersions": "software_versions",
    "SeriesDescription": "series_description",
}
"""Keyword -> where an identity has it."""

log = structlog.get_logger()


class _Bytes(NamedTuple):
    sha256: str
    size_bytes: int


class WrongSopClass(MissingIdentity):
    """The data set is of another SOP class, or another instance, than the request says."""


class NotAskedFor(RejectedInput):
    """An archive sent more than the node's C-MOVE named."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a start-up found. parts: unfinished files removed. indexed: whole files that had no row.

    set_aside: files that could not be indexed. missing: rows whose file is gone.
    """

    parts: int = 0
    indexed: int = 0
    set_aside: int = 0
    missing: int = 0


def open_part(files: FileStore, caller: Caller, sop_class_uid: str, sop_instance_uid: str, syntax: str) -> PartFile:
    """Begin the file of an object with preamble and group 2 (PS3.10 7.1); the data set follows as it comes."""
    part = files.new_part()
    part.write_header(_header(caller, sop_class_uid, sop_instance_uid, syntax))
    return part


def run(
    request: StoreRequest, *, files: FileStore, database: Database, listener: str, asks_as: frozenset[str] = frozenset()
) -> Recorded:
    """Make a received object durable and record it; return what became of it.

    listener: names this receiving process across restarts. asks_as: AE titles under which the node asks for reports by
    C-MOVE; what came because of that, and is no object of this product, is refused.
    Raises RejectedInput for an object that cannot be kept, Unavailable when disk or database cannot keep it now;
    nothing of it is left then.
    """
    part = request.part
    if not isinstance(part, PartFile):
        raise TypeError("the part was not opened by receive.open_part")
    try:
        if part.trouble is not None:
            raise part.trouble
        identity = datastream.identify(
            part.path, start=part.header_bytes, transfer_syntax_uid=request.transfer_syntax_uid
        )
        _check(identity, request.sop_class_uid, request.sop_instance_uid)
        received = _received(identity, request.caller, request.transfer_syntax_uid, part, database.clock())
        if request.move_originator and request.move_originator in asks_as:
            received = _asked_for(received)
        with files.lock(received.path):
            return _keep(received, part, files=files, database=database, listener=listener)
    finally:
        part.discard()


def reconcile(files: FileStore, database: Database) -> Reconciliation:
    """Bring files and index together after a stop of any kind; nothing may be received meanwhile.

    No file that could be an image is deleted: what cannot be indexed is set aside. Raises Unavailable where the
    database knows of images and the folder of all of them is gone, as when its volume is not mounted.
    """
    with database.read() as session:
        if not files.present and studies.last_received_at(session) is not None:
            raise Unavailable(
                f"the database knows of images, but {files.root} has no folder received: mount its volume; if the "
                "images are gone for good, make that folder"
            )
    parts = files.remove_parts()
    indexed = set_aside = missing = 0
    for folder in instance_folders():
        found = frozenset(files.kept(folder))
        with database.read() as session:
            known = holdings.paths_below(session, folder)
        outcomes = [_index(path, files=files, database=database) for path in sorted(found - known)]
        indexed += outcomes.count(True)
        set_aside += outcomes.count(False)
        missing += _note_missing(known - found, database)
    return Reconciliation(parts, indexed, set_aside, missing)


def _keep(
    received: ReceivedInstance, part: PartFile, *, files: FileStore, database: Database, listener: str
) -> Recorded:
    was_there = files.keep(part, received.path)
    in_doubt = False
    try:
        with database.write() as session:
            recorded = _record(session, received, files)
            _touch_association(session, received, listener, own=recorded in studies.UNTOUCHING)
            in_doubt = True  # from here on the row may be there although the commit fails
        return recorded
    finally:
        if not was_there and not in_doubt:
            files.withdraw(received.path)


def _record(session: Session, received: ReceivedInstance, files: FileStore) -> Recorded:
    recorded = studies.record_instance(session, received)
    if recorded is Recorded.DUPLICATE:
        own = studies.standing_of_own(received) if studies.is_own(session, received) else ""
        if holdings.mark_found(session, received.path, own=own) and not files.path(received.path).exists():
            raise Unavailable("the image was deleted by retention while it came again")
    return recorded


def _touch_association(session: Session, received: ReceivedInstance, listener: str, *, own: bool) -> None:
    if not associations.is_known(session, received.association_id):
        associations.opened(
            session,
            received.association_id,
            listener=listener,
            calling_ae_title=received.calling_ae_title,
            called_ae_title=received.called_ae_title,
            peer_address=received.peer_address,
        )
    associations.delivered(session, received.association_id, received.study_uid, own=own)


def _check(identity: datastream.Identity, sop_class_uid: str, sop_instance_uid: str) -> None:
    """Raise MissingIdentity unless the object names itself, and as the request does."""
    for name in ("sop_class_uid", "sop_instance_uid", "study_uid", "series_uid"):
        if not datastream.is_uid(getattr(identity, name)):
            raise MissingIdentity(f"{name} is absent or malformed")
    if identity.sop_class_uid != sop_class_uid:
        raise WrongSopClass("the data set is of another SOP class than the request")
    if identity.sop_instance_uid != sop_instance_uid:
        raise WrongSopClass("the data set is another instance than the request")


def _asked_for(received: ReceivedInstance) -> ReceivedInstance:
    """Mark what the node's own C-MOVE brought. Raises NotAskedFor for more than was asked: it must not be routed."""
    if not received.marked_own:
        raise NotAskedFor("not what this node asked for")
    return replace(received, asked_for=True)


def _received(
    identity: datastream.Identity, caller: Caller, syntax: str, part: PartFile | _Bytes, received_at: float
) -> ReceivedInstance:
    return ReceivedInstance(
        study_uid=identity.study_uid,
        series_uid=identity.series_uid,
        sop_instance_uid=identity.sop_instance_uid,
        sop_class_uid=identity.sop_class_uid,
        transfer_syntax_uid=syntax,
        sha256=part.sha256,
        size_bytes=part.size_bytes,
        path=instance_path(identity.study_uid, identity.series_uid, identity.sop_instance_uid, part.sha256),
        received_at=received_at,
        calling_ae_title=caller.calling_ae_title,
        called_ae_title=caller.called_ae_title,
        peer_address=caller.address,
        association_id=caller.id,
        patient_id=identity.patient_id,
        issuer=identity.issuer,
        birth_date=identity.birth_date,
        accession=identity.accession,
        modality=identity.modality,
        study_date=identity.study_date,
        patient_name=identity.patient_name,
        marked_own=bool(mark_in(lambda keyword: _marked(identity, keyword))),
    )


def _marked(identity: datastream.Identity, keyword: str) -> list[str]:
    """Return the values of an element that may name its maker; none for one that is not read while a sender waits."""
    return getattr(identity, _MAKERS[keyword]).split("\\") if keyword in _MAKERS else []


def _index(path: str, *, files: FileStore, database: Database) -> bool:
    """Record a whole file that no row names; return False where it cannot be, and is set aside."""
    try:
        received = _read_back(files.path(path), database.clock())
        if received.path != path:
            raise NotDicom("the bytes are not those the file was named after")
        with database.write() as session:
            _record(session, received, files)
        return True
    except RejectedInput as error:
        log.warning("file set aside", path=files.quarantine(path), reason=str(error))
        return False


def _read_back(path: Path, received_at: float) -> ReceivedInstance:
    try:
        meta = read_file_meta_info(path)
        caller = Caller("", str(meta.SendingApplicationEntityTitle), str(meta.ReceivingApplicationEntityTitle), "")
        syntax, start = str(meta.TransferSyntaxUID), META_START + int(meta.FileMetaInformationGroupLength)
    except (InvalidDicomError, AttributeError, ValueError, TypeError, EOFError, KeyError, NotImplementedError) as error:
        raise NotDicom("the file has no meta information of ours") from error
    identity = datastream.identify(path, start=start, transfer_syntax_uid=syntax)
    _check(identity, identity.sop_class_uid, identity.sop_instance_uid)
    with path.open("rb") as file:
        file.seek(start)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return _received(identity, caller, syntax, _Bytes(digest, path.stat().st_size), received_at)


def _note_missing(paths: Collection[str], database: Database) -> int:
    if not paths:
        return 0
    with database.write() as session:
        return holdings.mark_missing(session, sorted(paths))


def _header(caller: Caller, sop_class_uid: str, sop_instance_uid: str, syntax: str) -> bytes:
    """Return preamble, prefix and group 2; made by hand, for the library takes a quarter of a reception for it."""
    meta = b"".join(
        (
            _element(0x0001, b"OB", b"\0\1"),
            _element(0x0002, b"UI", sop_class_uid.encode("ascii", "replace")),
            _element(0x0003, b"UI", sop_instance_uid.encode("ascii", "replace")),
            _element(0x0010, b"UI", syntax.encode("ascii", "replace")),
            _element(0x0012, b"UI", PYDICOM_IMPLEMENTATION_UID.encode()),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION.encode()),
            _element(0x0017, b"AE", caller.calling_ae_title.encode("ascii", "replace")),
            _element(0x0018, b"AE", caller.called_ae_title.encode("ascii", "replace")),
        )
    )
    return b"\0" * 128 + b"DICM" + _element(0x0000, b"UL", pack("<I", len(meta))) + meta


def _element(number: int, vr: bytes, value: bytes) -> bytes:
    """Return an element of group 2 in explicit VR little endian, its value padded to an even length."""
    if len(value) % 2:
        value += b"\0" if vr in (b"UI", b"OB") else b" "
    if vr == b"OB":
        return pack("<HH2sHI", 2, number, vr, 0, len(value)) + value
    return pack("<HH2sH", 2, number, vr, len(value)) + value
