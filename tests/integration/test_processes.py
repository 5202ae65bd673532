"""The node as its real processes, in one and apart, and kill -9 at moments spread over its work."""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from pydicom import dcmread

from dicom_ai.app import App, open_app
from dicom_ai.domain.run import RunState
from dicom_ai.settings import Settings, read_settings
from dicom_ai.storage import jobs, outbox, runs
from dicom_ai.storage.outbox import OutboxState
from tests import builders
from tests.integration.listening import CALLING, store
from tests.integration.sizes import as_toml, settings_of
from tests.integration.test_node import OUT, RULE
from tests.peers import REPOSITORY, free_port
from tests.unit.inference.models import bright_ball, model_folder, threshold_graph

ONE = (("serve", "--rules-on"),)
APART = (("listen",), ("work", "--queue", "gpu"), ("work", "--queue", "io"), ("schedule",))
STUDIES = 6


class Processes:
    """The processes of a node, each of which can be killed and started again."""

    def __init__(self, commands: tuple[tuple[str, ...], ...], config: Path, log: Path) -> None:
        self._commands = commands
        self._config = config
        self._log = log.open("ab")
        self._running: dict[tuple[str, ...], subprocess.Popen] = {}

    def start(self) -> None:
        """Start those that do not run."""
        for command in self._commands:
            if command not in self._running:
                self._running[command] = subprocess.Popen(
                    [sys.executable, "-m", "dicom_ai", *command, "--config", str(self._config)],
                    cwd=REPOSITORY,
                    stdout=self._log,
                    stderr=self._log,
                )

    def kill(self, command: tuple[str, ...]) -> None:
        """Kill one with SIGKILL."""
        process = self._running.pop(command)
        process.kill()
        process.wait(30)

    def stop(self) -> None:
        """Stop all in order."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.wait(60)
        self._log.close()


@contextmanager
def node(size: str, folder: Path) -> Iterator[tuple[Settings, Path]]:
    """Yield the settings of a node with one rule and one model, and their file."""
    with settings_of("postgresql" if size == "apart" else "sqlite", folder / "data") as settings:
        model_folder(folder / "models" / "bright", threshold_graph(500.0), options='activation = "sigmoid"')
        (folder / OUT).mkdir()
        rules = folder / "rules.toml"
        rules.write_text(RULE.format(model="bright", destination=OUT, state="on"))
        config = as_toml(settings, folder / "node.toml")
        text = config.read_text().replace("port = 0", f"port = {free_port()}")
        text = text.replace("[models]", f'[models]\ndirectory = "{folder / "models"}"')
        if size == "one":
            text = text.replace(settings.workers.broker_url, "memory://")
        text = text.replace("maximum_lost = 2", "maximum_lost = 50")  # here it is we who take the workers down
        text += f'[rules]\nseed = "{rules}"\n[[peers]]\nae_title = "{CALLING}"\n'
        text += f'[[destinations]]\nname = "{OUT}"\nkind = "folder"\nparameters = {{ folder = "{folder / OUT}" }}\n'
        config.write_text(text)
        upgrade = [sys.executable, "-m", "dicom_ai", "db", "upgrade", "--rules-on", "--config", str(config)]
        subprocess.run(upgrade, check=True, cwd=REPOSITORY, capture_output=True)
        yield settings, config


def port(config: Path) -> int:
    return next(int(line.split("=")[1]) for line in config.read_text().splitlines() if line.startswith("port"))


def study(folder: Path, number: int) -> list[Path]:
    voxels = (bright_ball((8, 40, 48), (3.0, 1.0, 1.0)).voxels > 0) * 1000
    study_uid = f"1.2.826.{number}"
    datasets = builders.mr_series(
        voxels.astype(np.uint16), spacing_mm=(3.0, 1.0, 1.0), study_uid=study_uid, series_uid=f"{study_uid}.1"
    )
    folder.mkdir(parents=True)
    return builders.write(datasets, folder)


def store_patiently(port: int, paths: list[Path]) -> None:
    """Send as a PACS does: again from the start, until every image was acknowledged."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        try:
            if all("Status" in answer and answer.Status == 0 for answer in store(port, *paths)):
                return
        except (AssertionError, RuntimeError, ValueError):
            pass  # the listener is away
        time.sleep(0.3)
    raise AssertionError("the listener did not come back")


def settled(app: App, studies: int = STUDIES) -> bool:
    with app.database.read() as session:
        states = runs.counts(session)
        deliveries = outbox.counts(session)
    waiting = deliveries.get(OutboxState.WAITING, 0) + deliveries.get(OutboxState.UNKNOWN, 0)
    return states.get(RunState.REPORTED, 0) == studies and set(states) <= {RunState.REPORTED} and not waiting


