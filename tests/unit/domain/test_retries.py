import pytest

from dicom_ai.domain.retries import Retries

DAYS = Retries(first_s=30, longest_s=3600, maximum=5, give_up_s=259_200)


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 30), (2, 60), (4, 240), (8, 3600), (500, 3600)])
def test_the_wait_doubles_up_to_the_longest_give_or_take_a_fifth(attempts: int, seconds: float) -> None:
    waits = [DAYS.delay_s(attempts) for _ in range(100)]

    assert 0.8 * seconds <= min(waits) < max(waits) <= 1.2 * seconds


def test_what_waits_together_waits_the_same_time() -> None:
    assert DAYS.delay_s(3, together=7) == DAYS.delay_s(3, together=7) != DAYS.delay_s(3, together=8)


def tries_within(retries: Retries, seconds: float, *, jitter: float) -> int:
    """Count the tries of something that never succeeds, until so many seconds have passed."""
    at_s, tries = 0.0, 1
    while at_s <= seconds:
        at_s += min(retries.first_s * 2 ** min(tries - 1, 30), retries.longest_s) * jitter
        tries += 1
    return tries


@pytest.mark.parametrize("jitter", [0.8, 1.0, 1.2])
def test_after_three_days_of_tries_it_is_over_however_long_the_waits_were(jitter: float) -> None:
    tries = tries_within(DAYS, DAYS.give_up_s, jitter=jitter)

    assert DAYS.are_over(attempts=tries, since_s=DAYS.give_up_s + 1)
    assert not DAYS.are_over(attempts=tries, since_s=DAYS.give_up_s)


def test_a_clock_that_was_set_forward_ends_nothing_that_was_tried_for_two_days() -> None:
    tried = tries_within(DAYS, 2 * 86_400, jitter=1.0)

    assert not DAYS.are_over(attempts=tried, since_s=30 * 86_400)


def test_a_node_that_was_off_for_a_week_goes_on_trying() -> None:
    assert not DAYS.are_over(attempts=1, since_s=7 * 86_400)


@pytest.mark.parametrize(
    ("retries", "least"),
    [
        (Retries(first_s=30, longest_s=3600, maximum=5, give_up_s=0), 1),
        (Retries(first_s=30, longest_s=3600, maximum=5, give_up_s=30), 2),  # the second try comes 24 to 36 s later
        (Retries(first_s=30, longest_s=3600, maximum=5, give_up_s=100), 3),
        (Retries(first_s=10, longest_s=10, maximum=5, give_up_s=120), 11),
    ],
)
def test_as_many_tries_are_needed_as_fit_into_the_time(retries: Retries, least: int) -> None:
    assert retries.are_over(attempts=least, since_s=1_000_000)
    assert not retries.are_over(attempts=least - 1, since_s=1_000_000)


def test_a_wait_of_nothing_is_over_when_its_time_is() -> None:
    at_once = Retries(first_s=0, longest_s=0, maximum=5, give_up_s=10)

    assert at_once.are_over(attempts=100, since_s=11)
    assert not at_once.are_over(attempts=100, since_s=10)
