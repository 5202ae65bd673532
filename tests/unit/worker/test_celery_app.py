import logging
import threading

import pytest
from structlog.testing import capture_logs

from dicom_ai.errors import Unavailable
from dicom_ai.worker.celery_app import MEMORY, Bell, QueueWork, Worker


def test_a_token_makes_the_queue_look_for_work() -> None:
    seen = {"gpu": threading.Event(), "io": threading.Event()}
    worker = Worker(MEMORY, {queue: QueueWork(event.set, 1) for queue, event in seen.items()})
    worker.start()
    Bell(MEMORY).ring("io")
    Bell(MEMORY).ring("gpu")

    assert all(event.wait(10) for event in seen.values())
    assert worker.stop()


def test_a_queue_uses_no_more_threads_than_it_may() -> None:
    at_once, most = [], []
    done = threading.Event()

    def work() -> None:
        at_once.append(1)
        most.append(len(at_once))
        done.wait(0.3)
        at_once.pop()

    worker = Worker(MEMORY, {"gpu": QueueWork(work, 1), "io": QueueWork(done.clear, 3)})
    worker.start()
    Bell(MEMORY).ring("gpu", 4)
    while len(most) < 2:
        done.wait(0.01)
    done.set()
    worker.stop()

    assert max(most) == 1


def test_a_database_that_is_away_is_a_line_in_the_log_and_the_next_token_is_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    back, tries = threading.Event(), []

    def work() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise Unavailable("database: connection refused")
        back.set()

    worker = Worker(MEMORY, {"io": QueueWork(work, 1)})
    worker.start()
    with caplog.at_level(logging.ERROR, logger="celery"), capture_logs() as logs:
        for _ in range(3):
            Bell(MEMORY).ring("io")

        assert back.wait(10)
    assert worker.stop()
    assert caplog.records == []
    waits = {"event": "work waits", "reason": "database: connection refused", "log_level": "warning"}
    assert [line for line in logs if line["event"] == "work waits"] == [waits, waits]
