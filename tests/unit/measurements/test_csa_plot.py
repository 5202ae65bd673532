"""The picture of the CSA along the cord: what is measured is drawn where it lies, what is withheld is a gap."""

import io
from xml.etree import ElementTree

import pytest
from PIL import Image

from dicom_ai.imaging.drawing import Area, Dot, Line, Text
from dicom_ai.measurements.csa_plot import (
    BAND,
    CURVE,
    CsaCurve,
    NormalBand,
    Stretch,
    csa_drawing,
    csa_png,
    csa_svg,
    curve_from_entry,
    curve_of,
    levels_entry,
)
from dicom_ai.measurements.spinal_cord_csa import measure_cord
from tests.phantoms import cord_cylinder

HEALTHY = NormalBand(60.0, 72.0, 86.0)


def curve(areas, *, step_mm: float = 1.0, stretches=(), normal="") -> CsaCurve:
    return CsaCurve(tuple(step_mm * (n + 0.5) for n in range(len(areas))), tuple(areas), tuple(stretches), normal)


def lines(drawing):
    return [shape for shape in drawing.shapes if isinstance(shape, Line) and shape.color == CURVE]


def texts(drawing):
    return [shape.text for shape in drawing.shapes if isinstance(shape, Text)]


def test_twice_the_area_lies_twice_as_high():
    (line,) = lines(csa_drawing(curve([40.0, 80.0] * 50)))

    zero = next(s.at[1] - 4 for s in csa_drawing(curve([80.0] * 9)).shapes if isinstance(s, Text) and s.text == "0")
    low, high = (zero - line.points[place][1] for place in (0, 1))
    assert high == pytest.approx(2 * low)


def test_what_is_said_below_is_said_to_its_end():
    why = "No range of healthy people: " + "a long reason " * 18 + "and its end."

    said = " ".join(texts(csa_drawing(curve([70.0] * 9, normal=why))))

    assert said.endswith("and its end.")


def test_what_has_no_room_below_ends_in_dots():
    said = texts(csa_drawing(curve([70.0] * 9, normal="a word " * 200)))

    assert said[-1].endswith(" ...")


def test_the_curve_is_interrupted_where_nothing_may_be_said():
    drawing = csa_drawing(curve([70.0] * 40 + [None] * 5 + [70.0] * 40))

    first, second = lines(drawing)
    assert len(first.points) == len(second.points) == 40
    assert second.points[0][0] > first.points[-1][0]


def test_few_slices_are_dots():
    drawing = csa_drawing(curve([None, 70.0, 71.0, 72.0, None], step_mm=5.0))

    assert sum(isinstance(shape, Dot) for shape in drawing.shapes) == 3


def test_levels_are_named_and_only_those_with_a_range_have_a_band():
    stretches = (Stretch("C3", 10, 40, HEALTHY), Stretch("C4", 40, 70))
    drawing = csa_drawing(curve([70.0] * 80, stretches=stretches, normal="middle 95 % of 203 people"))

    bands = [s for s in drawing.shapes if isinstance(s, Area) and s.color == BAND and s.points[0][0] > 50]
    assert {"C3", "C4", "middle 95 % of 203 people"} <= set(texts(drawing))
    assert len(bands) == 1


def test_without_a_range_the_picture_says_why():
    assert "norms hold for T2w only" in texts(csa_drawing(curve([70.0] * 9, normal="norms hold for T2w only")))


def test_findings_json_keeps_all_that_is_drawn():
    stretches = (Stretch("C3", 10.0, 40.0, HEALTHY), Stretch("C4", 40.0, 70.0))
    original = curve([None, 70.0, 71.5, None], stretches=stretches, normal="why")
    slices = [
        {"position_mm": position, "area_mm2": area}
        for position, area in zip(original.positions_mm, original.areas_mm2, strict=True)
    ]

    read = curve_from_entry({"slices": slices, "levels_along_cord": levels_entry(original)})

    assert read == original


def test_a_profile_gives_its_areas_from_head_to_feet():
    phantom = cord_cylinder(shape=(20, 30, 30))

    made = curve_of(measure_cord(phantom.soft))

    assert list(made.positions_mm) == sorted(made.positions_mm)
    assert made.areas_mm2[:2] == (None, None)
    assert made.areas_mm2[10] == pytest.approx(phantom.area_mm2, rel=0.01)


@pytest.mark.parametrize("entry", [{}, {"slices": []}, {"slices": [{"position_mm": 1.0, "area_mm2": None}]}])
def test_nothing_measured_has_no_picture(entry):
    assert curve_from_entry(entry) is None


def test_thick_sagittal_slices_have_no_curve():
    phantom = cord_cylinder(spacing_mm=(1.0, 0.8, 3.3), shape=(16, 32, 9))

    assert curve_of(measure_cord(phantom.soft)) is None


def test_svg_and_png_can_be_read_by_others():
    made = curve([70.0] * 30, stretches=(Stretch("C3", 5, 25, HEALTHY),))

    assert ElementTree.fromstring(csa_svg(made, title="series 3 <neck>")).tag.endswith("svg")
    assert Image.open(io.BytesIO(csa_png(made))).size == (1360, 720)
