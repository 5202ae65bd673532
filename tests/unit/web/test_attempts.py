from dicom_ai.web.attempts import FIRST_WAIT_S, FREE, LONGEST_WAIT_S, Attempts


class Clock:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def test_each_further_failure_doubles_the_wait() -> None:
    attempts = Attempts(Clock())

    waits = []
    for _ in range(FREE + 2):
        attempts.failed("a")
        waits.append(attempts.wait_s("a"))

    assert waits == [0, 0, 0, 0, FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S]


def test_the_wait_has_an_end_and_others_do_not_wait() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(50):
        attempts.failed("a")

    assert attempts.wait_s("a") == LONGEST_WAIT_S
    assert attempts.wait_s("b") == 0
    clock.at = LONGEST_WAIT_S
    assert attempts.wait_s("a") == 0


def test_a_success_forgets_the_failures() -> None:
    attempts = Attempts(Clock())
    for _ in range(FREE):
        attempts.failed("a")

    attempts.succeeded("a")

    assert attempts.wait_s("a") == 0
