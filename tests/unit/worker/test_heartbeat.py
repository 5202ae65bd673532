import threading

from dicom_ai.errors import Unavailable
from dicom_ai.worker.heartbeat import beating


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

    with beating(beat, 0.01):
        assert told.wait(5)
        threading.Event().wait(0.05)

    assert count == [1]


def test_a_database_that_is_away_does_not_stop_it() -> None:
    answers = iter([Unavailable("away"), Unavailable("away")])
    back = threading.Event()

    def beat() -> bool:
        for error in answers:
            raise error
        back.set()
        return True

    with beating(beat, 0.01):
        assert back.wait(5)
