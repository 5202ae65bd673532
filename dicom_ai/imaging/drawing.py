"""Line drawings without a plotting library: shapes in points from the top left, written as SVG or painted as PNG."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw, ImageFont

BLACK = "#1a1a1a"
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points."""

    points: tuple[Point, ...]
    color: str = BLACK
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Area:
    """A filled polygon without a border."""

    points: tuple[Point, ...]
    color: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A filled circle."""

    at: Point
    radius: float
    color: str = BLACK


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text; at: its baseline. anchor: which of its ends lies there: "start", "middle" or "end"."""

    at: Point
    text: str
    size: float = 11.0
    anchor: str = "start"
    color: str = BLACK


Shape = Line | Area | Dot | Text


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes on white, the first lies lowest. title: what people who cannot see it are told."""

    width: float
    height: float
    title: str
    shapes: tuple[Shape, ...] = field(repr=False)


def svg_text(drawing: Drawing) -> str:
    """Return the drawing as one SVG element; it holds no script and no style, so that any page may embed it."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {drawing.width:g} {drawing.height:g}" '
        f'width="{drawing.width:g}" height="{drawing.height:g}" role="img" font-family="sans-serif">'
    )
    ground = f'<rect width="{drawing.width:g}" height="{drawing.height:g}" fill="#ffffff"/>'
    body = [_svg(shape) for shape in drawing.shapes]
    return "\n".join([head, f"<title>{escape(drawing.title)}</title>", ground, *body, "</svg>"]) + "\n"


def png_bytes(drawing: Drawing, *, pixels_per_point: float = 2.0) -> bytes:
    """Return the drawing as an RGB PNG."""
    # Painted twice as large and averaged: Pillow's lines have no soft edges of their own.
    scale = 2.0 * pixels_per_point
    size = round(drawing.width * pixels_per_point), round(drawing.height * pixels_per_point)
    image = Image.new("RGB", (2 * size[0], 2 * size[1]), "white")
    pen = ImageDraw.Draw(image)
    for shape in drawing.shapes:
        _paint(pen, shape, scale)
    out = io.BytesIO()
    image.resize(size, Image.Resampling.BOX).save(out, "PNG", optimize=True)
    return out.getvalue()


def _svg(shape: Shape) -> str:
    match shape:
        case Line():
            return (
                f'<polyline points="{_points(shape.points)}" fill="none" stroke="{shape.color}" '
                f'stroke-width="{shape.width:g}" stroke-linejoin="round"/>'
            )
        case Area():
            return f'<polygon points="{_points(shape.points)}" fill="{shape.color}"/>'
        case Dot():
            return f'<circle cx="{shape.at[0]:.1f}" cy="{shape.at[1]:.1f}" r="{shape.radius:g}" fill="{shape.color}"/>'
        case Text():
            return (
                f'<text x="{shape.at[0]:.1f}" y="{shape.at[1]:.1f}" font-size="{shape.size:g}" '
                f'text-anchor="{shape.anchor}" fill="{shape.color}">{escape(shape.text)}</text>'
            )


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _paint(pen: ImageDraw.ImageDraw, shape: Shape, scale: float) -> None:
    match shape:
        case Line():
            width = max(1, round(shape.width * scale))
            pen.line([(x * scale, y * scale) for x, y in shape.points], fill=shape.color, width=width, joint="curve")
        case Area():
            pen.polygon([(x * scale, y * scale) for x, y in shape.points], fill=shape.color)
        case Dot():
            x, y, r = (value * scale for value in (*shape.at, shape.radius))
            pen.ellipse((x - r, y - r, x + r, y + r), fill=shape.color)
        case Text():
            anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
            font = ImageFont.load_default(shape.size * scale)
            pen.text((shape.at[0] * scale, shape.at[1] * scale), shape.text, fill=shape.color, font=font, anchor=anchor)
