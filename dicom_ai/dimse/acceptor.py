"""How the SCP reads an association: data sets stream into a part as they arrive, and no reading waits on a peer.

pynetdicom can receive into files itself, but process-wide, in the system's temporary folder, and it leaves the file
behind when an association breaks in the middle of an object. These classes do it per association, into whatever the
caller opens, and they tell the kernel to acknowledge at once: a sender with Nagle's algorithm on would otherwise wait
40 ms for each image.
"""

import queue
import select
import socket
import socketserver
import ssl
import struct
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, cast

from pydicom.errors import BytesLengthException
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from dicom_ai.dimse.transport import ClosingSocket

MAXIMUM_PDU = 131072
"""Bytes of P-DATA we ask for; 128 KiB receives CT images half as fast again as the library's 16 KiB."""

LARGEST_PDU = 4 * MAXIMUM_PDU
"""A PDU longer than this is not read: its length field could name 4 GB."""

LARGEST_MESSAGE = 1 << 20
"""Bytes a message may hold in memory: command sets, and the data sets of everything but C-STORE."""

MALFORMED = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    NotImplementedError,
    EOFError,
    OSError,
    OverflowError,
    RecursionError,
    MemoryError,
    AssertionError,
    BytesLengthException,
    struct.error,
    Warning,
)
"""What pydicom and pynetdicom raise on a command set that is none."""

WAKE_S = 0.05
"""How long the reader sleeps at most when nothing arrives; timers are looked at this often."""

NO_DATA_SET = 0x0101


class Part(Protocol):
    """Where the bytes of one data set go while they arrive."""

    def write(self, data: memoryview) -> None:
        """Take the next bytes; must not raise: what went wrong is told when the part is kept."""

    def discard(self) -> None:
        """Forget the bytes; harmless when done already or after the part was kept."""


OpenPart = Callable[[Association, UID, UID, UID], Part]
"""(association, SOP class UID, SOP instance UID, transfer syntax UID) -> a new part."""

Refused = Callable[[str, str], None]
"""(address, reason) of a peer that was cut off before it could ask for an association."""


