"""The sending side of the wire: C-STORE, C-ECHO, and the request for storage commitment.

A response that does not come means that nobody knows whether the object is stored, never that it is, nor that it is
not: pynetdicom gives an empty status then, and can lose a response itself. The object must be sent again.
"""

import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import structlog
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)
from pynetdicom.transport import AddressInformation

from dicom_ai.dimse import contexts, library
from dicom_ai.dimse.transport import ClosingSocket
from dicom_ai.errors import (
    AssociationRejected,
    DeliveryUnknown,
    DicomAiError,
    PeerUnavailable,
    PermanentRefusal,
    SopClassRefused,
)

SUCCESS = 0x0000
DUPLICATE = 0x0111
PROCESSING_FAILURE, RESOURCE_LIMITATION = 0x0110, 0x0213
SOP_CLASS_NOT_SUPPORTED = 0x0122
COMMIT = 1
"""Action type of the Storage Commitment Push Model (PS3.4 table J.3-2)."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RemoteAe:
    """A peer to call. tls: None for a plain connection."""

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds: to connect, to negotiate, for an answer, and for a silent association."""

    connect_s: float = 10
    acse_s: float = 10
    dimse_s: float = 120
    network_s: float = 120


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A DICOM file to send. sent_before: an earlier try ended without an answer, so that the peer may have it."""

    path: Path
    sent_before: bool = False


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """What became of one object. error: None when the peer has it; else who must act. status: None without answer."""

    path: Path
    status: int | None = None
    error: DicomAiError | None = None


@dataclass(frozen=True, slots=True)
class _Object:
    """What an object says of itself in group 2."""

    sop_class_uid: UID
    sop_instance_uid: UID
    transfer_syntax_uid: UID


def c_echo(peer: RemoteAe, *, timeouts: Timeouts | None = None) -> float:
    """Verify a peer; return the round trip in seconds. Raises PeerUnavailable, or PermanentRefusal when rejected."""
    with associated(peer, [build_context(Verification)], timeouts or Timeouts()) as association:
        begin = time.monotonic()
        status = association.send_c_echo()
        if "Status" not in status:
            raise PeerUnavailable(f"{peer.called_ae_title}: no answer to C-ECHO")
        if status.Status != SUCCESS:
            raise PermanentRefusal(f"{peer.called_ae_title}: C-ECHO was answered with 0x{status.Status:04X}")
        return time.monotonic() - begin


def c_store(
    objects: Sequence[Outgoing], peer: RemoteAe, *, timeouts: Timeouts | None = None
) -> tuple[StoreOutcome, ...]:
    """Send objects over one association; return what became of each, in order.

    Nothing is raised for what the peer does: each outcome carries its error. Raises ValueError for a file without
    group 2, and for more kinds of object than an association has contexts.
    """
    kinds = [_read_meta(item.path) for item in objects]
    wanted = contexts.requestor_contexts((kind.sop_class_uid, kind.transfer_syntax_uid) for kind in kinds)
    outcomes: list[StoreOutcome] = []
    try:
        with associated(peer, wanted, timeouts or Timeouts()) as association:
            for item, kind in zip(objects, kinds, strict=True):
                outcomes.append(_store(association, item, kind, peer))
                if isinstance(outcomes[-1].error, DeliveryUnknown):
                    # Another object would wait for its answer until the DIMSE timeout, on an association that is over.
                    raise PeerUnavailable(f"{peer.called_ae_title}: the association ended early")
    except AssociationRejected as error:  # the objects are not refused: they wait until somebody lets this node in
        later = PeerUnavailable(str(error))
        outcomes += [StoreOutcome(item.path, error=later) for item in objects]
    except (PeerUnavailable, PermanentRefusal) as error:
        outcomes += [StoreOutcome(item.path, error=error) for item in objects[len(outcomes) :]]
    return tuple(outcomes)


def request_commitment(
    peer: RemoteAe, references: Sequence[tuple[str, str]], *, transaction_uid: str, timeouts: Timeouts | None = None
) -> None:
    """Ask a peer to commit to objects, (SOP class UID, SOP instance UID) each; its report comes to the listener.

    transaction_uid: new and saved before, for the report names it. Raises PeerUnavailable, or PermanentRefusal where
    the peer does not offer storage commitment or refuses the request.
    """
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = [_reference(*reference) for reference in references]
    wanted = [build_context(StorageCommitmentPushModel, list(contexts.UNCOMPRESSED))]
    with associated(peer, wanted, timeouts or Timeouts()) as association:
        status, _ = association.send_n_action(
            information, COMMIT, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
    if "Status" not in status:
        raise PeerUnavailable(f"{peer.called_ae_title}: no answer to the request for storage commitment")
    if status.Status != SUCCESS:
        raise PermanentRefusal(f"{peer.called_ae_title}: storage commitment was answered 0x{status.Status:04X}")


def judge(status: int, *, called: str, sent_before: bool = False) -> DicomAiError | None:
    """Return what a C-STORE status asks for (PS3.4 B.2.3, PS3.7 C): None where the peer has the object."""
    if status == SUCCESS or status & 0xF000 == 0xB000:
        return None
    if status == DUPLICATE and sent_before:
        return None
    if status & 0xFF00 == 0xA700 or status in (PROCESSING_FAILURE, RESOURCE_LIMITATION):
        return PeerUnavailable(f"{called}: not now (0x{status:04X})")
    kind = SopClassRefused if status == SOP_CLASS_NOT_SUPPORTED else PermanentRefusal
    return kind(f"{called}: refused with 0x{status:04X}")


def _store(association: Association, item: Outgoing, kind: _Object, peer: RemoteAe) -> StoreOutcome:
    if not association.is_established:
        return StoreOutcome(item.path, error=PeerUnavailable(f"{peer.called_ae_title}: the association ended early"))
    try:
        with _in_accepted_syntax(association, item.path, kind) as path:
            answer = association.send_c_store(path)
    except PermanentRefusal as error:
        return StoreOutcome(item.path, error=error)
    except (OSError, RuntimeError) as error:  # the connection broke, before or while it was sent
        return StoreOutcome(item.path, error=DeliveryUnknown(f"{peer.called_ae_title}: {type(error).__name__}"))
    if "Status" not in answer:
        return StoreOutcome(item.path, error=DeliveryUnknown(f"{peer.called_ae_title}: the answer was lost"))
    status = int(answer.Status)
    error_found = judge(status, called=peer.called_ae_title, sent_before=item.sent_before)
    if status != SUCCESS:
        log.warning(
            "C-STORE answered",
            destination=peer.called_ae_title,
            sop_instance_uid=str(kind.sop_instance_uid),
            status=f"0x{status:04X}",
            stored=error_found is None,
        )
    return StoreOutcome(item.path, status, error_found)


@contextmanager
def _in_accepted_syntax(association: Association, path: Path, kind: _Object) -> Iterator[Path]:
    """Yield the file to send: the object's own, or, where only implicit VR was accepted, a converted copy.

    Raises PermanentRefusal where neither was accepted: nothing is transcoded. SopClassRefused where the SOP class was
    accepted in no syntax at all.
    """
    accepted = {
        context.transfer_syntax[0]
        for context in association.accepted_contexts
        if context.abstract_syntax == kind.sop_class_uid
    }
    if kind.transfer_syntax_uid in accepted:
        yield path
    elif kind.transfer_syntax_uid == ExplicitVRLittleEndian and ImplicitVRLittleEndian in accepted:
        with tempfile.TemporaryDirectory(prefix="dicom-ai-") as folder:
            converted = Path(folder) / "implicit.dcm"
            converted.write_bytes(_as_implicit(path))
            yield converted
    else:
        refusal = PermanentRefusal if accepted else SopClassRefused
        raise refusal(
            f"{association.acceptor.ae_title}: accepts no {kind.sop_class_uid.name} in {kind.transfer_syntax_uid.name}"
        )


def _as_implicit(path: Path) -> bytes:
    """Return a file in implicit VR little endian with the content of an explicit VR one."""
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    buffer = BytesIO()
    dataset.save_as(buffer, implicit_vr=True, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()


@contextmanager
def associated(
    peer: RemoteAe,
    wanted: list[PresentationContext],
    timeouts: Timeouts,
    *,
    stored: Callable[[evt.Event], int] | None = None,
) -> Iterator[Association]:
    """Open an association, release it at the end, and abort it when something is raised.

    stored: takes what the peer sends by C-STORE on this association (C-GET) and returns a status; the node offers to be
    SCP of every storage class among those wanted. Raises PeerUnavailable or PermanentRefusal where none comes about.
    """
    library.configure()
    ae = CallingAe(ae_title=peer.calling_ae_title)
    ae.connection_timeout = timeouts.connect_s
    ae.acse_timeout = timeouts.acse_s
    ae.dimse_timeout = timeouts.dimse_s
    ae.network_timeout = timeouts.network_s
    ae.requested_contexts = wanted
    classes = {str(context.abstract_syntax) for context in wanted}
    try:
        association = ae.associate(
            peer.host,
            peer.port,
            ae_title=peer.called_ae_title,
            tls_args=(peer.tls, peer.host) if peer.tls else None,
            ext_neg=[build_role(uid, scp_role=True) for uid in classes & set(contexts.STORAGE_SOP_CLASSES)]
            if stored
            else None,
            evt_handlers=[(evt.EVT_C_STORE, stored)] if stored else None,
        )
    except OSError as error:  # the host has no address
        raise PeerUnavailable(f"{peer.called_ae_title} at {peer.host}:{peer.port}: {error.strerror}") from error
    ended_well = False
    try:
        if not association.is_established:
            raise _not_established(association, peer)
        yield association
        ended_well = True
    finally:
        if not ended_well:
            association.abort()
        elif association.is_established:
            association.release()


def _not_established(association: Association, peer: RemoteAe) -> DicomAiError:
    """Return the error for an association that was rejected, aborted or never answered."""
    place = f"{peer.called_ae_title} at {peer.host}:{peer.port}"
    if association.is_rejected:
        answer = association.acceptor.primitive
        if answer is not None and answer.result == 1:  # rejected-permanent, PS3.8 9.3.4
            return AssociationRejected(f"{place}: association rejected: {answer.reason_str}")
        return PeerUnavailable(f"{place}: association rejected for now")
    if association.rejected_contexts and not association.accepted_contexts:
        return SopClassRefused(f"{place}: accepts none of the SOP classes and transfer syntaxes offered")
    return PeerUnavailable(f"{place}: no association")


class _OneReader(DIMSEServiceProvider):
    """Gives a response only to who waits for it.

    The association's own loop looks for messages too, and now and then takes the response that send_c_store waits
    for: the object is stored, and the sender learns it never. We serve no requests on these associations.
    """

    def get_msg(self, block: bool = False) -> Any:
        """Return the next message to who waits; nothing to who only looks."""
        return super().get_msg(block) if block else (None, None)


class CallingAe(AE):
    """An AE whose associations read and close as ours do."""

    def _create_socket(self, assoc: Association, address: AddressInformation, tls_args: Any) -> ClosingSocket:
        assoc.dimse = _OneReader(assoc)
        transport = ClosingSocket(assoc, address=address)
        transport.tls_args = tls_args
        if transport.socket is not None:
            # Nagle's algorithm and a peer's delayed acknowledgement cost 10 ms an object.
            transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return transport


def _read_meta(path: Path) -> _Object:
    try:
        meta = read_file_meta_info(path)
        return _Object(meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID)
    except (InvalidDicomError, AttributeError) as error:
        raise ValueError(f"{path.name} is no complete DICOM file") from error


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item
