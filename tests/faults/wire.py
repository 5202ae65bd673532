"""A wire between two ends, that can be cut and slowed: a TCP relay on loopback."""

import socket
import threading
import time
from contextlib import suppress

PIECE = 4096


class Wire:
    """Relays connections to a port. cut_after: bytes a connection may carry to the far end before it is cut."""

    def __init__(self, far_port: int) -> None:
        self._far_port = far_port
        self.cut_after: int | None = None
        self.delay_s = 0.0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cut everything and take no more."""
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Cut every connection now."""
        for end in list(self._open):
            _end(end)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._far_port), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self._open |= {near, far}
            threading.Thread(target=self._relay, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._relay, args=(far, near, False), daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket, outward: bool) -> None:
        carried = 0
        with suppress(OSError):
            while data := source.recv(PIECE):
                time.sleep(self.delay_s)
                if outward and self.cut_after is not None and carried + len(data) > self.cut_after:
                    target.sendall(data[: self.cut_after - carried])
                    break
                target.sendall(data)
                carried += len(data)
        for end in (source, target):
            _end(end)
            self._open.discard(end)


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
