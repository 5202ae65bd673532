"""The socket under an association, closed whoever ended it."""

import contextlib
import socket

from pynetdicom.transport import AssociationSocket


class ClosingSocket(AssociationSocket):
    """A socket that is always closed: the library leaves it open where the peer was first, or never answered."""

    def _shutdown_socket(self) -> None:
        connection = self.socket
        if connection is None:
            return
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()
