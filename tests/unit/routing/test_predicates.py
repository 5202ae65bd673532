"""The predicates: true, false and unknown."""

import pytest

from dicom_ai.routing.predicates import PREDICATES, Operand, answer


@pytest.mark.parametrize(
    ("predicate", "vr", "values", "argument", "expected"),
    [
        ("equals", "CS", ["MR"], "mr", True),
        ("equals", "CS", ["ORIGINAL", "PRIMARY", "M"], "PRIMARY", True),
        ("equals", "CS", ["ORIGINAL", "PRIMARY"], "ORIGINAL\\PRIMARY", True),
        ("equals", "DS", ["3.00"], 3, True),
        ("equals", "DS", ["3.1"], 3, False),
        ("equals", "DS", ["three"], 3, None),
        ("equals", "AS", ["047Y"], 47, True),
        ("in", "CS", ["DX"], ["CR", "DX"], True),
        ("in", "CS", ["MR"], ["CR", "DX"], False),
        ("contains", "LO", ["MR C-SPINE W/O"], "c-spine", True),
        ("contains", "CS", ["ORIGINAL", "DIFFUSION"], "diff", True),
        ("contains", "LO", ["brain"], "spine", False),
        ("regex", "LO", ["T2_tse_SAG"], "^t2.*sag$", True),
        ("regex", "CS", ["DERIVED", "PRIMARY"], r"^DERIVED\\PRIMARY$", True),
        ("range", "DS", ["80"], {"above": 80}, False),
        ("range", "DS", ["80"], {"min": 80, "max": 80}, True),
        ("range", "DS", ["80"], {"below": 80}, False),
        ("range", "DS", ["0.5", "0.9"], {"max": 0.6}, False),
        ("range", "DS", ["0.5", "?"], {"max": 0.6}, None),
        ("range", "AS", ["011M"], {"min": "018Y"}, False),
        ("range", "DA", ["20260115"], {"min": "2026-01-01", "below": "20260201"}, True),
        ("range", "TM", ["235959.5"], {"min": "18:00"}, True),
        ("exists", "LO", ["x"], True, True),
        ("exists", "LO", [], True, False),
        ("exists", "LO", [], False, True),
    ],
)
def test_predicates_answer_by_vr(predicate, vr, values, argument, expected):
    assert answer(predicate, Operand(vr, values), argument) is expected


@pytest.mark.parametrize(
    ("predicate", "argument"),
    [("equals", "MR"), ("contains", "x"), ("regex", "."), ("in", ["MR"]), ("range", {"min": 0})],
)
def test_a_missing_value_is_unknown(predicate, argument):
    assert answer(predicate, Operand("LO", []), argument) is None


def test_text_is_compared_with_its_case_when_told():
    assert answer("equals", Operand("LO", ["SPINE"], case=True), "spine") is False
    assert answer("contains", Operand("LO", ["SPINE"], case=True), "spi") is False
    assert answer("regex", Operand("LO", ["SPINE"], case=True), "spi") is False


def test_every_predicate_says_what_it_means():
    assert all(predicate.meaning and predicate.argument for predicate in PREDICATES.values())
