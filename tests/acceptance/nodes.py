"""The node as it is deployed: real processes with a settings file, in one process or apart."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.servers import postgres, redis_server
from tests.peers import REPOSITORY, free_port

PROGRAM = Path(sys.executable).parent / "dicom-ai"
AE_TITLE = "DICOM_AI"
ONE, APART = "one process", "apart"
SIZES = (ONE, APART)

COMMANDS = {
    ONE: (("serve", "--rules-on"),),
    APART: (("listen",), ("work", "--queue", "gpu"), ("work", "--queue", "io"), ("schedule",)),
}
"""What runs in each size."""

SETTINGS = """
[node]
ae_title = "{ae_title}"
address = "127.0.0.1"
port = {port}

[[peers]]
ae_title = "{archive_ae_title}"
addresses = ["127.0.0.1"]

[[destinations]]
name = "pacs"
kind = "c_store"
parameters = {{ host = "127.0.0.1", port = {archive_port}, called_ae_title = "{archive_ae_title}" }}

[storage]
data_dir = "{data}"
database_url = "{database_url}"
reserve_bytes = 0

[timing]
series_quiet_s = 1
study_quiet_s = 3
clock_s = 0.5
lease_s = 5
token_gap_s = 1
retry_first_s = 0.5
retry_longest_s = 2

[brakes]
max_study_age_days = 0

[models]
device = "cpu"
threads = 2

[workers]
broker_url = "{broker_url}"

[log]
format = "json"
level = "debug"
"""


@dataclass
class RunningNode:
    """Processes of one node. config: its settings file; data: what it keeps."""

    size: str
    config: Path
    data: Path
    port: int
    processes: dict[tuple[str, ...], subprocess.Popen] = field(default_factory=dict)

    def start(self, *commands: tuple[str, ...]) -> None:
        """Start the named parts, or all of them."""
        for command in commands or COMMANDS[self.size]:
            log = (self.config.parent / f"{'-'.join(command)}.log").open("ab")
            self.processes[command] = subprocess.Popen(
                [PROGRAM, *command, "--config", self.config], stdout=log, stderr=log, cwd=REPOSITORY, env=_environment()
            )
            log.close()

    def kill(self, *commands: tuple[str, ...]) -> None:
        """Kill the named parts, or all of them, as a power cut would."""
        for command in commands or tuple(self.processes):
            process = self.processes.pop(command)
            process.kill()
            process.wait()

    def stop(self) -> None:
        """Ask all parts to stop."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    @property
    def log(self) -> str:
        """Everything the parts have written."""
        return "\n".join(path.read_text() for path in sorted(self.config.parent.glob("*.log")))

    def is_listening(self) -> bool:
        """Tell whether the node takes connections."""
        import socket

        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def node(
    size: str, folder: Path, *, port: int, archive_port: int, archive_ae_title: str, extra: Sequence[str] = ()
) -> Iterator[RunningNode]:
    """Run a node that takes images from an archive and sends its results there."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as servers:
        apart = size == APART
        config = folder / "dicom-ai.toml"
        text = SETTINGS.format(
            ae_title=AE_TITLE,
            port=port,
            archive_ae_title=archive_ae_title,
            archive_port=archive_port,
            data=folder / "data",
            database_url=servers.enter_context(postgres()) if apart else "",
            broker_url=servers.enter_context(redis_server()) if apart else "memory://",
        )
        config.write_text("\n".join([text, *extra]), encoding="utf-8")
        if apart:
            upgrade = [PROGRAM, "db", "upgrade", "--rules-on", "--config", config]
            subprocess.run(upgrade, check=True, cwd=REPOSITORY, env=_environment(), capture_output=True)
        running = RunningNode(size, config, folder / "data", port)
        running.start()
        try:
            _wait_until_listening(running)
            yield running
        finally:
            running.stop()


def new_port() -> int:
    """Return a port for a node that an archive must know before the node runs."""
    return free_port()


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DICOM_AI_")}
    return {**kept, "OMP_NUM_THREADS": "2"}


def _wait_until_listening(running: RunningNode) -> None:
    deadline = time.monotonic() + 60
    while not running.is_listening():
        if time.monotonic() > deadline:
            raise AssertionError(f"the node does not listen:\n{running.log}")
        time.sleep(0.1)