class SpoolingProvider(DIMSEServiceProvider):
    """A DIMSE provider whose C-STORE data sets go to a Part; the handler finds it as event.dataset_path."""

    def __init__(self, assoc: Association, open_part: OpenPart) -> None:
        super().__init__(assoc)
        self._open_part = open_part
        self._part: Part | None = None
        self._held_bytes = 0

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take one P-DATA: data set fragments of a C-STORE go to its part, the rest to pynetdicom."""
        try:
            self._take(primitive)
        except MALFORMED:
            self.dul.event_queue.put("Evt19")  # an invalid PDU: PS3.8 9.2 aborts the association

    def _take(self, primitive: P_DATA) -> None:
        for context_id, fragment in primitive.presentation_data_value_list:
            is_command, is_last = fragment[0] & 1, fragment[0] & 2
            if self._part is not None and not is_command:
                self._part.write(memoryview(fragment)[1:])
                if is_last:
                    self._finish(context_id)
                continue
            self._held_bytes = 0 if is_last else self._held_bytes + len(fragment)
            if self._held_bytes > LARGEST_MESSAGE:
                raise ValueError(f"a message of more than {LARGEST_MESSAGE} bytes that is no C-STORE data set")
            super().receive_primitive(_one(context_id, fragment))
            if is_command and is_last:
                self._begin(context_id)

    def get_msg(self, block: bool = False) -> Any:
        """Return the next message; where asked not to wait, wait a moment, for the caller polls in a loop."""
        try:
            return self.msg_queue.get(timeout=self.dimse_timeout if block else WAKE_S / 5)
        except queue.Empty:
            return None, None

    def abandon(self) -> None:
        """Discard what was not handed to a handler: the object in flight, and one that waits in the queue."""
        if self._part is not None:
            self._part.discard()
        while True:
            try:
                _, message = self.msg_queue.get_nowait()
            except queue.Empty:
                return
            part = getattr(message, "_dataset_path", None)
            if part is not None:
                part.discard()

    def _begin(self, context_id: int) -> None:
        message = self.message
        if not isinstance(message, C_STORE_RQ) or message.command_set.CommandDataSetType == NO_DATA_SET:
            return
        command = message.command_set
        # PS3.7 9.3.1.1; a context that was not accepted is answered by pynetdicom, the bytes are then discarded
        context = self.assoc._accepted_cx.get(context_id)
        transfer_syntax = cast(list[UID], context.transfer_syntax)[0] if context else UID("")
        self._part = self._open_part(
            self.assoc,
            UID(str(command.get("AffectedSOPClassUID", ""))),
            UID(str(command.get("AffectedSOPInstanceUID", ""))),
            transfer_syntax,
        )

    def _finish(self, context_id: int) -> None:
        part, self._part = self._part, None
        if self.message is not None:
            self.message._data_set_path = cast(Any, part)
        super().receive_primitive(_one(context_id, b"\x02"))
        if part is not None and self.message is not None:
            part.discard()  # the command set was not valid, and nobody will ask for the part


class AcknowledgingSocket(ClosingSocket):
    """A server-side socket that reads in large pieces and has each piece acknowledged at once."""

    def recv(self, nr_bytes: int) -> bytearray:
        """Return nr_bytes, or fewer when the peer closed; raises OSError for a PDU nobody may send."""
        if nr_bytes > LARGEST_PDU:
            raise OSError(f"a PDU of {nr_bytes} bytes")
        connection = cast(socket.socket, self.socket)
        received = bytearray(nr_bytes)
        view, count = memoryview(received), 0
        while count < nr_bytes:
            size = connection.recv_into(view[count:])
            if not size:
                break
            count += size
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        view.release()
        del received[count:]
        return received

    @property
    def ready(self) -> bool:
        """Whether there is something to read; waits a moment for it unless there is something to send."""
        connection = self.socket
        if connection is None or not self._is_connected:
            time.sleep(0.001)
            return False
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        outgoing = cast(WakingQueue, self.assoc.dul.to_provider_queue)
        try:
            poller = select.poll()
            poller.register(connection, select.POLLIN | select.POLLPRI)
            poller.register(outgoing.reader, select.POLLIN)
            wait_ms = 0 if outgoing.qsize() else WAKE_S * 1000
            events = dict(poller.poll(wait_ms))
            if outgoing.reader.fileno() in events:
                outgoing.rest()
            return connection.fileno() in events
        except (OSError, ValueError):
            self.event_queue.put("Evt17")
            return False


class WakingQueue(queue.Queue[Any]):
    """The queue of what is to be sent; putting something in wakes the thread that waits on the socket."""

    def __init__(self) -> None:
        super().__init__()
        self.reader, self._writer = socket.socketpair()
        self.reader.setblocking(False)
        self._writer.setblocking(False)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item and wake the reader."""
        super().put(item, block, timeout)
        try:
            self._writer.send(b"\0")
        except OSError:
            return  # full: the reader is about to wake; closed: there is none

    def rest(self) -> None:
        """Take back the wake-up calls."""
        try:
            self.reader.recv(4096)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Give the two sockets back."""
        self.reader.close()
        self._writer.close()


class ReceivingHandler(RequestHandler):
    """Builds the association of one connection from the classes above."""

    def _create_association(self) -> Association:
        server = cast(ReceivingServer, self.server)
        assoc = Association(self.ae, MODE_ACCEPTOR)
        assoc._server = server
        assoc.name = f"AcceptorThread@{datetime.now():%Y%m%d%H%M%S}"
        assoc.dimse = SpoolingProvider(assoc, server.open_part)
        assoc.dul.to_provider_queue = WakingQueue()
        assoc.dul._run_loop_delay = 0
        connection = cast(socket.socket, self.request)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(self.ae.network_timeout)
        assoc.set_socket(AcknowledgingSocket(assoc, client_socket=connection))

        assoc.acceptor.maximum_length = self.ae.maximum_pdu_size
        assoc.acceptor.ae_title = server.ae_title
        assoc.acceptor.address_info = self.local
        assoc.acceptor.implementation_class_uid = self.ae.implementation_class_uid
        assoc.acceptor.implementation_version_name = self.ae.implementation_version_name
        # Shared, not copied: nothing changes them, and a copy of 170 costs 30 ms an association.
        assoc.acceptor.supported_contexts = server.contexts
        assoc.requestor.address_info = self.remote
        for event, handlers in server._handlers.items():
            if event.is_intervention:
                if handlers:
                    assoc.bind(event, *cast(Any, handlers))
            else:
                for function, arguments in cast(Any, handlers):
                    assoc.bind(event, function, arguments)
        return assoc


class ReceivingServer(ThreadedAssociationServer):
    """A listening socket whose associations are built by ReceivingHandler."""

    request_queue_size = 64
    daemon_threads = True

    def __init__(self, *args: Any, open_part: OpenPart, refused: Refused, **kwargs: Any) -> None:
        self.open_part = open_part
        self.refused = refused
        super().__init__(*args, **{**kwargs, "request_handler": ReceivingHandler})

    def service_actions(self) -> None:
        """Do nothing between connections: the library collects garbage here, and that stops every association."""

    def shutdown(self) -> None:
        """Stop accepting and close the port; the library's own looks for the server in a list it is not in."""
        socketserver.BaseServer.shutdown(self)
        self.server_close()


def end_of_connection(event: evt.Event) -> None:
    """Release what an association holds; bind it to EVT_CONN_CLOSE."""
    cast(SpoolingProvider, event.assoc.dimse).abandon()
    cast(WakingQueue, event.assoc.dul.to_provider_queue).close()


def _one(context_id: int, fragment: bytes) -> P_DATA:
    primitive = P_DATA()
    primitive.presentation_data_value_list = cast(Any, [[context_id, fragment]])  # it takes lists only
    return primitive
