"""The receiving side of the wire: an AE that admits configured peers and hands each stored object to one function."""

import ipaddress
import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE

from dicom_ai.dimse import acceptor, contexts, library
from dicom_ai.dimse.acceptor import Part, ReceivingServer
from dicom_ai.dimse.announcing import announcement, announcement_contexts
from dicom_ai.dimse.tls import TlsReceivingServer
from dicom_ai.domain.announcement import Announcement
from dicom_ai.errors import MissingIdentity

SUCCESS = 0x0000
INVALID_ATTRIBUTE_VALUE, RESOURCE_LIMITATION = 0x0106, 0x0213  # PS3.7 C
COMMENT_LENGTH = 64

# A-ASSOCIATE-RJ (PS3.8 9.3.4): result, source, reason
CALLING_NOT_RECOGNISED = (0x01, 0x01, 0x03)
CALLED_NOT_RECOGNISED = (0x01, 0x01, 0x07)
LOCAL_LIMIT_EXCEEDED = (0x02, 0x03, 0x02)

REASONS = {
    CALLING_NOT_RECOGNISED: "calling AE title or address is not a configured peer",
    CALLED_NOT_RECOGNISED: "called AE title is not ours",
    LOCAL_LIMIT_EXCEEDED: "too many associations",
}


@dataclass(frozen=True, slots=True)
class Peer:
    """Who may open an association. addresses: IP addresses, networks ("10.0.0.0/24") or host names; () is any."""

    ae_title: str
    addresses: tuple[str, ...] = ()

    def admits(self, ae_title: str, address: str) -> bool:
        """Whether a caller with this AE title and IP address is this peer."""
        if ae_title != self.ae_title.strip():
            return False
        return not self.addresses or any(_covers(allowed, address) for allowed in self.addresses)


