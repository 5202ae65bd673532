"""Where everything on the page lies: shapes in points from the top left of an A4 sheet."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dicom_ai.imaging.drawing import Area, Dot, Drawing, Line, Shape, Text
from dicom_ai.measurements.csa_plot import csa_drawing
from dicom_ai.page.content import RESEARCH_ONLY, KeyPicture, NumberTable, Page

WIDTH, HEIGHT = 595.0, 842.0
MARGIN, GAP = 40.0, 8.0
PICTURES_HEIGHT = 160.0
CURVE_HEIGHT, LARGEST_CURVE = 150.0, 210.0
FOOTER = 62.0
LINE, SMALL_LINE = 12.0, 8.5
MOST_PICTURES, MOST_ORIGINS = 3, 4
NOTES_KEPT = 8
"""Lines of notes that keep their room where tables are long; where they are not, there are more."""

LETTERS_A_LINE = 135
CAPTION_LETTER, MOST_CAPTION_LINES = 3.9, 3
"""Width of a letter of a caption, on the safe side, and the lines it may fill."""

TABLE_HEAD = 5 * SMALL_LINE
"""Of a table: the gap above, its caption, two lines of heads, and the line that says how many rows are left out."""

FEWEST_ROWS = 3
SITE_SHARE = 0.27
"""Share of the width of a table that the site has."""

INK, FAINT, ALARM, GROUND = "#1a1a1a", "#666666", "#a01010", "#ffffff"


@dataclass(frozen=True, slots=True)
class Picture:
    """An image in a box. pixels: uint8, shape (rows, columns, 3)."""

    left: float
    top: float
    width: float
    height: float
    pixels: np.ndarray = field(repr=False)


Placed = Shape | Picture


def laid_out(page: Page) -> tuple[Placed, ...]:
    """Return the shapes of a page, the first lies lowest. What has no room is left out, and the page says so."""
    sheet = _Sheet()
    _head(sheet, page)
    top, right = sheet.top, MARGIN
    if page.pictures:
        right = _pictures(sheet, page.pictures[:MOST_PICTURES])
    if page.curve is not None:
        _curve(sheet, csa_drawing(page.curve, title=page.curve_of), beside=(right + GAP, top))
    notes = [line for note in page.notes for line in textwrap.wrap(note, LETTERS_A_LINE, subsequent_indent="  ")]
    kept = SMALL_LINE * min(len(notes), NOTES_KEPT)
    for table, rows in zip(page.tables, _rows_shown(sheet, page.tables, keep=kept), strict=True):
        _table(sheet, table, most=rows)
    _notes(sheet, notes)
    _foot(sheet, page.provenance)
    return tuple(sheet.shapes)


class _Sheet:
    """The page while it fills from the top. bottom: where the footer begins."""

    def __init__(self) -> None:
        self.shapes: list[Placed] = []
        self.top = MARGIN
        self.bottom = HEIGHT - FOOTER

    def write(self, text: str, size: float, *, at: float = MARGIN, anchor: str = "start", color: str = INK) -> None:
        """Write a line whose baseline lies at the height reached."""
        self.shapes.append(Text((at, self.top), text, size, anchor, color))


def _head(sheet: _Sheet, page: Page) -> None:
    sheet.write(page.title, 16)
    sheet.write(RESEARCH_ONLY, 11, at=WIDTH - MARGIN, anchor="end", color=ALARM)
    sheet.top += LINE + 4
    for line in (*page.identity, *page.study):
        sheet.write(line, 8.5)
        sheet.top += LINE
    sheet.top -= 4


def _pictures(sheet: _Sheet, pictures: Sequence[KeyPicture]) -> float:
    """Show the pictures side by side, as high as the width allows, each with its caption; return where they end."""
    width = WIDTH - 2 * MARGIN - GAP * (len(pictures) - 1)
    shapes = [picture.pixels.shape[1] / picture.pixels.shape[0] for picture in pictures]
    height = min(PICTURES_HEIGHT, width / sum(shapes))
    left, top = MARGIN, sheet.top
    most_lines = 1
    for picture, shape in zip(pictures, shapes, strict=True):
        sheet.shapes.append(Picture(left, top, shape * height, height, picture.pixels))
        lines = textwrap.wrap(picture.caption, max(int(shape * height / CAPTION_LETTER), 1))[:MOST_CAPTION_LINES]
        for number, line in enumerate(lines, 1):
            sheet.top = top + height + number * SMALL_LINE
            sheet.write(line, 6.5, at=left, color=FAINT)
        most_lines = max(most_lines, len(lines))
        left += shape * height + GAP
    sheet.top = top + height + most_lines * SMALL_LINE + GAP
    return left - GAP


def _curve(sheet: _Sheet, drawing: Drawing, *, beside: tuple[float, float]) -> None:
    """Show the curve right of the pictures, where there is room for it, else below. beside: where that room begins."""
    left, top = beside
    scale = min((WIDTH - MARGIN - left) / drawing.width, LARGEST_CURVE / drawing.height)
    if top == sheet.top or scale * drawing.height < CURVE_HEIGHT:
        scale = CURVE_HEIGHT / drawing.height
        left, top = (WIDTH - scale * drawing.width) / 2, sheet.top
    sheet.shapes += [moved(shape, left=left, top=top, scale=scale) for shape in drawing.shapes]
    sheet.top = max(sheet.top, top + scale * drawing.height + GAP)


def _rows_shown(sheet: _Sheet, tables: Sequence[NumberTable], *, keep: float) -> list[int]:
    """Return how many rows of each table fit above what must be kept free: a few of each, then the first ones whole."""
    room = int((sheet.bottom - sheet.top - keep - TABLE_HEAD * len(tables)) // SMALL_LINE)
    shown = [min(len(table.rows), FEWEST_ROWS) for table in tables]
    for place, table in enumerate(tables):
        shown[place] += min(len(table.rows) - shown[place], max(room - sum(shown), 0))
    return shown


def _table(sheet: _Sheet, table: NumberTable, *, most: int) -> None:
    """Write the first rows of a table, and how many it has more."""
    sheet.top += SMALL_LINE
    sheet.write(table.caption, 8)
    ends = _column_ends(len(table.heads))
    sheet.top += SMALL_LINE
    for (name, _), end in zip((*table.heads, ("quality", "")), ends, strict=True):
        sheet.write(name, 6, at=end, anchor="end", color=FAINT)
    sheet.top += SMALL_LINE - 2
    for (_, unit), end in zip(table.heads, ends, strict=False):
        sheet.write(unit, 6, at=end, anchor="end", color=FAINT)
    sheet.shapes.append(Line(((MARGIN, sheet.top + 3), (WIDTH - MARGIN, sheet.top + 3)), FAINT, 0.5))
    sheet.top += SMALL_LINE + 3
    for row in table.rows[:most]:
        sheet.write(row[0], 7)
        for value, end in zip(row[1:], ends, strict=True):
            sheet.write(value, 7, at=end, anchor="end")
        sheet.top += SMALL_LINE
    if len(table.rows) > most:
        sheet.write(f"and {len(table.rows) - most} more in the report (SR)", 6.5, color=FAINT)
        sheet.top += SMALL_LINE


def _column_ends(numbers: int) -> list[float]:
    """Return where each column of numbers ends, and the quality after them."""
    whole = WIDTH - 2 * MARGIN
    each = (1 - SITE_SHARE) / (numbers + 1)
    return [MARGIN + whole * (SITE_SHARE + each * (place + 1)) for place in range(numbers + 1)]


def _notes(sheet: _Sheet, lines: Sequence[str]) -> None:
    sheet.top += SMALL_LINE
    fitting = max(int((sheet.bottom - sheet.top) // SMALL_LINE), 1)
    shown = list(lines[:fitting])
    if len(lines) > fitting:
        shown[-1] = f"and {len(lines) - fitting + 1} more lines in the report (SR)"
    for line in shown:
        sheet.write(line, 6.5)
        sheet.top += SMALL_LINE


def _foot(sheet: _Sheet, provenance: Sequence[str]) -> None:
    sheet.top = sheet.bottom
    sheet.shapes.append(Line(((MARGIN, sheet.top), (WIDTH - MARGIN, sheet.top)), FAINT, 0.5))
    shown = provenance if len(provenance) <= MOST_ORIGINS else (*provenance[: MOST_ORIGINS - 1], provenance[-1])
    for line in shown:
        sheet.top += SMALL_LINE
        sheet.write(line, 5.5, color=FAINT)
    sheet.top += SMALL_LINE
    sheet.write(f"{RESEARCH_ONLY}. Not for diagnosis.", 5.5, color=ALARM)


def moved(shape: Shape, *, left: float, top: float, scale: float) -> Shape:
    """Return a shape of another drawing, scaled and put at a place."""

    def place(point: tuple[float, float]) -> tuple[float, float]:
        return left + scale * point[0], top + scale * point[1]

    match shape:
        case Line():
            return replace(shape, points=tuple(map(place, shape.points)), width=scale * shape.width)
        case Area():
            return replace(shape, points=tuple(map(place, shape.points)))
        case Dot():
            return replace(shape, at=place(shape.at), radius=scale * shape.radius)
        case Text():
            return replace(shape, at=place(shape.at), size=scale * shape.size)
