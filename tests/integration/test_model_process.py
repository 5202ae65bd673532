"""The process that runs the models: real processes, real hangs and crashes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from dicom_ai.analysis.task import WAYS, Task
from dicom_ai.dicom.headers import read_paths
from dicom_ai.errors import ModelError, UnsuitableImage, WorkerLost
from dicom_ai.inference.registry import ModelStore
from dicom_ai.worker.model_process import ModelProcess
from dicom_ai.worker.unexpected import Unexpected
from tests.integration.models_that_fail import (
    BREAKS_WHILE_LOADING,
    CRASHES,
    HANGS,
    RAISES,
    SLEEPS,
    FailingModels,
)
from tests.peers import REPOSITORY
from tests.unit.analysis.conftest import write_cord_series
from tests.unit.inference.models import model_folder, threshold_graph


@pytest.fixture(scope="module")
def process() -> Iterator[ModelProcess]:
    process = ModelProcess(FailingModels, ways=WAYS)
    yield process
    process.close()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    folder = tmp_path_factory.mktemp("in")
    write_cord_series(folder, shape=(6, 32, 32))
    (series,) = read_paths([folder]).series
    return tuple(item.path for item in series.instances if item.path)


@pytest.fixture
def task(images: tuple[Path, ...], tmp_path: Path) -> Callable[[str], Task]:
    (series,) = read_paths(images).series

    def make(model: str) -> Task:
        number = len(list(tmp_path.iterdir()))
        return Task(series.study_uid, series.series_uid, images, model, "rule", tmp_path / f"kept-{number}")

    return make


def works(process: ModelProcess, task: Task) -> bool:
    return process.do(task, limit_s=60) == "" and task.folder.is_dir()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_one_process_does_task_after_task(process: ModelProcess, task: Callable[[str], Task]) -> None:
    assert works(process, task("cord"))
    first = process.pid
    assert works(process, task("cord"))
    assert process.pid == first


def test_a_model_that_hangs_in_native_code_is_ended_and_its_process_replaced(
    process: ModelProcess, task: Callable[[str], Task]
) -> None:
    process.load(HANGS)
    hanging = process.pid
    assert hanging

    with pytest.raises(WorkerLost, match="running hangs took longer than 1 s: its process was ended"):
        process.do(task(HANGS), limit_s=1)

    assert gone(hanging)
    assert works(process, task("cord"))


def test_a_model_that_crashes_takes_only_its_own_process_down(
    process: ModelProcess, task: Callable[[str], Task]
) -> None:
    with pytest.raises(WorkerLost, match=r"running crashes ended its process \(signal SIGSEGV\)"):
        process.do(task(CRASHES), limit_s=60)
    assert works(process, task("cord"))


def test_a_model_that_breaks_the_process_while_it_loads_is_told_from_one_that_runs(process: ModelProcess) -> None:
    with pytest.raises(WorkerLost, match=r"loading breaks-while-loading ended its process \(signal SIGSEGV\)"):
        process.load(BREAKS_WHILE_LOADING)
    assert process.load("cord") == "CPU"


def test_an_error_nobody_expected_crosses_without_its_message(
    process: ModelProcess, task: Callable[[str], Task]
) -> None:
    with pytest.raises(Unexpected, match=r"^unexpected ValueError at models_that_fail.py:\d+ fail$"):
        process.do(task(RAISES), limit_s=60)


def test_what_the_images_and_the_model_are_refused_for_crosses_as_it_is(
    task: Callable[[str], Task], tmp_path: Path
) -> None:
    folder = model_folder(tmp_path / "models" / "sagittal", threshold_graph(500.0), input_table=SAGITTAL_ONLY)
    (model_folder(tmp_path / "models" / "spoiled", threshold_graph(500.0)) / "weights.onnx").write_bytes(b"")
    process = ModelProcess(partial(ModelStore, folder.parent, device="cpu", threads=1), ways=WAYS)
    try:
        with pytest.raises(UnsuitableImage, match="axial slices where the model takes sagittal"):
            process.do(task("sagittal"), limit_s=60)
        with pytest.raises(ModelError, match="SHA-256"):
            process.load("spoiled")
    finally:
        process.close()


SAGITTAL_ONLY = 'modalities = ["MR"]\nnormalisation = "none"\nplanes = ["sagittal"]'


def test_a_process_that_is_closed_while_it_works_ends_at_once(
    images: tuple[Path, ...], task: Callable[[str], Task]
) -> None:
    process = ModelProcess(FailingModels, ways=WAYS)
    process.load("cord")
    pid = process.pid
    assert pid
    process.close()

    assert gone(pid)
    with pytest.raises(WorkerLost, match="being stopped"):
        process.load("cord")


ORPHAN = """
import sys
from dicom_ai.analysis.task import Task, WAYS
from dicom_ai.worker.model_process import ModelProcess
from pathlib import Path
from tests.integration.models_that_fail import FailingModels

if __name__ == "__main__":
    process = ModelProcess(FailingModels, ways=WAYS)
    process.load("sleeps")
    print(process.pid, flush=True)
    study, series, folder, *paths = sys.argv[1:]
    process.do(Task(study, series, tuple(map(Path, paths)), "sleeps", "", Path(folder)), limit_s=600)
"""


def test_the_process_ends_when_its_worker_is_killed(task: Callable[[str], Task], tmp_path: Path) -> None:
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    made = task(SLEEPS)
    arguments = [made.study_uid, made.series_uid, str(made.folder), *map(str, made.paths)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        [sys.executable, str(script), *arguments], cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout
        pid = int(worker.stdout.readline())
        assert not gone(pid)
        os.kill(worker.pid, signal.SIGKILL)
    until = time.monotonic() + 30
    while not gone(pid):
        assert time.monotonic() < until, "the process outlives its worker"
        time.sleep(0.05)


BREAKS_AT_ITS_START = """
from dicom_ai.analysis.task import WAYS
from dicom_ai.worker.model_process import ModelProcess
from tests.integration.models_that_fail import SLEEPS, FailingModels

if __name__ == "__main__":
    process = ModelProcess(FailingModels, ways=WAYS)
    process.load(SLEEPS)
    print(process.pid, flush=True)
    raise RuntimeError("the database does not answer")
"""


def test_a_worker_that_breaks_at_its_start_ends_and_does_not_wait_for_its_process(tmp_path: Path) -> None:
    """The process ignores SIGTERM, with which Python ends such processes at its exit, and then waits for them."""
    script = tmp_path / "worker.py"
    script.write_text(BREAKS_AT_ITS_START)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

    worker = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=120)

    assert worker.returncode == 1
    assert "the database does not answer" in worker.stderr
    assert gone(int(worker.stdout))
