import pytest

from dicom_ai.anatomy.levels import LEVELS, STANDARD, disc_between, level_index, levels_of_disc


def test_a_spine_has_24_vertebrae_above_the_sacrum_and_two_spare_names():
    assert len(STANDARD) == 25
    assert len(LEVELS) == 27
    assert LEVELS[0] == "C1" and LEVELS[-1] == "S1"


@pytest.mark.parametrize(
    ("upper", "lower", "disc"),
    [
        ("C2", "C3", "C2/C3"),
        ("C7", "T1", "C7/T1"),
        ("T12", "L1", "T12/L1"),
        ("L5", "S1", "L5/S1"),
        ("T12", "T13", "T12/T13"),
        ("T13", "L1", "T13/L1"),
        ("T11", "L1", "T11/L1"),
        ("L6", "S1", "L6/S1"),
    ],
)
def test_a_disc_is_named_after_its_neighbours(upper, lower, disc):
    assert disc_between(upper, lower) == disc
    assert levels_of_disc(disc) == (upper, lower)


@pytest.mark.parametrize(("upper", "lower"), [("C1", "C2"), ("C2", "C4"), ("C3", "C2"), ("S1", "L5")])
def test_no_disc_lies_between_others(upper, lower):
    with pytest.raises(ValueError, match="no disc"):
        disc_between(upper, lower)


def test_an_unknown_name_is_no_level():
    with pytest.raises(ValueError, match="C9"):
        level_index("C9")