def wait_for(condition: Callable[[], bool], *, seconds: float, step_s: float = 0.1) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(step_s)


# pynetdicom drops a socket that was refused without closing it; the collector closes it, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("size", "commands"), [("one", ONE), ("apart", APART)], ids=["one", "apart"])
def test_killed_at_any_moment_every_study_gets_one_seg_and_one_sr(
    size: str, commands: tuple[tuple[str, ...], ...], tmp_path: Path
) -> None:
    moments = random.Random(1)
    with node(size, tmp_path) as (_, config):
        processes = Processes(commands, config, tmp_path / "log")
        processes.start()
        try:
            for number in range(STUDIES):
                store_patiently(port(config), study(tmp_path / "in" / str(number), number + 1))
                time.sleep(moments.uniform(0.2, 2.0))
                processes.kill(moments.choice(commands))
                processes.start()
            for _ in range(4):
                time.sleep(moments.uniform(0.5, 3.0))
                processes.kill(moments.choice(commands))
                processes.start()
            app = open_app(read_settings(config))
            wait_for(lambda: settled(app), seconds=120)
            with app.database.read() as session:
                finishes = jobs.finishes(session)
            app.close()
        finally:
            processes.stop()

    assert arrived(tmp_path) == one_each(STUDIES)
    assert set(finishes.values()) == {1}


def arrived(folder: Path) -> Counter[tuple[str, str]]:
    """Count what the destination got, by study and kind."""
    datasets = [dcmread(path) for path in (folder / OUT).rglob("*.dcm")]
    return Counter((str(dataset.StudyInstanceUID), str(dataset.Modality)) for dataset in datasets)


def one_each(studies: int) -> Counter[tuple[str, str]]:
    return Counter((f"1.2.826.{number + 1}", kind) for number in range(studies) for kind in ("SEG", "SR"))


STAGES = {
    "received, not routed": ("io", "SELECT 1 FROM series WHERE revision <> routed_revision"),
    "being routed": ("io", "SELECT 1 FROM studies WHERE routing_until IS NOT NULL"),
    "being analysed": ("gpu", "SELECT 1 FROM jobs WHERE kind = 'analyse' AND state = 'running'"),
    "analysed, not reported": ("io", "SELECT 1 FROM runs WHERE state = 'collecting'"),
    "report queued": ("io", "SELECT 1 FROM jobs WHERE kind = 'report' AND state = 'queued'"),
    "being reported": ("io", "SELECT 1 FROM jobs WHERE kind = 'report' AND state = 'running'"),
    "identities saved, nothing written": ("io", "SELECT 1 FROM results WHERE path IS NULL"),
    "reported, not sent": ("io", "SELECT 1 FROM outbox WHERE state = 'waiting'"),
    "being sent": ("io", "SELECT 1 FROM outbox WHERE state = 'unknown'"),
}
"""A moment of the flow -> the queue whose worker is killed in it, and how the database shows it."""


# pynetdicom drops a socket that was refused without closing it; the collector closes it, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("size", "commands"), [("one", ONE), ("apart", APART)], ids=["one", "apart"])
def test_killed_at_every_stage_boundary_every_study_gets_one_seg_and_one_sr(
    size: str, commands: tuple[tuple[str, ...], ...], tmp_path: Path
) -> None:
    hit = []
    with node(size, tmp_path) as (_, config):
        processes = Processes(commands, config, tmp_path / "log")
        processes.start()
        app = open_app(read_settings(config))
        try:
            for number, (queue, query) in enumerate(STAGES.values()):
                store_patiently(port(config), study(tmp_path / "in" / str(number), number + 1))
                wait_for(partial(reached, app, query, number + 1), seconds=60, step_s=0.001)
                processes.kill(commands[0] if size == "one" else ("work", "--queue", queue))
                hit.append(holds(app, query))
                processes.start()
                wait_for(partial(settled, app, number + 1), seconds=60)
            with app.database.read() as session:
                finishes = jobs.finishes(session)
        finally:
            app.close()
            processes.stop()

    assert arrived(tmp_path) == one_each(len(STAGES))
    assert set(finishes.values()) == {1}
    assert sum(hit) >= len(STAGES) - 2, dict(zip(STAGES, hit, strict=True))  # a moment may pass before the kill


def reached(app: App, query: str, studies: int) -> bool:
    """Whether the moment is there, or was missed."""
    return holds(app, query) or settled(app, studies)


def holds(app: App, query: str) -> bool:
    with app.database.read() as session:
        return session.execute(sa.text(query)).first() is not None
