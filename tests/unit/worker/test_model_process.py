"""What is said of a process that has ended; tests/integration/test_model_process.py ends real ones."""

import pytest

from dicom_ai.analysis.task import WAYS
from dicom_ai.errors import WorkerLost
from dicom_ai.worker.model_process import ModelProcess, _ended_by
from tests.integration.models_that_fail import FailingModels


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (-9, "signal SIGKILL"),
        (-99, "signal 99"),
        (3, "exit status 3"),
        (None, "it does not even end when killed"),  # no test can make a driver hold a process
    ],
)
def test_how_a_process_ended_is_said_in_words(code: int | None, said: str) -> None:
    assert _ended_by(code) == said


def test_no_process_is_started_for_a_worker_that_stops() -> None:
    process = ModelProcess(FailingModels, ways=WAYS)
    process.close()

    with pytest.raises(WorkerLost, match=r"^the worker is being stopped$"):
        process.load("cord")
    assert process.pid is None
