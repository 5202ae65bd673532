"""The same thing is told of once in a while, and how often it happened meanwhile is never lost."""

from dicom_ai.domain.throttle import Throttle


def test_a_thing_is_told_of_once_and_counted_until_it_may_be_told_of_again() -> None:
    throttle = Throttle(60.0, others="others")

    told = [throttle.take("a", at) for at in (0.0, 1.0, 59.0)]
    early, due, over = throttle.due(59.0), throttle.due(60.0), throttle.due(120.0)

    assert told == ["a", None, None]
    assert (early, due, over) == ({}, {"a": 2}, {})


def test_a_thing_that_comes_again_later_is_told_of_again() -> None:
    throttle = Throttle(60.0, others="others")

    assert [throttle.take("a", at) for at in (0.0, 60.0)] == ["a", "a"]


def test_things_are_told_of_apart() -> None:
    throttle = Throttle(60.0, others="others")

    assert [throttle.take(thing, 0.0) for thing in "ab"] == ["a", "b"]


def test_more_things_than_fit_are_told_of_as_others() -> None:
    throttle = Throttle(60.0, others="others", most=2)

    told = [throttle.take(thing, 0.0) for thing in "abcd"]

    assert told == ["a", "b", "others", None]
    assert throttle.due(60.0) == {"others": 1}
    assert throttle.take("c", 61.0) == "c"  # what did not come again is forgotten
