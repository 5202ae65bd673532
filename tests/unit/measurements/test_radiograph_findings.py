"""Findings of a painted lateral film: what is measured, what is withheld and why."""

from dataclasses import replace

import numpy as np
import pytest

from dicom_ai.domain.findings import Quality, Segment, Segmentation, Structure, StructureKind, VertebraLabel
from dicom_ai.domain.image import Radiograph, SourceFrame, SourceImage
from dicom_ai.domain.study import Element
from dicom_ai.measurements.radiograph_findings import (
    LOCATED,
    NO_SCALE,
    NO_SIDE,
    facing_of,
    posture,
    radiograph_findings,
)

LEVELS = ("C2", "C3", "C4", "C5", "C6", "C7")
SPACING = (0.5, 0.5)


def film(*, facing: int = 1, calibrated: bool = True, names=LEVELS, shift: int = 0) -> tuple[SourceImage, Segmentation]:
    """Bodies of 40 x 60 pixels, 50 apart; the last one lies `shift` pixels to the right of the others."""
    labels = np.zeros((380, 200), np.uint8)
    vertebrae, segments = [], []
    for number, name in enumerate(names, 1):
        top, left = 20 + 50 * (number - 1), 70 + (shift if number == len(names) else 0)
        labels[top : top + 40, left : left + 60] = number
        level = name if name[0] in "CTLS" else None
        points = [(left + 29.5, top + row) for row in (19.5, 0.0, 39.0)]
        placed = [np.array([0.0, -facing * x, -y] if facing else [x, 0.0, -y]) * SPACING[0] for x, y in points]
        vertebrae.append(VertebraLabel(level, name, number, "counted from C2" if level else "", False, *placed))
        segments.append(Segment(number, Structure(StructureKind.VERTEBRA, name, level), name, f"2.25.{number}"))
    image = Radiograph(np.zeros(labels.shape, np.float32), SPACING if calibrated else None)
    source = SourceImage("1.2", "1.2.3", image, (SourceFrame("1.2", "1.2.4"),))
    return source, Segmentation(labels, tuple(segments), 1.0, vertebrae=tuple(vertebrae))


def numbers(found, site: str) -> dict:
    return {q.key: q for finding in found if finding.site == site for q in finding.quantities}


def test_heights_are_in_millimetres_where_the_film_is_calibrated():
    found = numbers(radiograph_findings(*film()), "C4")

    assert found["height_anterior"].value == pytest.approx(20.0, abs=0.6)
    assert found["height_posterior"].value == pytest.approx(20.0, abs=0.6)
    assert found["wedge_ratio"].value == pytest.approx(1.0, abs=0.02)


def test_without_calibration_only_ratios_are_given():
    found = numbers(radiograph_findings(*film(calibrated=False)), "C4")

    assert found["height_anterior"].value is None
    assert found["height_anterior"].reason == NO_SCALE
    assert found["wedge_ratio"].value == pytest.approx(1.0, abs=0.02)


def test_without_an_anterior_side_everything_that_needs_it_is_withheld():
    found = radiograph_findings(*film(facing=0))

    assert all(q.value is None and q.reason == NO_SIDE for finding in found for q in finding.quantities)
    assert all(finding.contour is not None for finding in found)


@pytest.mark.parametrize(("facing", "slip"), [(1, -10), (-1, 10)])
def test_the_sign_of_listhesis_follows_the_anterior_side(facing, slip):
    found = numbers(radiograph_findings(*film(facing=facing, shift=6)), "C6")

    assert found["slip"].value == pytest.approx(slip, abs=1)


def test_a_reference_vertebra_is_located_and_not_measured():
    c2 = radiograph_findings(*film())[0]

    assert (c2.site, c2.site_level, c2.quantities) == ("C2", "C2", ())
    assert LOCATED in c2.notes
    assert c2.contour is not None and c2.contour.locates_only


def test_parallel_endplates_have_no_angle():
    [angle] = [f for f in radiograph_findings(*film(), endplates=True) if f.site == "C2-C7"]

    assert angle.quantities[0].key == "angle_c2_c7"
    assert angle.quantities[0].value == pytest.approx(0, abs=1)
    assert angle.quality is Quality.PASS


def test_the_angle_to_an_axis_that_is_only_located_is_withheld():
    [angle] = [f for f in radiograph_findings(*film()) if f.site == "C2-C7"]

    assert angle.quantities[0].value is None
    assert angle.quality is Quality.FAIL


def test_no_angle_without_both_of_its_levels():
    assert not [f for f in radiograph_findings(*film(names=LEVELS[1:])) if f.site == "C2-C7"]


def test_unnamed_bodies_are_measured_at_their_own_site():
    found = radiograph_findings(*film(names=("V1", "V2", "V3")))

    assert [finding.site for finding in found] == ["V1", "V2", "V3"]
    assert {finding.site_level for finding in found} == {None}
    assert {finding.quality for finding in found} == {Quality.WARN}


def test_endplates_are_measured_only_where_the_model_draws_them():
    assert "biconcave_ratio" not in numbers(radiograph_findings(*film()), "C4")
    drawn = numbers(radiograph_findings(*film(), endplates=True), "C4")
    assert drawn["biconcave_ratio"].value == pytest.approx(1.0, abs=0.02)


def test_a_body_cut_by_the_border_is_not_measured():
    source, segmentation = film()
    labels = segmentation.labels[:330]
    labels[250:330] = np.where(labels[250:330] > 0, labels[250:330], 0)
    cut = replace(segmentation, labels=np.ascontiguousarray(labels[:300]))
    source = replace(source, image=Radiograph(np.zeros((300, 200), np.float32), SPACING))

    found = numbers(radiograph_findings(source, cut), "C7")

    assert found["wedge_ratio"].value is None


def test_every_outline_is_closed_and_inside():
    for finding in radiograph_findings(*film()):
        points = finding.contour.points
        assert np.array_equal(points[0], points[-1])
        assert points.min() >= 0 and (points.max(axis=0) <= (200, 380)).all()


def test_the_side_is_kept_in_the_points():
    assert [facing_of(film(facing=side)[1].vertebrae) for side in (1, -1, 0)] == [1, -1, 0]


def test_posture_is_what_the_descriptions_say():
    assert posture({"SeriesDescription": Element("LO", ("C SPINE LAT FLEXION",))}) == (
        "posture according to the descriptions: flexion",
    )
    assert posture({"SeriesDescription": Element("LO", ("C SPINE LAT",))}) == ("posture not known",)
