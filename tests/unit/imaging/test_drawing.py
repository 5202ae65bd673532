"""Drawings as SVG that any page may embed, and as PNG with the same shapes in the same places."""

import io
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from dicom_ai.imaging.drawing import Area, Dot, Drawing, Line, Text, png_bytes, svg_text

SVG = "{http://www.w3.org/2000/svg}"
SHAPES = (
    Area(((10, 10), (30, 10), (30, 30), (10, 30)), "#ff0000"),
    Line(((50, 5), (50, 35)), "#0000ff", 4.0),
    Dot((75, 20), 6.0, "#00aa00"),
    Text((5, 55), "a < b & c"),
)


def pixels(drawing: Drawing, pixels_per_point: float) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png_bytes(drawing, pixels_per_point=pixels_per_point))))


def test_svg_is_well_formed_and_tells_its_title():
    root = ElementTree.fromstring(svg_text(Drawing(100, 60, "areas < 80 & more", SHAPES)))

    assert root.find(f"{SVG}title").text == "areas < 80 & more"
    assert [child.tag.removeprefix(SVG) for child in root][2:] == ["polygon", "polyline", "circle", "text"]
    assert root.find(f"{SVG}text").text == "a < b & c"


def test_svg_holds_neither_style_nor_script():
    text = svg_text(Drawing(100, 60, "<script>", SHAPES))

    assert "style" not in text
    assert "<script" not in text


def test_png_shows_each_shape_in_its_place():
    picture = pixels(Drawing(100, 60, "shapes", SHAPES), 2.0)

    assert picture.shape == (120, 200, 3)
    assert picture[40, 40].tolist() == [255, 0, 0]
    assert picture[40, 100].tolist() == [0, 0, 255]
    assert picture[40, 150].tolist() == [0, 170, 0]
    assert picture[5, 5].tolist() == [255, 255, 255]


def test_text_ends_where_it_is_anchored():
    picture = pixels(Drawing(100, 20, "text", (Text((90, 15), "CSA", anchor="end"),)), 1.0)

    dark = np.flatnonzero((picture < 128).any(axis=(0, 2)))
    assert 84 < dark.max() <= 90
