"""Regular expressions that an administrator may write."""

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


def test_only_the_first_256_characters_are_looked_at_so_that_no_text_makes_a_pattern_slow():
    assert found(compiled("b", case=False), "a" * 255 + "b")
    assert not found(compiled("b", case=False), "a" * 256 + "b")
    assert not found(compiled("a*a*a*b", case=False), "a" * 100_000)


def test_case_counts_when_told():
    assert found(compiled("SAG", case=False), "t2_sag")
    assert not found(compiled("SAG", case=True), "t2_sag")
