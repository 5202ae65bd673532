"""What stands on the page: numbers as the table of measurements has them, and why some are missing."""

from dataclasses import replace

from dicom_ai.page.content import MISSING, number_text, page_of
from tests.unit.page.conftest import ORIGIN, entry, finding, number


def test_numbers_have_the_decimals_of_their_measurement():
    assert number_text("csa_mean", 12.0) == "12.0"
    assert number_text("csa_slices", 12.0) == "12"
    assert number_text("csa_mean", None) == MISSING


def test_a_row_is_a_finding_with_its_site_numbers_and_quality(page):
    (table,) = page.tables

    assert table.caption == "series 3 t2_sag: spinal-cord"
    assert table.heads == (("CSA mean", "mm²"), ("CSA SD", "mm²"))
    assert table.rows == (("Spinal cord, C3", "67.4", "2.0", "pass"), ("Spinal cord, C5", MISSING, "", "fail"))


def test_notes_say_why_numbers_are_missing(page):
    assert page.notes == ("spinal-cord: a note", f"{MISSING} (C5): touches the border", "C3: norms: none for 7 T")


def test_a_new_run_says_which_it_replaces():
    page = page_of(entry(run=2, complete=False), [], ORIGIN)

    assert page.study[-1] == "run 2, replaces run 1; partial: not all analyses had ended"


def test_a_compression_stands_in_the_table_with_its_mscc():
    found = finding("compression candidate at C4", number("mscc", 22.0), quality="warn")
    (table,) = page_of(entry(finding("C4", number("csa_mean", 68.1)), found), [], ORIGIN).tables

    assert table.heads == (("CSA mean", "mm²"), ("MSCC", "%"))
    assert table.rows[1] == ("Spinal cord, compression candidate at C4", "", "22", "warn")


def test_the_series_that_gives_most_areas_comes_first():
    def series(uid, *values):
        found = [finding(f"C{place}", number("csa_mean", value)) for place, value in enumerate(values, 2)]
        return {**entry()["series"][0], "series_uid": uid, "findings": found}

    both = entry()
    both["series"] = [series("1.2.1", None, None, 60.0), series("1.2.2", 71.0, 70.0, 69.0)]

    assert [table.rows[0][1] for table in page_of(both, [], ORIGIN).tables] == ["71.0", MISSING]


def test_the_curve_says_which_series_it_is_of(page):
    long = replace(ORIGIN, series={"1.2.1": "series 3 " + "very long words " * 5})

    assert page.curve_of == "series 3 t2_sag"
    assert page_of(entry(), [], long).curve_of == "series 3 very long words very long words ..."


def test_provenance_names_model_series_and_node(page):
    assert page.provenance == (
        f"model spinal-cord 1.0.0 (sha256 {'ab' * 8}), series 1.2.1",
        "dicom_ai 0.1.0; made 2026-01-10T12:00:00+00:00",
    )


def test_tables_of_the_cord_come_first():
    vertebra = {**entry()["series"][0], "findings": [finding("C3 vertebra", number("height_anterior", 12.0))]}
    both = entry(finding("C3", number("csa_mean", 67.4)))
    both["series"].insert(0, vertebra)

    assert [table.heads[0][0] for table in page_of(both, [], ORIGIN).tables] == ["CSA mean", "ant. h."]
