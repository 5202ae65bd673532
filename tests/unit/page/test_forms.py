"""The page as PDF and as a picture: what can be read in it, and that nothing is lost without a word."""

from dataclasses import replace

import numpy as np
import pypdfium2
import pytest
from reportlab.pdfbase import pdfmetrics

from dicom_ai.imaging.drawing import Line, Text
from dicom_ai.page.content import RESEARCH_ONLY, page_of
from dicom_ai.page.layout import FAINT, HEIGHT, WIDTH, Picture, laid_out
from dicom_ai.page.letters import DOTS, FAMILY, JAPANESE, dots, runs
from dicom_ai.page.pdf import pdf_of
from dicom_ai.page.picture import picture_of
from tests.unit.page.conftest import ORIGIN, entry, finding, number


def words(pdf: bytes) -> str:
    document = pypdfium2.PdfDocument(pdf)
    try:
        assert len(document) == 1
        return document[0].get_textpage().get_text_bounded()
    finally:
        document.close()


def test_the_pdf_says_what_the_page_says(page):
    text = words(pdf_of(page))

    for word in (
        RESEARCH_ONLY,
        "67.4",
        "Spinal cord, C5",
        "touches the border",
        "Yamada Tarou (山田 太郎)",
        "series 1.2.1",
    ):
        assert word in text


@pytest.mark.parametrize("name", ["Παπαδοπούλου Μαρία", "Müller Jörg", "Иванов Иван", "Yamada (山田 太郎)"])
def test_names_are_words_in_the_pdf(name):
    origin = ORIGIN.__class__((name,), ORIGIN.study, ORIGIN.series, ORIGIN.software)

    assert name in words(pdf_of(page_of(entry(), [], origin)))


def test_the_same_page_makes_the_same_bytes(page):
    assert pdf_of(page) == pdf_of(page)
    assert np.array_equal(picture_of(page), picture_of(page))


def test_a_picture_does_not_say_who_the_patient_is(page):
    named = picture_of(page)
    other = page.__class__(**{name: getattr(page, name) for name in page.__slots__} | {"identity": ("Someone Else",)})

    assert np.array_equal(named, picture_of(other))
    assert named.shape == (1403, 992, 3)


def test_a_letter_without_a_shape_becomes_a_question_mark():
    assert runs("C3\n") == [(FAMILY, "C3 ")]
    assert runs("a山") == [(FAMILY, "a"), (JAPANESE, "山")]
    assert runs("한") == [(FAMILY, "?")]


@pytest.mark.parametrize("letter", ["山", "髙", "か", "ｶ"])
def test_japanese_letters_are_seen_without_a_font_of_the_reader(letter):
    origin = ORIGIN.__class__(("Z" + letter,), ("Z" + letter,), ORIGIN.series, ORIGIN.software)
    made = page_of(entry(), [], origin)
    document = pypdfium2.PdfDocument(pdf_of(made))
    pdf = np.asarray(document[0].render(scale=4).to_pil().convert("L"))
    document.close()
    picture = picture_of(made).mean(axis=2)

    box = dots(letter).shape[1] / DOTS * 8.5
    left = 40 + pdfmetrics.stringWidth("Z", FAMILY, 8.5)
    for pixels, scale, base in ((pdf, 4.0, 56.0), (picture, 5 / 3, 56.0)):
        rows = slice(round((base - 7.4) * scale), round((base + 1) * scale))
        seen = pixels[rows, round(left * scale) : round((left + box) * scale)] < 128
        assert seen.mean() == pytest.approx(dots(letter).mean(), abs=0.12)


def test_what_is_said_of_changes_stands_first(page):
    said = "change since 2025-01-10 within measurement error (at most 3.0 mm2)"
    level = finding("C3", number("csa_mean", 67.4), notes=("anchor", said))
    prior = {"state": "compared", "says": [said], "warnings": []}

    assert page_of(entry(level, notes=["a note"], prior=prior), [], ORIGIN).notes == (
        f"C3: {said}",
        "a note",
        "C3: anchor",
    )


def test_what_has_no_room_is_counted(page):
    many = [finding(f"S{place}", number("csa_mean", 70.0), notes=(f"note {place}",)) for place in range(120)]
    shapes = laid_out(page_of(entry(*many), page.pictures, ORIGIN))
    texts = [shape.text for shape in shapes if isinstance(shape, Text)]

    left_out = next(text for text in texts if text.endswith("more in the report (SR)"))
    shown = sum(text.startswith("Spinal cord, S") for text in texts)
    assert left_out == f"and {120 - shown} more in the report (SR)"
    assert sum(text.endswith("more lines in the report (SR)") for text in texts) == 1
    assert all(0 < shape.at[0] < WIDTH and 0 < shape.at[1] < HEIGHT for shape in shapes if isinstance(shape, Text))


def test_captions_keep_to_the_width_of_their_pictures(page):
    pdf_of(page)  # brings the font in
    narrow = replace(page.pictures[0], caption="series 2 t2_space_sag_iso: spinal-cord")
    shapes = laid_out(replace(page, pictures=(narrow, narrow)))

    lines = [shape for shape in shapes if isinstance(shape, Text) and shape.size == 6.5 and shape.color == FAINT]
    pictures = [shape for shape in shapes if isinstance(shape, Picture)]
    for picture in pictures:
        below = [line for line in lines if line.at[0] == picture.left]
        assert " ".join(line.text for line in below) == narrow.caption
        assert all(measured(line) <= picture.width for line in below)


def test_notes_fill_the_page_where_the_tables_are_short(page):
    notes = tuple(f"note {place} of many" for place in range(20))
    texts = [shape.text for shape in laid_out(replace(page, notes=notes)) if isinstance(shape, Text)]

    assert set(notes) <= set(texts)


@pytest.mark.parametrize(("pictures", "beside"), [(0, False), (1, True), (2, True), (3, False)])
def test_the_curve_stands_beside_the_pictures_where_there_is_room(page, pictures, beside):
    tall = replace(page.pictures[0], pixels=np.full((66, 42, 3), 128, np.uint8))
    shapes = laid_out(replace(page, pictures=(tall,) * pictures))

    heading = next(one for one in shapes if isinstance(one, Text) and one.text.startswith("Cross-sectional area"))
    right = max((one.left + one.width for one in shapes if isinstance(one, Picture)), default=0.0)
    below = max((one.top + one.height for one in shapes if isinstance(one, Picture)), default=0.0)
    assert (heading.at[0] > right and heading.at[1] < below) == beside
    drawn = [point for one in shapes if isinstance(one, Line) for point in one.points]
    assert all(0 < across < WIDTH and 0 < down < HEIGHT for across, down in drawn)
    table = next(one for one in shapes if isinstance(one, Text) and one.text.startswith("Spinal cord, C3"))
    assert table.at[1] > max(below, heading.at[1] + 100)


def measured(line: Text) -> float:
    """Return the width of a line in the PDF, in points."""
    return pdfmetrics.stringWidth(line.text, FAMILY, line.size)
