"""The wall clock of the node's processes, moved while they run."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from struct import pack

from tests.faults.skip import need

HERE = Path(__file__).parent
HOUR_S = 3600
DAY_S = 24 * HOUR_S


class WallClock:
    """A clock that every process started with its environment shares. It begins at the true time."""

    def __init__(self, folder: Path) -> None:
        library = folder / "clock.so"
        compiler = need("cc", "gcc")
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, HERE / "clock.c", "-ldl"], check=True)
        self._file = folder / "clock"
        self._ahead_s = 0
        self._file.write_bytes(pack("=q", 0))
        self.environment: Mapping[str, str] = {"LD_PRELOAD": str(library), "FAULTS_CLOCK": str(self._file)}

    def jump(self, seconds: int) -> None:
        """Move the clock forward, or back."""
        self._ahead_s += seconds
        with self._file.open("r+b") as file:  # in place: the processes have mapped it
            file.write(pack("=q", self._ahead_s))
