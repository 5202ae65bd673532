"""A node of real processes with everything around it: senders, archive, database server, broker, wires and clock."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import psutil
import sqlalchemy as sa

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
from tests.faults.node_toml import BY_C_STORE, BY_COPY, SETTINGS
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
MANIFEST = "model.toml"


class Site:
    """A node of one size in a folder. Its processes start with start(); everything ends with close().

    data: the node's data folder, where it is not to be an ordinary one. quiet_s: how long a study must be quiet;
    longer than a fault that interrupts a sender, where one report is expected. maximum_lost: workers that a job may
    take down; large where the scenario takes them down itself. longest_run_s: of the model. target: a folder as the
    destination instead of the archive. faults: for each fault of the scenario, whether it struck (see fault()).
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
        longest_run_s: float = 600,
        target: Path | None = None,
    ) -> None:
        self.folder, self.size, self._target = folder, size, target
        self.faults: list[bool] = []
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
                destination=BY_COPY.format(folder=target)
                if target
                else BY_C_STORE.format(port=self.archive.port, archive=ARCHIVE),
            )
        )
        self._models = folder / "models"
        manifest = (
            model_folder(self._models / "bright", threshold_graph(500.0), options='activation = "sigmoid"') / MANIFEST
        )
        manifest.write_text(f"longest_run_s = {longest_run_s}\n{manifest.read_text()}")
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

    def start_processes(self, *more: Command) -> None:
        """Start whatever does not run; more: beyond what a node of this size has."""
        for command in (*self.commands, *more):
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

    def models(self) -> list[psutil.Process]:
        """Return the processes that run the models."""
        worker = psutil.Process(self._running[GPU if GPU in self._running else self.commands[0]].pid)
        return [child for child in worker.children(recursive=True) if "spawn_main" in " ".join(child.cmdline())]

    @contextmanager
    def standing_still(self, command: Command) -> Iterator[None]:
        """Let a process and those it has started do nothing for a while, as on a machine that was suspended."""
        process = psutil.Process(self._running[command].pid)
        family = [process, *process.children(recursive=True)]
        for member in family:
            member.suspend()
        try:
            yield
        finally:
            for member in family:
                member.resume()

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

    def study(self, number: int, *, images: int = 8, versions: int = 1, **attributes: object) -> list[Path]:
        """Write the images of a study of a patient of its own, and expect its results."""
        self.ledger.expect(Expected(f"1.2.826.0.1.{number}", self.patient(number), versions))
        return self.images(number, self.patient(number), images=images, **attributes)

    def corrected(self, number: int) -> list[Path]:
        """Write the images of a study as another patient's, and expect its results for that one from now on."""
        patient = Patient(f"Q{number:03}", f"Right^Number{number}", "19600202")
        expected = self.ledger.studies[f"1.2.826.0.1.{number}"]
        self.ledger.expect(replace(expected, patient=patient))
        return self.images(number, patient)

    def patient(self, number: int) -> Patient:
        """Return whose a study is at first."""
        return Patient(f"P{number:03}", f"Fault^Number{number}", f"19{number % 100:02}0101")

    def images(
        self, number: int, patient: Patient, *, images: int = 8, side: int = 48, **attributes: object
    ) -> list[Path]:
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
            **attributes,
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
                for path in paths if again else self.owed(paths):
                    if not association.is_established:
                        return
                    status = association.send_c_store(path).get("Status")
                    self.ledger.answered(path, status)
                    if status is None:
                        return
        except (RuntimeError, OSError, ValueError):
            return  # the association broke: what was not answered was not acknowledged

    def send(self, paths: Sequence[Path], *, seconds: float = 180) -> None:
        """Send until every image was acknowledged once."""
        self.until(partial(self._all_acknowledged, paths), "every image is acknowledged", seconds=seconds)

    def _all_acknowledged(self, paths: Sequence[Path]) -> bool:
        self.restart_dead()
        self.send_once(paths)
        return not self.owed(paths)

    def owed(self, paths: Sequence[Path]) -> list[Path]:
        """Return the images that were not acknowledged."""
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
            with self.app() as app:
                return _finds(app, query)
        except DicomAiError:
            return False

    def reach(self, query: str, *, seconds: float = 60) -> bool:
        """Wait for a moment that a query finds; return whether it was met: it may pass unseen."""
        end = time.monotonic() + seconds
        with self.app() as app:
            for turn in count(1):
                if _finds(app, query):
                    return True
                if turn % 200 == 0 and self.settled():
                    return False
                if time.monotonic() > end:
                    raise TimeoutError(f"not within {seconds:g} s: {query}")
                time.sleep(0.002)
        raise AssertionError("count() does not end")

    def reported(self, number: int, *, again: bool = False) -> bool:
        """Whether a study has a report; again: one after the first."""
        runs_of = f"SELECT 1 FROM runs WHERE state = 'reported' AND study_uid = '1.2.826.0.1.{number}'"
        return self.holds(runs_of + " AND number > 1" * again)

    def until_reported(self, number: int, *, again: bool = False) -> None:
        """Wait for the report of a study; again: for one after the first."""
        self.until(partial(self._reported_at_last, number, again), "the study is reported", seconds=120)

    def _reported_at_last(self, number: int, again: bool) -> bool:
        self.restart_dead()
        return self.reported(number, again=again)

    def undelivered(self) -> bool:
        """Whether a result that was to leave has not, as far as the node knows."""
        return self.holds("SELECT 1 FROM outbox WHERE state IN ('waiting', 'unknown')")

    def fault(self, struck: bool) -> None:
        """Note a fault of the scenario, and whether it struck: whether it came when there was something to break."""
        self.faults.append(struck)

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
            return self.ledger.tally(app, self._target.glob("*.dcm") if self._target else self.archive.files())

    def _run(self, *command: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "dicom_ai", *command, "--config", str(self.config)],
            cwd=REPOSITORY,
            env=self._environment,
            check=True,
            capture_output=True,
        )


def _finds(app: App, query: str) -> bool:
    with app.database.read() as session:
        return session.execute(sa.text(query)).first() is not None


@contextmanager
def running(folder: Path, size: str, **options: object) -> Iterator[Site]:
    """Run a node with its archive up; end it whatever happens."""
    site = Site(folder, size, **options)  # type: ignore[arg-type]
    try:
        site.archive.start()
        site.start()
        yield site
    finally:
        site.close()
