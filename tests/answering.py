"""A peer on loopback that offers the services a test wants, and answers as it wants."""

import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.transport import ThreadedAssociationServer

from dicom_ai.dimse.scu import RemoteAe

Answer = tuple[evt.EventType, Callable[[evt.Event], Any]]


@contextmanager
def answering(services: Sequence[str], *answers: Answer) -> Iterator[RemoteAe]:
    """Run a peer called ARCHIVE; who calls it by another name is rejected."""
    ae = AE(ae_title="ARCHIVE")
    ae.require_called_aet = True
    for service in services:
        ae.add_supported_context(service)
    server = ae.make_server(("127.0.0.1", 0), evt_handlers=list(answers), server_class=ThreadedAssociationServer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield RemoteAe("127.0.0.1", server.socket.getsockname()[1], "ARCHIVE", "DICOM_AI")
    finally:
        socketserver.BaseServer.shutdown(server)  # the library's own waits half a second
        thread.join()
        server.server_close()


def abort(event: evt.Event) -> None:
    """Answer nothing, and end the association."""
    event.assoc.abort()
