"""The page as PDF, with its fonts in it and its words as words. [reportlab]"""

import io

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
from dicom_ai.page.letters import FAMILY, JAPANESE, font_bytes, runs


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
        pdfmetrics.registerFont(UnicodeCIDFont(JAPANESE))
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
    pieces = runs(text.text, japanese=True)
    width = sum(pdfmetrics.stringWidth(piece, font, text.size) for font, piece in pieces)
    left = text.at[0] - {"start": 0.0, "middle": width / 2, "end": width}[text.anchor]
    canvas.setFillColor(HexColor(text.color))
    for font, piece in pieces:
        canvas.setFont(font, text.size)
        canvas.drawString(left, HEIGHT - text.at[1], piece)
        left += pdfmetrics.stringWidth(piece, font, text.size)
