import threading

import pytest
from structlog.testing import capture_logs

from dicom_ai.errors import Unavailable
from dicom_ai.worker import heartbeat
from dicom_ai.worker.heartbeat import beating, tell


def test_the_lease_is_extended_while_work_goes_on() -> None:
    beats = threading.Semaphore(0)

    def beat() -> bool:
        beats.release()
        return True

    with beating(beat, 0.03):
        assert all(beats.acquire(timeout=5) for _ in range(3))


def test_it_ends_with_the_work() -> None:
    count = []

    def beat() -> bool:
        count.append(1)
        return True

    with beating(beat, 0.01):
        threading.Event().wait(0.05)
    after = len(count)
    threading.Event().wait(0.05)

    assert len(count) == after


def test_it_stops_when_the_claim_is_lost() -> None:
    count = []
    told = threading.Event()

    def beat() -> bool:
        count.append(1)
        told.set()
        return False

    with capture_logs() as logs, beating(beat, 0.01):
        assert told.wait(5)
        threading.Event().wait(0.05)

    assert count == [1]
    assert [line["event"] for line in logs] == ["claim lost while working"]


def test_a_database_that_is_away_does_not_stop_it() -> None:
    answers = iter([Unavailable("away"), Unavailable("away")])
    back = threading.Event()

    def beat() -> bool:
        for error in answers:
            raise error
        back.set()
        return True

    with capture_logs() as logs, beating(beat, 0.01):
        assert back.wait(5)

    assert [(line["event"], line["reason"]) for line in logs] == [("no heartbeat", "away")] * 2


def test_what_became_of_a_claim_is_written_when_the_database_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "TELL_AGAIN_S", 0.001)
    errors, written = [Unavailable("away")] * 3, []

    def write() -> None:
        if errors:
            raise errors.pop()
        written.append("done")

    with capture_logs() as logs:
        tell(write, threading.Event())

    assert written == ["done"]
    assert [(line["event"], line["reason"]) for line in logs] == [
        ("the end of a claim could not be written", "away")
    ] * 3


def test_a_worker_that_stops_does_not_wait_for_the_database() -> None:
    stopped, tries = threading.Event(), []

    def write() -> None:
        tries.append(1)
        stopped.set()
        raise Unavailable("away")

    tell(write, stopped)

    assert tries == [1]
