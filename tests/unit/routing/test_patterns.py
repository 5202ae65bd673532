"""Regular expressions that an administrator may write."""

import time

import pytest

from dicom_ai.routing.patterns import compiled, found


@pytest.mark.parametrize(
    "pattern", ["^t2.*sag", r"c[1-7]\b", "(cor|sag)itt?al", "(ab+)?c", "a{1,3}", "(?!neck)spine", "(?:x|y){0,1}"]
)
def test_ordinary_patterns_are_taken(pattern):
    compiled(pattern, case=False)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(a+)*", "repeats what repeats"),
        ("(a|aa)+", "repeats alternatives"),
        ("((ab)*c)*", "repeats what repeats"),
        (r"(a)\1", "refers back"),
        (".*a.*b.*c.*d", "open repeats"),
        ("(unclosed", "bad regular expression"),
        ("a**", "bad regular expression"),
    ],
)
def test_patterns_that_are_malformed_or_may_explode_are_refused(pattern, why):
    with pytest.raises(ValueError, match=why):
        compiled(pattern, case=False)


def test_the_worst_pattern_that_is_taken_ends_soon_on_a_long_text():
    start = time.perf_counter()

    assert not found(compiled("a*a*a*b", case=False), "a" * 100_000)
    assert time.perf_counter() - start < 5


def test_case_counts_when_told():
    assert found(compiled("SAG", case=False), "t2_sag")
    assert not found(compiled("SAG", case=True), "t2_sag")
