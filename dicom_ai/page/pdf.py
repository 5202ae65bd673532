"""The page as PDF, with its letters in it and its words as words. [reportlab]

Japanese letters are drawn as dots, and lie there once more unseen, so that they can be searched and copied.
"""

import io

import numpy as np
from PIL import Image
from reportlab.lib.colors import HexColor
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.pdfgen.pathobject import PDFPathObject

from dicom_ai.imaging.drawing import Area, Dot, Line, Text
from dicom_ai.page.content import RESEARCH_ONLY, Page
from dicom_ai.page.layout import HEIGHT, WIDTH, Picture, Placed, laid_out
from dicom_ai.page.letters import DOTS, DOTS_BELOW, FAMILY, JAPANESE, dots, font_bytes, runs
from dicom_ai.page.letters import width as width_of_dots

UNSEEN = "HeiseiKakuGo-W5"
"""A font that a reader need not have, as nothing is drawn with it (ISO 32000-1 9.3.6, text rendering mode 3)."""

_OVERLAP = 0.08
"""Rows of dots overlap by so much of a dot, or fine lines would show between them."""


def pdf_of(page: Page) -> bytes:
    """Return the page as PDF; the same page gives the same bytes."""
    _register_fonts()
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(WIDTH, HEIGHT), invariant=True, pageCompression=1)
    canvas.setTitle(page.title)
    canvas.setSubject(RESEARCH_ONLY)
    canvas.setCreator("dicom_ai")
    for shape in laid_out(page):
        _draw(canvas, shape)
    canvas.save()
    return out.getvalue()


def _register_fonts() -> None:
    if FAMILY not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(UNSEEN))
        pdfmetrics.registerFont(TTFont(FAMILY, io.BytesIO(font_bytes())))


def _draw(canvas: Canvas, shape: Placed) -> None:
    match shape:
        case Line():
            canvas.setStrokeColor(HexColor(shape.color))
            canvas.setLineWidth(shape.width)
            canvas.drawPath(_path(canvas, shape.points), stroke=1, fill=0)
        case Area():
            canvas.setFillColor(HexColor(shape.color))
            path = _path(canvas, shape.points)
            path.close()
            canvas.drawPath(path, stroke=0, fill=1)
        case Dot():
            canvas.setFillColor(HexColor(shape.color))
            canvas.circle(shape.at[0], HEIGHT - shape.at[1], shape.radius, stroke=0, fill=1)
        case Text():
            _write(canvas, shape)
        case Picture():
            image = ImageReader(Image.fromarray(shape.pixels))
            canvas.drawImage(image, shape.left, HEIGHT - shape.top - shape.height, shape.width, shape.height)


def _path(canvas: Canvas, points: tuple[tuple[float, float], ...]) -> PDFPathObject:
    path = canvas.beginPath()
    path.moveTo(points[0][0], HEIGHT - points[0][1])
    for x, y in points[1:]:
        path.lineTo(x, HEIGHT - y)
    return path


def _write(canvas: Canvas, text: Text) -> None:
    pieces = runs(text.text)
    width = sum(_width(font, piece, text.size) for font, piece in pieces)
    left = text.at[0] - {"start": 0.0, "middle": width / 2, "end": width}[text.anchor]
    base = HEIGHT - text.at[1]
    canvas.setFillColor(HexColor(text.color))
    for font, piece in pieces:
        if font == JAPANESE:
            _draw_dots(canvas, piece, left, base, text.size)
        else:
            canvas.setFont(font, text.size)
            canvas.drawString(left, base, piece)
        left += _width(font, piece, text.size)


def _width(font: str, letters: str, size: float) -> float:
    return width_of_dots(letters, size) if font == JAPANESE else pdfmetrics.stringWidth(letters, font, size)


def _draw_dots(canvas: Canvas, letters: str, left: float, base: float, size: float) -> None:
    dot = size / DOTS
    path = canvas.beginPath()
    at = left
    for letter in letters:
        for row, marks in enumerate(dots(letter)):
            below = base + (DOTS - DOTS_BELOW - 1 - row - _OVERLAP) * dot
            for start, stop in _stretches(marks):
                path.rect(at + start * dot, below, (stop - start) * dot, (1 + 2 * _OVERLAP) * dot)
        at += dot * dots(letter).shape[1]
    canvas.drawPath(path, stroke=0, fill=1)
    canvas.setFont(UNSEEN, size)
    canvas.drawString(left, base, letters, mode=3)


def _stretches(marks: np.ndarray) -> list[tuple[int, int]]:
    """Return where dots follow each other in a row: first, and one beyond the last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marks, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
