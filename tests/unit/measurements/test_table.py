"""The table of measurements: names that read alone and fit, and the page that is generated from it."""

from pathlib import Path

import pytest

from dicom_ai.measurements.table import MEASUREMENTS, measurements_page, quantity

PAGE = Path(__file__).resolve().parents[3] / "docs" / "measurements.md"
LONGEST_SITE = "180-200 mm below top of cord seen."


def test_the_page_is_the_table():
    assert PAGE.read_text(encoding="utf-8") == measurements_page()


@pytest.mark.parametrize("key", MEASUREMENTS)
def test_displayed_names_fit_a_code_meaning(key):
    assert len(MEASUREMENTS[key].displayed_name(LONGEST_SITE)) <= 64


def test_mean_sd_minimum_and_maximum_never_share_a_name():
    names = [row.displayed_name("C3") for row in MEASUREMENTS.values()]

    assert len(set(names)) == len(names)


def test_names_read_alone():
    assert MEASUREMENTS["csa_mean"].displayed_name("C3") == "Mean CSA over C3"
    assert MEASUREMENTS["csa_sd"].displayed_name("C3") == "SD of CSA over C3"
    assert MEASUREMENTS["csa_min"].displayed_name("C3") == "Minimum CSA over C3"
    assert MEASUREMENTS["csa_slices"].displayed_name("C3") == "Slices measured"


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("csa_change", 2.7, "+2.7"),
        ("csa_change", -2.7, "-2.7"),
        ("csa_change", 0.0, "0.0"),
        ("csa_change_percent", 4.0, "+4.0"),
        ("csa_z", 1.2, "+1.2"),
        ("csa_mean", 67.4, "67.4"),
        ("angle_c2_c7", 12.0, "12"),
    ],
)
def test_people_read_a_difference_with_its_sign(key, value, text):
    row = MEASUREMENTS[key]

    assert row.text(value) == text
    assert row.digits(value) == text.removeprefix("+")


def test_values_are_rounded_to_the_row():
    assert quantity("csa_mean", 73.4567).value == 73.5
    assert quantity("csa_slices", 12.0).value == 12
    assert quantity("eccentricity_mean", 0.7599).value == 0.76


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_number_that_is_none_has_a_reason(value):
    missing = quantity("csa_mean", value)

    assert missing.value is None
    assert missing.reason


def test_a_negative_zero_is_zero():
    assert str(quantity("csa_z", -0.01).value) == "0.0"