@dataclass(frozen=True, slots=True)
class Caller:
    """One association, as the node sees it. id is new for every association."""

    id: str
    calling_ae_title: str
    called_ae_title: str
    address: str


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """A C-STORE whose data set has arrived whole; part holds the bytes. The UIDs are as sent: not checked.

    move_originator: AE title that asked for it by C-MOVE (PS3.7 9.1.1.1); "" where nobody did.
    """

    caller: Caller
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    part: Part
    move_originator: str = ""


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """What a C-STORE is answered. comment: no patient data; cut at 64 characters."""

    status: int = SUCCESS
    comment: str = ""


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """What an archive reports about a storage commitment. failed: (SOP instance UID, failure reason)."""

    transaction_uid: str
    committed: tuple[str, ...]
    failed: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Handlers:
    """What the listener does. Each is called in the thread of an association and must not raise.

    open_part: (caller, SOP class UID, SOP instance UID, transfer syntax UID) -> where the bytes go.
    store: a whole object -> the answer. Success may be answered only when the object is safe on disk.
    closed: an association that had been admitted is over; True: it was released in order. committed: an archive reports
    on a storage commitment. refused: (calling AE title, address, reason) of a caller that was not admitted; without an
    AE title where its TLS handshake failed. announced: another system says what a study has; False where that cannot be
    noted now. verified: a caller sent a C-ECHO.
    """

    open_part: Callable[[Caller, str, str, str], Part]
    store: Callable[[StoreRequest], StoreAnswer]
    closed: Callable[[Caller, bool], None]
    committed: Callable[[CommitmentReport], None]
    refused: Callable[[str, str, str], None]
    announced: Callable[[Announcement], bool]
    verified: Callable[[Caller], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """Timeouts in seconds, how many associations may be open at once, and whether they must call us by our title."""

    acse_timeout_s: float = 10
    dimse_timeout_s: float = 120
    network_timeout_s: float = 120
    maximum_associations: int = 25
    check_called_ae_title: bool = True


class Scp:
    """The storage SCP: a plain port, a TLS port, or both, sharing one list of peers."""

    def __init__(self, ae_title: str, peers: Iterable[Peer], handlers: Handlers, *, limits: Limits | None = None):
        """peers: looked through anew for every caller, so that it may change meanwhile."""
        library.configure()
        limits = limits or Limits()
        self._ae_title = ae_title.strip()
        self._peers = peers
        self._handlers = handlers
        self._limits = limits
        self._callers: dict[Association, Caller] = {}
        self._released: set[Association] = set()
        self._lock = threading.Lock()
        self._servers: list[tuple[ReceivingServer, threading.Thread]] = []
        self._ae = AE(ae_title=self._ae_title)
        self._ae.supported_contexts = [*contexts.acceptor_contexts(), *announcement_contexts()]
        self._ae.maximum_pdu_size = acceptor.MAXIMUM_PDU
        self._ae.acse_timeout = limits.acse_timeout_s
        self._ae.dimse_timeout = limits.dimse_timeout_s
        self._ae.network_timeout = limits.network_timeout_s
        # We count established associations ourselves: the library would count silent connections too.
        self._ae.maximum_associations = 100 * limits.maximum_associations

    def listen(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> int:
        """Open a port, serve it in a thread, and return its number (port 0: a free one). Raises OSError."""
        server = self._ae.make_server(
            (host, port),
            ae_title=self._ae_title,
            ssl_context=tls,
            evt_handlers=self._events(),
            server_class=TlsReceivingServer if tls else ReceivingServer,
            open_part=self._open_part,
            refused=lambda address, reason: self._handlers.refused("", _plain_address(address), reason),
        )
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), name=f"scp-{port}", daemon=True)
        thread.start()
        self._servers.append((cast(ReceivingServer, server), thread))
        return int(server.server_address[1])

    def callers(self) -> tuple[Caller, ...]:
        """Return the associations that are open now; one whose thread has died is closed first."""
        with self._lock:
            dead = [association for association in self._callers if not association.is_alive()]
            lost = [self._callers.pop(association) for association in dead]
            alive = tuple(self._callers.values())
        for caller in lost:
            self._handlers.closed(caller, False)
        return alive

    def stop(self, grace_s: float = 10) -> None:
        """Accept nobody more, wait up to grace_s for open associations to end, and abort the others."""
        for server, thread in self._servers:
            server.shutdown()
            thread.join()
        waiting = threading.Event()
        for _ in range(int(grace_s * 20)):
            if not self.callers():
                break
            waiting.wait(0.05)
        with self._lock:
            remaining = tuple(self._callers)
        for association in remaining:
            association.abort()
        self._servers.clear()

    def _events(self) -> list[Any]:
        return [
            (evt.EVT_REQUESTED, self._admit),
            (evt.EVT_C_ECHO, self._verified),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_EVENT_REPORT, self._event_report),
            (evt.EVT_N_CREATE, self._announced),
            (evt.EVT_N_SET, self._announced),
            (evt.EVT_RELEASED, self._note_release),
            (evt.EVT_CONN_CLOSE, self._closed),
        ]

    def _admit(self, event: evt.Event) -> None:
        association = event.assoc
        request = cast(A_ASSOCIATE, association.requestor.primitive)
        calling, called = request.calling_ae_title.strip(), request.called_ae_title.strip()
        address = _plain_address(association.requestor.address)
        if calling == called == self._ae_title and _is_this_machine(association, address):
            # The node asks itself whether it answers (dicom-ai doctor): that, and nothing else.
            association.acceptor.supported_contexts = contexts.verification_contexts()
            return
        reason = self._reason_to_reject(calling, called, address)
        if reason is None:
            with self._lock:
                full = len(self._callers) >= self._limits.maximum_associations
                if not full:
                    self._callers[association] = Caller(uuid.uuid4().hex, calling, called, address)
            reason = LOCAL_LIMIT_EXCEEDED if full else None
        if reason is not None:
            self._handlers.refused(calling, address, REASONS[reason])
            association.acse.send_reject(*reason)
            association.is_rejected = True
            association.kill()

    def _reason_to_reject(self, calling: str, called: str, address: str) -> tuple[int, int, int] | None:
        if self._limits.check_called_ae_title and called != self._ae_title:
            return CALLED_NOT_RECOGNISED
        if not any(peer.admits(calling, address) for peer in self._peers):
            return CALLING_NOT_RECOGNISED
        return None

    def _caller(self, association: Association) -> Caller:
        with self._lock:
            return self._callers[association]

    def _open_part(self, association: Association, *uids: str) -> Part:
        return self._handlers.open_part(self._caller(association), *(str(uid) for uid in uids))

    def _store(self, event: evt.Event) -> Dataset:
        request = cast(C_STORE, event.request)
        answer = self._handlers.store(
            StoreRequest(
                caller=self._caller(event.assoc),
                sop_class_uid=str(request.AffectedSOPClassUID),
                sop_instance_uid=str(request.AffectedSOPInstanceUID),
                transfer_syntax_uid=str(event.context.transfer_syntax),
                part=cast(Part, event.dataset_path),  # put there by acceptor.SpoolingProvider
                move_originator=(request.MoveOriginatorApplicationEntityTitle or "").strip(),
            )
        )
        status = Dataset()
        status.Status = answer.status
        if answer.comment:
            status.ErrorComment = answer.comment[:COMMENT_LENGTH]
        return status

    def _verified(self, event: evt.Event) -> int:
        with self._lock:
            caller = self._callers.get(event.assoc)
        if caller is not None:
            self._handlers.verified(caller)
        return SUCCESS

    def _event_report(self, event: evt.Event) -> tuple[int, None]:
        information = event.event_information
        self._handlers.committed(
            CommitmentReport(
                transaction_uid=str(information.get("TransactionUID", "")),
                committed=tuple(
                    str(item.get("ReferencedSOPInstanceUID", ""))
                    for item in information.get("ReferencedSOPSequence", ())
                ),
                failed=tuple(
                    (str(item.get("ReferencedSOPInstanceUID", "")), int(item.get("FailureReason", 0)))
                    for item in information.get("FailedSOPSequence", ())
                ),
            )
        )
        return SUCCESS, None

    def _announced(self, event: evt.Event) -> tuple[int, Dataset | None]:
        """Take an IAN or MPPS; it is answered with success when it is noted, or cannot be of use to anybody."""
        request = cast(Any, event.request)
        creating = event.event == evt.EVT_N_CREATE
        sop_class = request.AffectedSOPClassUID if creating else request.RequestedSOPClassUID
        instance = request.AffectedSOPInstanceUID if creating else request.RequestedSOPInstanceUID
        content = event.attribute_list if creating else event.modification_list
        try:
            noted = self._handlers.announced(announcement(str(sop_class), str(instance or ""), content))
        except MissingIdentity:
            return INVALID_ATTRIBUTE_VALUE, None
        return (SUCCESS if noted else RESOURCE_LIMITATION), content

    def _note_release(self, event: evt.Event) -> None:
        with self._lock:
            self._released.add(event.assoc)

    def _closed(self, event: evt.Event) -> None:
        acceptor.end_of_connection(event)
        with self._lock:
            caller = self._callers.pop(event.assoc, None)
            released = event.assoc in self._released
            self._released.discard(event.assoc)
        if caller is not None:
            self._handlers.closed(caller, released)


def _is_this_machine(association: Association, address: str) -> bool:
    """Whether a caller is on the machine it calls: it comes from the very address that it called."""
    transport = association.dul.socket
    connection = transport.socket if transport else None
    return connection is not None and _plain_address(connection.getsockname()[0]) == address


def _plain_address(address: str) -> str:
    """Return an IP address as text; IPv4 inside IPv6 becomes IPv4."""
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)


def _covers(allowed: str, address: str) -> bool:
    """Whether an IP address, network or host name, as configured, means this address."""
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(allowed, strict=False)
    except ValueError:
        pass  # a host name
    try:
        return address in {_plain_address(str(entry[4][0])) for entry in socket.getaddrinfo(allowed, None)}
    except OSError:
        return False  # the name is not known now: nobody has it
