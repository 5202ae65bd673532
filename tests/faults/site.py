"""A node of real processes with everything around it: senders, archive, database server, broker, wires and clock."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from pydicom import Dataset

from dicom_ai.app import App, open_app
from dicom_ai.domain.run import RunState
from dicom_ai.errors import DicomAiError, Unavailable
from dicom_ai.settings import read_settings
from dicom_ai.storage import outbox, runs
from dicom_ai.storage.outbox import OutboxState
from tests import builders
from tests.faults.archive import AE_TITLE as ARCHIVE
from tests.faults.archive import Archive
from tests.faults.ledger import Expected, Ledger, Patient, Tally
from tests.faults.skip import need
from tests.integration.listening import CALLING, associated
from tests.integration.servers import Postgres, redis_server
from tests.integration.test_node import RULE
from tests.peers import REPOSITORY, free_port
from tests.unit.inference.models import bright_ball, model_folder, threshold_graph

ONE, APART = "one process", "apart"
SIZES = (ONE, APART)
Command = tuple[str, ...]
LISTEN, GPU, IO, CLOCK = ("listen",), ("work", "--queue", "gpu"), ("work", "--queue", "io"), ("schedule",)
COMMANDS: dict[str, tuple[Command, ...]] = {ONE: (("serve", "--rules-on"),), APART: (LISTEN, GPU, IO, CLOCK)}
PACS = "pacs"

SETTINGS = """
[node]
address = "127.0.0.1"
port = {port}
[storage]
data_dir = "{data}"
database_url = "{database_url}"
reserve_bytes = 0
[workers]
broker_url = "{broker_url}"
[models]
directory = "{models}"
device = "cpu"
threads = 1
[rules]
seed = "{folder}/rules.toml"
[brakes]
max_study_age_days = 0
[timing]
series_quiet_s = {series_quiet_s}
study_quiet_s = {quiet_s}
association_stale_s = 5
clock_s = 0.2
lease_s = 2
token_gap_s = 1
retry_first_s = 0.3
retry_longest_s = {retry_longest_s}
maximum_lost = {maximum_lost}
[timeouts]
dimse_s = 10
[web]
port = {web_port}
[[peers]]
ae_title = "{calling}"
[[destinations]]
name = "pacs"
kind = "c_store"
parameters = {{ host = "127.0.0.1", port = {archive_port}, called_ae_title = "{archive}" }}
"""


class Site:
    """A node of one size in a folder. Its processes start with start(); everything ends with close().

    data: the node's data folder, where it is not to be an ordinary one. quiet_s: how long a study must be quiet;
    longer than a fault that interrupts a sender, where one report is expected. maximum_lost: workers that a job may
    take down; large where the scenario takes them down itself.
    """

    def __init__(
        self,
        folder: Path,
        size: str,
        *,
        data: Path | None = None,
        environment: dict[str, str] | None = None,
        retry_longest_s: float = 1,
        quiet_s: float = 0.6,
        maximum_lost: int = 100,
    ) -> None:
        self.folder, self.size = folder, size
        self.data = data or folder / "data"
        self.commands = COMMANDS[size]
        self.ledger = Ledger()
        self.archive = Archive(folder / "archive")
        self.port = free_port()
        self._ends = ExitStack()
        self.postgres: Postgres | None = None
        self._environment = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
        self._running: dict[Command, subprocess.Popen] = {}
        self.broker_port = free_port()
        broker_url = "memory://"
        if size == APART:
            need("redis-server", "redis-server")
            need("initdb", "postgresql")
            self.postgres = Postgres()
            self._ends.callback(self.postgres.remove)
            broker_url = f"redis://127.0.0.1:{self.broker_port}/0"
            self.broker_up()
        self.config = folder / "node.toml"
        self.config.write_text(
            SETTINGS.format(
                port=self.port,
                web_port=free_port(),
                data=self.data,
                database_url=self.postgres.url if self.postgres else "",
                broker_url=broker_url,
                folder=folder,
                models=folder / "models",
                retry_longest_s=retry_longest_s,
                quiet_s=quiet_s,
                series_quiet_s=quiet_s / 2,
                maximum_lost=maximum_lost,
                calling=CALLING,
                archive_port=self.archive.port,
                archive=ARCHIVE,
            )
        )
        self._models = folder / "models"
        model_folder(self._models / "bright", threshold_graph(500.0), options='activation = "sigmoid"')
        (folder / "rules.toml").write_text(RULE.format(model="bright", destination=PACS, state="on"))
        self._log = self._ends.enter_context((folder / "log").open("ab"))

    # ------------------------------------------------------------------------------------------- processes

    def start(self) -> None:
        """Start whatever does not run, and wait until the node answers."""
        if not (self.folder / "upgraded").exists():
            self._run("db", "upgrade", "--rules-on")
            (self.folder / "upgraded").touch()
        self.start_processes()
        self.until(self.answers, "the node answers", seconds=120)

    def start_processes(self) -> None:
        """Start whatever does not run."""
        for command in self.commands:
            if command not in self._running:
                self._running[command] = subprocess.Popen(
                    [sys.executable, "-m", "dicom_ai", *command, "--config", str(self.config)],
                    cwd=REPOSITORY,
                    env=self._environment,
                    stdout=self._log,
                    stderr=self._log,
                )

    def kill(self, *commands: Command) -> None:
        """Kill processes with SIGKILL; none named: all."""
        for command in commands or tuple(self._running):
            process = self._running.pop(command)
            process.kill()
            process.wait(30)

    def dead(self) -> list[Command]:
        """Return what has ended on its own."""
        return [command for command, process in self._running.items() if process.poll() is not None]

    def restart_dead(self) -> None:
        """Start again what has ended on its own, as systemd does (Restart=always)."""
        for command in self.dead():
            self._running.pop(command).wait()
        self.start_processes()

    def broker_up(self) -> None:
        """Start the broker; it remembers nothing."""
        self._broker = redis_server(self.broker_port)
        self._broker.__enter__()
        self._ends.callback(self.broker_down)

    def broker_down(self) -> None:
        """Stop the broker."""
        if self._broker is not None:
            self._broker.__exit__(None, None, None)
            self._broker = None

    def answers(self, *, restart: bool = True) -> bool:
        """Whether the node accepts an association."""
        if restart:
            self.restart_dead()
        try:
            with associated(self.port) as association:
                return bool(association.is_established)
        except (OSError, RuntimeError):
            return False

    def close(self) -> None:
        """End everything."""
        self.kill()
        self.archive.stop()
        self._ends.close()

    @contextmanager
    def without_models(self) -> Iterator[None]:
        """Take the folder of the models away for a while."""
        away = self._models.rename(self.folder / "away")
        yield
        away.rename(self._models)

    # ------------------------------------------------------------------------------------------- sending

    def study(self, number: int, *, images: int = 8, side: int = 48, versions: int = 1) -> list[Path]:
        """Write the images of a study of a patient of its own, and expect its results."""
        self.ledger.expect(Expected(f"1.2.826.0.1.{number}", self.patient(number), versions))
        return self.images(number, self.patient(number), images=images, side=side)

    def corrected(self, number: int) -> list[Path]:
        """Write the images of a study as another patient's, and expect its results for that one from now on."""
        patient = Patient(f"Q{number:03}", f"Right^Number{number}", "19600202")
        expected = self.ledger.studies[f"1.2.826.0.1.{number}"]
        self.ledger.expect(replace(expected, patient=patient))
        return self.images(number, patient)

    def patient(self, number: int) -> Patient:
        """Return whose a study is at first."""
        return Patient(f"P{number:03}", f"Fault^Number{number}", f"19{number % 100:02}0101")

    def images(self, number: int, patient: Patient, *, images: int = 8, side: int = 48) -> list[Path]:
        """Write the images of a study as a patient's; the same UIDs every time."""
        study_uid = f"1.2.826.0.1.{number}"
        ball = (bright_ball((images, side, side), (3.0, 1.0, 1.0)).voxels > 0) * 1000
        datasets = builders.mr_series(
            ball.astype(np.uint16),
            spacing_mm=(3.0, 1.0, 1.0),
            study_uid=study_uid,
            series_uid=f"{study_uid}.1",
            PatientID=patient.id,
            PatientName=patient.name,
            PatientBirthDate=patient.birth_date,
        )
        for index, dataset in enumerate(datasets):
            uid = f"{study_uid}.1.{index + 1}"
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        folder = self.folder / "in" / f"{number}-{patient.id}-{len(list((self.folder / 'in').glob('*')))}"
        return builders.write(datasets, folder)

    def send_once(self, paths: Sequence[Path], *, port: int | None = None, again: bool = False) -> None:
        """Send images over one association, as far as it gets.

        again: those too that were acknowledged before. Without it a lost image is never healed by being sent again.
        """
        try:
            with associated(port or self.port) as association:
                for path in paths if again else self._owed(paths):
                    answer = association.send_c_store(path) if association.is_established else Dataset()
                    if "Status" not in answer:
                        return
                    if answer.Status == 0:
                        self.ledger.note(path)
        except (RuntimeError, OSError, ValueError):
            return  # the association broke: what was not answered was not acknowledged

    def send(self, paths: Sequence[Path], *, seconds: float = 180) -> None:
        """Send until every image was acknowledged once."""
        self.until(partial(self._all_acknowledged, paths), "every image is acknowledged", seconds=seconds)

    def _all_acknowledged(self, paths: Sequence[Path]) -> bool:
        self.restart_dead()
        self.send_once(paths)
        return not self._owed(paths)

    def _owed(self, paths: Sequence[Path]) -> list[Path]:
        return [path for path in paths if path not in self.ledger.paths]

    # ------------------------------------------------------------------------------------------- looking

    @contextmanager
    def app(self) -> Iterator[App]:
        """Look into the node."""
        app = open_app(read_settings(self.config))
        try:
            yield app
        finally:
            app.close()

    def holds(self, query: str) -> bool:
        """Whether a query of the database finds something; an unavailable database finds nothing."""
        try:
            with self.app() as app, app.database.read() as session:
                return session.execute(sa.text(query)).first() is not None
        except DicomAiError:
            return False

    def settled(self, reports: int | None = None) -> bool:
        """Whether every study is reported, so many reports were made, and nothing waits to be sent."""
        self.restart_dead()
        try:
            with self.app() as app, app.database.read() as session:
                states, deliveries = runs.counts(session), outbox.counts(session)
                open_series = session.execute(sa.text("SELECT 1 FROM series WHERE revision <> routed_revision")).first()
        except Unavailable:
            return False
        waiting = deliveries.get(OutboxState.WAITING, 0) + deliveries.get(OutboxState.UNKNOWN, 0)
        reported = states.get(RunState.REPORTED, 0)
        working = set(states) - {RunState.REPORTED, RunState.SUPERSEDED}
        wanted = reports or len(self.ledger.studies)
        return not (waiting or working or open_series) and reported >= wanted

    def until(self, condition: Callable[[], bool], what: str, *, seconds: float, step_s: float = 0.2) -> None:
        """Wait for a condition."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"not within {seconds:g} s: {what}")
            time.sleep(step_s)

    def settle(self, *, seconds: float = 180) -> None:
        """Wait until the node has done everything."""
        self.until(self.settled, "every study is reported and delivered", seconds=seconds)

    def tally(self) -> Tally:
        """Stop the node's processes in order and do the books."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.wait(60)
        self._running.clear()
        with self.app() as app:
            return self.ledger.tally(app, self.archive.objects())

    def _run(self, *command: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "dicom_ai", *command, "--config", str(self.config)],
            cwd=REPOSITORY,
            env=self._environment,
            check=True,
            capture_output=True,
        )
