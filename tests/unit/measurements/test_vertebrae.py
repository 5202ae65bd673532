"""Heights, depth and disc numbers of drawn bodies whose sizes are known."""

from dataclasses import replace

import numpy as np
import pytest

from dicom_ai.domain.findings import Segment, Segmentation, Structure, StructureKind, VertebraLabel
from dicom_ai.domain.image import SourceFrame, SourceImage, Volume
from dicom_ai.measurements.vertebrae import vertebra_findings

SPACING_MM = (4.0, 0.5, 0.5)
SLICES, ROWS, COLUMNS = 7, 300, 160
FRONT, BACK, TOP = 40, 110, 30
BODY_MM, DISC_MM, WEDGE_MM = 25.0, 8.0, 5.0


def sagittal_affine(upside_down=False, mirrored=False):
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]) * np.array(SPACING_MM)
    if upside_down:
        affine[:3, 3] = affine[:3, 1] * (ROWS - 1)
        affine[:3, 1] *= -1
    if mirrored:
        affine[:3, 3] += affine[:3, 2] * (COLUMNS - 1)
        affine[:3, 2] *= -1
    return affine


def drawn(bodies=3, *, wedged=None, upside_down=False, mirrored=False):
    """Bodies of 25 x 35 mm with discs of 8 mm between; the wedged one is 5 mm lower in front. Front: small columns."""
    labels = np.zeros((SLICES, ROWS, COLUMNS), np.uint8)
    columns = np.arange(COLUMNS)
    rows = np.arange(ROWS)[:, None]
    vertebrae, segments = [], []
    for place in range(bodies):
        top = TOP + place * (BODY_MM + DISC_MM) / SPACING_MM[1]
        sunk = WEDGE_MM / SPACING_MM[1] * (1 - (columns - FRONT) / (BACK - FRONT)) if place == wedged else 0 * columns
        inside = (rows >= top + sunk) & (rows < top + BODY_MM / SPACING_MM[1]) & (columns >= FRONT) & (columns < BACK)
        labels[1:-1, inside] = place + 1
    for place in range(bodies - 1):
        top = round(TOP + (place * (BODY_MM + DISC_MM) + BODY_MM) / SPACING_MM[1])
        labels[1:-1, top : top + round(DISC_MM / SPACING_MM[1]), FRONT:BACK] = bodies + place + 1
    if upside_down:
        labels = labels[:, ::-1]
    if mirrored:
        labels = labels[:, :, ::-1]
    volume = Volume(np.zeros(labels.shape, np.float32), sagittal_affine(upside_down, mirrored))
    for place in range(bodies):
        cloud = volume.to_mm(np.argwhere(labels == place + 1))
        centre = cloud.mean(axis=0)
        half = np.array([0, 0, BODY_MM / 2])
        level = f"L{place + 1}"
        vertebrae.append(
            VertebraLabel(level, f"{level} vertebra", place + 1, "", False, centre, centre + half, centre - half)
        )
        segments.append(Segment(place + 1, Structure(StructureKind.VERTEBRA, level, level), level, f"2.25.{place}"))
    for place in range(bodies - 1):
        name = f"L{place + 1}/L{place + 2}"
        structure = Structure(StructureKind.DISC, f"{name} disc", name)
        segments.append(Segment(bodies + place + 1, structure, name, f"2.25.9{place}"))
    source = SourceImage("1.2", "1.2.3", volume, tuple(SourceFrame("1", f"1.{n}") for n in range(SLICES)))
    return source, Segmentation(np.ascontiguousarray(labels), tuple(segments), 1.0, vertebrae=tuple(vertebrae))


def numbers(finding):
    return {one.key: one.value for one in finding.quantities}


def test_a_body_has_the_size_it_was_drawn_with():
    found = vertebra_findings(*drawn())

    values = numbers(found[1])
    assert values["height_anterior"] == pytest.approx(BODY_MM, abs=0.3)
    assert values["height_middle"] == pytest.approx(BODY_MM, abs=0.3)
    assert values["height_posterior"] == pytest.approx(BODY_MM, abs=0.3)
    assert values["body_depth"] == pytest.approx(35.0, abs=0.3)
    assert values["wedge_ratio"] == pytest.approx(1.0, abs=0.01)
    assert values["compress_ratio"] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("upside_down", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_wedge_is_low_in_front_however_the_volume_is_stored(upside_down, mirrored):
    found = vertebra_findings(*drawn(wedged=1, upside_down=upside_down, mirrored=mirrored))

    values = numbers(found[1])
    assert values["height_anterior"] == pytest.approx(BODY_MM - WEDGE_MM, abs=0.5)
    assert values["height_posterior"] == pytest.approx(BODY_MM, abs=0.5)
    assert values["wedge_ratio"] == pytest.approx(0.8, abs=0.02)
    assert values["compress_ratio"] == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("upside_down", [False, True])
def test_the_disc_above_a_wedge_opens_forwards(upside_down):
    found = vertebra_findings(*drawn(wedged=1, upside_down=upside_down))

    upper, lower = (numbers(finding) for finding in found[3:])
    assert upper["disc_angle"] == pytest.approx(np.degrees(np.arctan2(WEDGE_MM, 35.0)), abs=1)
    assert lower["disc_angle"] == pytest.approx(0, abs=1)
    assert lower["disc_height"] == pytest.approx(DISC_MM, abs=0.4)


def test_the_volume_of_a_disc_is_that_of_its_voxels():
    found = vertebra_findings(*drawn())

    assert numbers(found[3])["disc_volume"] == pytest.approx(5 * 4.0 * DISC_MM * 35.0)


def test_every_finding_has_an_outline_in_its_middle_slice():
    found = vertebra_findings(*drawn())

    assert [finding.site for finding in found] == ["L1", "L2", "L3", "L1/L2", "L2/L3"]
    assert all(finding.contour is not None and finding.contour.slice_index == 3 for finding in found)


def test_a_body_cut_by_the_border_gives_the_reason_instead_of_numbers():
    source, segmentation = drawn()
    segmentation.labels[:, :TOP][:, :, FRONT:BACK] = 1

    first = vertebra_findings(source, segmentation)[0]

    assert {one.value for one in first.quantities} == {None}
    assert "cut by the border" in first.quantities[0].reason


def test_c2_is_located_and_not_measured():
    source, segmentation = drawn()
    vertebrae = (replace(segmentation.vertebrae[0], level="C2"), *segmentation.vertebrae[1:])

    first = vertebra_findings(source, replace(segmentation, vertebrae=vertebrae))[0]

    assert first.quantities == ()
    assert "located as a reference" in first.notes[0]


def test_axial_slices_are_not_measured():
    source, segmentation = drawn()
    volume = Volume(source.image.voxels, np.eye(4)[[2, 1, 0, 3]])
    axial = SourceImage("1.2", "1.2.3", volume, source.frames)

    assert vertebra_findings(axial, segmentation) == ()


def test_a_level_in_doubt_makes_the_finding_a_warning():
    source, segmentation = drawn()
    sure = vertebra_findings(source, segmentation)[1]
    vertebrae = tuple(replace(one, qualified=True, anchor="counted") for one in segmentation.vertebrae)
    doubtful = vertebra_findings(source, replace(segmentation, vertebrae=vertebrae))[1]

    assert (sure.quality, doubtful.quality) == ("pass", "warn")
    assert doubtful.notes == ("level counted",)
