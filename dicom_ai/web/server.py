"""The process, or the threads, that answer: uvicorn on one port, started and stopped like the node's other parts."""

import socket
import threading

import uvicorn

from dicom_ai.app import App
from dicom_ai.errors import ConfigError
from dicom_ai.web.application import create

STOP_S = 5


class WebPart:
    """The pages and the API on the address of the settings. Raises ConfigError where the port is taken.

    port: another than that of the settings; 0: any that is free.
    """

    def __init__(self, app: App, *, port: int | None = None) -> None:
        web = app.settings.web
        self._host, self._scheme = web.address, "https" if web.certificate else "http"
        self._socket = _bound(web.address, web.port if port is None else port)
        self._server = uvicorn.Server(
            uvicorn.Config(
                create(app),
                log_config=None,  # the log of the node; an access log would name studies
                access_log=False,
                server_header=False,
                ssl_certfile=web.certificate,
                ssl_keyfile=web.key,
                timeout_graceful_shutdown=STOP_S,
                lifespan="off",
            )
        )
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    @property
    def address(self) -> str:
        """What a person types into a browser."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{self._scheme}://{host}:{self.port}/"

    @property
    def port(self) -> int:
        """The TCP port that is really listened on."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether requests are answered."""
        return self._thread.is_alive()

    def stop(self) -> bool:
        """Answer what is asked already, and no more."""
        self._server.should_exit = True
        self._thread.join(STOP_S * 2)
        self._socket.close()
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def _bound(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
    except OSError as error:
        listening.close()
        raise ConfigError(f"web: {address}:{port} cannot be listened on ({error.strerror})") from error
    return listening
