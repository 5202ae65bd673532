"""Regular expressions that an administrator may write."""

import time

import pytest

from dicom_ai.routing.patterns import compiled, found


@pytest.mark.parametrize(
    ("pattern", "text", "other"),
    [
        ("^t2.*sag", "T2_tse_SAG", "sag t2"),
        (r"c[1-7]\b", "level C5 up", "c57"),
        ("(cor|sag)itt?al", "Sagital", "axial"),
        ("^(ab+)?c", "abbc", "bc"),
        ("^a{1,3}$", "AAA", "aaaa"),
        ("(?!neck)spine", "lumbar spine", "neck"),
        ("^(?:x|y){0,1}z", "yz", "xyz"),
    ],
)
def test_ordinary_patterns_are_taken_and_find_what_they_say(pattern, text, other):
    assert found(compiled(pattern, case=False), text)
    assert not found(compiled(pattern, case=False), other)


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
