"""The page as a picture, for archives that show nothing else. It does not say who the patient is: its header does."""

import io
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dicom_ai.imaging.drawing import Area, Dot, Line, Text
from dicom_ai.page.content import Page
from dicom_ai.page.layout import GROUND, HEIGHT, WIDTH, Picture, Placed, laid_out
from dicom_ai.page.letters import DOTS, DOTS_BELOW, JAPANESE, dots, font_bytes, runs
from dicom_ai.page.letters import width as width_of_dots

PIXELS_PER_POINT = 5 / 3
"""120 dots per inch: 992 x 1403 pixels. Small print stays legible, and the object is 4 MB."""

_FINER = 2
"""Shapes are painted this many times as large and averaged: Pillow's lines have no soft edges."""


def picture_of(page: Page) -> np.ndarray:
    """Return the page as uint8 (rows, columns, 3), without the lines that say who the patient is."""
    size = round(WIDTH * PIXELS_PER_POINT), round(HEIGHT * PIXELS_PER_POINT)
    image = Image.new("RGB", (_FINER * size[0], _FINER * size[1]), GROUND)
    painter = _Painter(image, _FINER * PIXELS_PER_POINT)
    for shape in laid_out(replace(page, identity=())):
        painter.paint(shape)
    return np.asarray(image.resize(size, Image.Resampling.BOX))


class _Painter:
    """Paints shapes in points on an image."""

    def __init__(self, image: Image.Image, scale: float) -> None:
        self._image, self._scale = image, scale
        self._pen = ImageDraw.Draw(image)
        self._font = font_bytes()
        self._fonts: dict[float, ImageFont.FreeTypeFont] = {}

    def paint(self, shape: Placed) -> None:
        """Paint one shape."""
        scale = self._scale
        match shape:
            case Line():
                points = [(x * scale, y * scale) for x, y in shape.points]
                self._pen.line(points, fill=shape.color, width=max(1, round(shape.width * scale)), joint="curve")
            case Area():
                self._pen.polygon([(x * scale, y * scale) for x, y in shape.points], fill=shape.color)
            case Dot():
                x, y, radius = (value * scale for value in (*shape.at, shape.radius))
                self._pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=shape.color)
            case Text():
                self._write(shape)
            case Picture():
                left, top = round(shape.left * scale), round(shape.top * scale)
                size = round(shape.width * scale), round(shape.height * scale)
                scaled = Image.fromarray(shape.pixels).resize(size, Image.Resampling.LANCZOS)
                self._image.paste(scaled, (left, top))

    def _write(self, text: Text) -> None:
        size = text.size * self._scale
        if size not in self._fonts:
            self._fonts[size] = ImageFont.truetype(io.BytesIO(self._font), size)
        font = self._fonts[size]
        pieces = [(name, piece, self._width(name, piece, size)) for name, piece in runs(text.text)]
        width = sum(wide for _, _, wide in pieces)
        left = text.at[0] * self._scale - {"start": 0.0, "middle": width / 2, "end": width}[text.anchor]
        base = text.at[1] * self._scale
        for name, piece, wide in pieces:
            if name == JAPANESE:
                self._write_dots(piece, (left, base), size, text.color)
            else:
                self._pen.text((left, base), piece, fill=text.color, font=font, anchor="ls")
            left += wide

    def _width(self, font: str, letters: str, size: float) -> float:
        return width_of_dots(letters, size) if font == JAPANESE else float(self._fonts[size].getlength(letters))

    def _write_dots(self, letters: str, at: tuple[float, float], size: float, color: str) -> None:
        left, base = at
        for letter in letters:
            marks = Image.fromarray(dots(letter).astype(np.uint8) * 255)
            high, wide = round(size), round(width_of_dots(letter, size))
            top = round(base - size * (DOTS - DOTS_BELOW) / DOTS)
            self._pen.bitmap((round(left), top), marks.resize((wide, high), Image.Resampling.LANCZOS), fill=color)
            left += width_of_dots(letter, size)
