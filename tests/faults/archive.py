"""The archive that results go to: dcmtk's storescp, a process that can be stopped, and made to misbehave."""

import subprocess
import time
from pathlib import Path

from dicom_ai.dimse import scu
from dicom_ai.errors import DicomAiError
from tests.faults.skip import need
from tests.peers import free_port

AE_TITLE = "ARCHIVE"


class Archive:
    """An archive on a port of its own; what it stored stays while it is down."""

    def __init__(self, folder: Path) -> None:
        self._program = need("storescp", "dcmtk")
        self._folder = folder
        self._process: subprocess.Popen | None = None
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, *misbehaviour: str) -> None:
        """Start it, with options of storescp such as --abort-during."""
        options = ["-aet", AE_TITLE, "-od", str(self._folder), "--quiet", *misbehaviour]
        self._process = subprocess.Popen(
            [self._program, *options, str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if not misbehaviour:
            self._wait()

    def stop(self) -> None:
        """Kill it; connections end in the middle."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def files(self) -> list[Path]:
        """Return what it has stored, and what it had begun to store when it was killed."""
        return sorted(self._folder.iterdir())

    def _wait(self) -> None:
        peer = scu.RemoteAe("127.0.0.1", self.port, AE_TITLE, "DICOM_AI")
        for _ in range(200):
            try:
                return scu.c_echo(peer, timeouts=scu.Timeouts(acse_s=2))
            except DicomAiError:
                time.sleep(0.05)
        raise TimeoutError("the archive did not start")
