import pytest

from dicom_ai.domain.retries import Retries

DAYS = Retries(first_s=30, longest_s=3600, maximum=5, give_up_s=259_200)


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 30), (2, 60), (4, 240), (8, 3600), (500, 3600)])
def test_the_wait_doubles_up_to_the_longest_give_or_take_a_fifth(attempts: int, seconds: float) -> None:
    waits = [DAYS.delay_s(attempts) for _ in range(100)]

    assert 0.8 * seconds <= min(waits) < max(waits) <= 1.2 * seconds


def test_what_waits_together_waits_the_same_time() -> None:
    assert DAYS.delay_s(3, together=7) == DAYS.delay_s(3, together=7) != DAYS.delay_s(3, together=8)
