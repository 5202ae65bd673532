"""Comparison by VR."""

import pytest

from dicom_ai.routing.values import key


@pytest.mark.parametrize(
    ("vr", "one", "other"),
    [
        ("DS", "3.0", 3),
        ("IS", " 12 ", 12),
        ("LO", "T2 SAG ", "t2 sag"),
        ("LO", "T2  SAG", "T2 SAG"),
        ("DA", "20260115", "2026-01-15"),
        ("TM", "101500.000", "10:15"),
        ("AS", "024M", "002Y"),
        ("AS", "047Y", 47),
        ("DT", "20260115101500", "2026-01-15"[:4] + "0115101500.00"),
        ("CS", 3.0, "3"),
    ],
)
def test_equal_values_have_one_key(vr, one, other):
    assert key(vr, one) == pytest.approx(key(vr, other)) if vr == "AS" else key(vr, one) == key(vr, other)


def test_text_keeps_its_case_when_told():
    assert key("LO", "T2", case=True) != key("LO", "t2", case=True)


@pytest.mark.parametrize(
    ("vr", "value"), [("DS", "n/a"), ("AS", "old"), ("DA", "unknown"), ("DA", "20261399"), ("TM", "noon")]
)
def test_a_value_that_cannot_be_read_in_its_vr_has_no_key(vr, value):
    assert key(vr, value) is None


def test_ages_and_dates_are_in_order():
    assert key("AS", "011M") < key("AS", "001Y") < key("AS", "053W") < key("AS", "002Y")
    assert key("DA", "20251231") < key("DA", "20260101")
    assert key("DT", "20260115101500") < key("DT", "20260115101501")
