"""The findings of a cord: by level, by position, from axial and sagittal sources, and when numbers are withheld."""

import re

import numpy as np
import pytest

from dicom_ai.domain.findings import Quality, Segment, Segmentation, Structure, StructureKind, VertebraLabel
from dicom_ai.domain.image import Radiograph, SourceFrame, SourceImage, Volume
from dicom_ai.imaging.contours import polygon_area
from dicom_ai.imaging.orient import BODY_AXES
from dicom_ai.measurements.cord_findings import cord_findings
from dicom_ai.measurements.spinal_cord_csa import measure_cord
from dicom_ai.measurements.table import MEASUREMENTS
from tests.phantoms import CordPhantom, cord_cylinder, turned

CORD = Structure(StructureKind.SPINAL_CORD, "Spinal cord")


def source_of(soft: Volume) -> SourceImage:
    frames = tuple(SourceFrame("1.2.840.10008.5.1.4.1.1.4", f"1.2.{n}") for n in range(soft.shape[0]))
    return SourceImage("1.2.3", "1.2.3.4", soft, frames)


def segmentation_of(soft: Volume, *, segments: int = 1) -> Segmentation:
    cord = Segment(1, CORD, "cord 1", "2.25.77")
    return Segmentation((soft.voxels >= 0.5).astype(np.uint8), (cord,)[:segments], 0.99, soft=soft.voxels)


def findings_of(soft: Volume, levels: tuple[VertebraLabel, ...] = ()):
    return cord_findings(source_of(soft), segmentation_of(soft), measure_cord(soft), levels)


def vertebrae(
    names: tuple[str, ...], *, top_mm: float, height_mm: float = 15.0, disc_mm: float = 5.0, qualified: bool = False
) -> tuple[VertebraLabel, ...]:
    """Vertebrae 20 mm in front of the cord, from a height in LPS downwards."""
    tops = [top_mm - place * (height_mm + disc_mm) for place in range(len(names))]
    return tuple(
        VertebraLabel(
            level=name,
            name=f"{name} vertebra",
            segment_number=place + 1,
            anchor="counted from C2",
            qualified=qualified,
            centroid_mm=np.array([0.0, -20.0, top - height_mm / 2]),
            upper_mm=np.array([0.0, -20.0, top]),
            lower_mm=np.array([0.0, -20.0, top - height_mm]),
        )
        for place, (name, top) in enumerate(zip(names, tops, strict=True))
    )


def value(finding, key: str) -> float | None:
    return next(q.value for q in finding.quantities if q.key == key)


@pytest.fixture(scope="module")
def neck() -> CordPhantom:
    """80 mm of straight cord in axial slices of 2 mm, LPS z from -40 to 40."""
    return cord_cylinder(spacing_mm=(2.0, 0.8, 0.8), shape=(40, 32, 36))


def test_levels_get_their_csa_and_c2_and_c3_are_pooled(neck):
    findings = findings_of(neck.soft, vertebrae(("C2", "C3", "C4"), top_mm=30.0))

    assert [f.site for f in findings] == ["the cord seen", "C2", "C3", "C2-C3 (levels pooled)", "C4"]
    assert [f.site_level for f in findings] == [None, "C2", "C3", None, "C4"]
    assert [value(f, "csa_mean") for f in findings] == pytest.approx([neck.area_mm2] * 5, rel=0.01)
    assert all(f.quality is Quality.PASS for f in findings)


def test_a_level_reaches_from_disc_to_disc(neck):
    findings = findings_of(neck.soft, vertebrae(("C3", "C4", "C5"), top_mm=30.0))[1:]

    # C4: 15 mm and half a disc of 5 mm on each side; C3 and C5 end at their outer endplates.
    assert [value(f, "csa_slices") for f in findings] == pytest.approx([9, 10, 9], abs=1)


def test_a_missing_vertebra_leaves_its_slices_to_nobody(neck):
    c3, _, c5 = vertebrae(("C3", "C4", "C5"), top_mm=30.0)

    findings = findings_of(neck.soft, (c3, c5))

    assert [value(f, "csa_slices") for f in findings[1:]] == pytest.approx([7.5, 7.5], abs=1)


def test_cervical_discs_half_as_high_as_their_vertebrae_are_still_discs(neck):
    labels = vertebrae(("C3", "C4", "C5"), top_mm=26.0, height_mm=11.0, disc_mm=6.0)

    findings = findings_of(neck.soft, labels)

    assert value(findings[2], "csa_slices") == pytest.approx(17 / 2, abs=1)


def test_the_pooled_row_says_what_it_is_not(neck):
    pooled = findings_of(neck.soft, vertebrae(("C2", "C3"), top_mm=30.0))[3]

    assert any("not the C2/C3 disc, and not spinal segments" in note for note in pooled.notes)


def test_doubt_and_anchor_of_a_level_are_told(neck):
    finding = findings_of(neck.soft, vertebrae(("C4",), top_mm=30.0, qualified=True))[1]

    assert "counted from C2" in finding.notes
    assert "the level is in doubt" in finding.notes


def test_a_level_seen_in_part_says_so(neck):
    finding = findings_of(neck.soft, vertebrae(("C2",), top_mm=46.0))[1]

    assert any(re.search(r"cord is seen over \d\d % of the level", note) for note in finding.notes)


def test_levels_beyond_the_cord_are_left_out(neck):
    findings = findings_of(neck.soft, vertebrae(("C2", "C3", "C4", "C5", "C6", "C7"), top_mm=30.0))

    assert [f.site for f in findings][-1] == "C5"


def test_without_levels_the_cord_is_cut_into_20_mm(neck):
    findings = findings_of(neck.soft)

    assert [f.site for f in findings] == [
        "the cord seen",
        "0-20 mm below top of cord seen",
        "20-40 mm below top of cord seen",
        "40-60 mm below top of cord seen",
        "60-80 mm below top of cord seen",
    ]
    assert all("no vertebral level is known" in f.notes[0] for f in findings[1:])


@pytest.mark.parametrize(
    ("slice_mm", "slices", "stretches"),
    [(5.0, 17, ["0-20", "20-40", "40-60", "60-80"]), (7.5, 9, ["0-40", "40-80"]), (17.0, 5, ["0-60"])],
)
def test_thick_slices_get_stretches_in_which_three_can_be_measured(slice_mm, slices, stretches):
    phantom = cord_cylinder(spacing_mm=(slice_mm, 0.8, 0.8), shape=(slices, 24, 28))

    findings = findings_of(phantom.soft)

    assert [f.site for f in findings[1:]] == [f"{name} mm below top of cord seen" for name in stretches]


def test_a_short_cord_is_one_stretch():
    assert len(findings_of(cord_cylinder(shape=(8, 24, 24)).soft)) == 2


def test_axial_sources_are_outlined_where_the_area_was_measured(neck):
    finding = findings_of(neck.soft, vertebrae(("C4",), top_mm=10.0))[1]

    contour = finding.contour
    assert not contour.locates_only
    assert abs(polygon_area(contour.points)) * 0.64 == pytest.approx(neck.area_mm2, rel=0.02)
    assert value(finding, "csa_slice") == pytest.approx(neck.area_mm2, rel=0.01)
    assert neck.soft.to_mm(np.array([contour.slice_index, 0, 0]))[2] == pytest.approx(2.5, abs=1.6)


@pytest.mark.parametrize("sign", [1, -1])
def test_isotropic_sagittal_sources_give_csa_and_an_outline_that_only_locates(sign):
    phantom = cord_cylinder(shape=(50, 40, 30), shift_mm=(4.0, -3.0))
    sagittal = turned(phantom, BODY_AXES[:, [2, 0, 1]] * [sign, -1, 1])

    finding = findings_of(sagittal, vertebrae(("C3",), top_mm=10.0))[1]

    assert value(finding, "csa_mean") == pytest.approx(phantom.area_mm2, rel=0.01)
    assert "csa_slice" not in [q.key for q in finding.quantities]
    assert finding.contour.locates_only
    outline = finding.contour.points
    middle = sagittal.to_mm(np.array([finding.contour.slice_index, *(outline[:-1, ::-1].mean(axis=0) - 0.5)]))
    assert middle == pytest.approx([-3.0, 4.0, 2.5], abs=0.6)
    assert np.ptp(outline[:, 1]) == pytest.approx(15.0, abs=1.1)
    assert np.ptp(outline[:, 0]) == pytest.approx(phantom.ap_mm, abs=0.5)


def test_thick_sagittal_sources_give_the_diameter_and_the_reason():
    phantom = cord_cylinder(spacing_mm=(0.8, 0.8, 3.3), shape=(60, 32, 9))
    sagittal = turned(phantom, BODY_AXES[:, [2, 0, 1]] * [1, -1, 1])

    finding = findings_of(sagittal, vertebrae(("C3",), top_mm=10.0))[1]

    assert value(finding, "csa_mean") is None
    assert "axial series" in finding.quantities[0].reason
    assert value(finding, "ap_midsagittal") == pytest.approx(phantom.ap_mm, rel=0.03)
    assert finding.quality is Quality.WARN
    assert finding.contour.locates_only


def test_fewer_than_three_slices_withhold_the_level_but_not_its_outline():
    phantom = cord_cylinder(spacing_mm=(7.0, 0.8, 0.8), shape=(9, 24, 28))

    finding = findings_of(phantom.soft, vertebrae(("C4",), top_mm=8.0))[1]

    assert value(finding, "csa_mean") is None
    assert "2 slices can be measured where 3 are needed" in finding.quantities[0].reason
    assert finding.quality is Quality.FAIL
    assert finding.contour is not None


def test_a_level_without_cord_between_others_is_marked_by_a_circle():
    phantom = cord_cylinder(shape=(60, 30, 30))
    phantom.soft.voxels[20:38] = 0

    finding = findings_of(phantom.soft, vertebrae(("C4",), top_mm=6.0, height_mm=14.0))[1]

    assert finding.site == "C4"
    assert value(finding, "csa_mean") is None
    assert finding.contour.locates_only
    assert finding.contour.points[:-1].mean(axis=0) == pytest.approx([15, 15], abs=0.1)


def test_a_sudden_change_is_flagged():
    phantom = cord_cylinder(shape=(40, 30, 30))
    thin = cord_cylinder(shape=(40, 30, 30), diameters_mm=(6.0, 9.0))
    phantom.soft.voxels[:20] = thin.soft.voxels[:20]

    whole = findings_of(phantom.soft)[0]

    assert whole.quality is Quality.WARN
    assert any("between neighbouring slices" in note for note in whole.notes)


def test_an_area_no_cord_has_fails():
    whole = findings_of(cord_cylinder(shape=(12, 40, 40), diameters_mm=(20.0, 20.0)).soft)[0]

    assert whole.quality is Quality.FAIL


def test_values_are_rounded_and_names_fit_an_sr(neck):
    findings = findings_of(neck.soft) + findings_of(neck.soft, vertebrae(("C2", "C3"), top_mm=30.0))

    numbers = [(f.site, q) for f in findings for q in f.quantities]
    assert all(q.value == round(q.value, MEASUREMENTS[q.key].decimals) for _, q in numbers)
    assert max(len(MEASUREMENTS[q.key].displayed_name(site)) for site, q in numbers) <= 64


def test_no_two_groups_share_a_tracking_uid_and_the_whole_cord_has_the_segments(neck):
    findings = findings_of(neck.soft)

    uids = [f.tracking_uid for f in findings]
    assert uids[0] == "2.25.77"
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"[0-9.]{1,64}", uid) for uid in uids)
    assert uids == [f.tracking_uid for f in findings_of(neck.soft)]


def test_no_two_numbers_of_a_group_share_a_displayed_name(neck):
    finding = findings_of(neck.soft)[1]

    names = [MEASUREMENTS[q.key].displayed_name(finding.site) for q in finding.quantities]
    assert len(set(names)) == len(names)


def test_no_cord_gives_no_finding(neck):
    empty = neck.soft.with_voxels(np.zeros_like(neck.soft.voxels))

    assert cord_findings(source_of(empty), segmentation_of(empty), measure_cord(empty)) == ()
    assert cord_findings(source_of(neck.soft), segmentation_of(neck.soft, segments=0), measure_cord(neck.soft)) == ()


def test_contours_of_an_oblique_stack_lie_on_the_cord():
    tilt = np.radians(20)
    oblique = np.array([[0, 0, 1], [np.sin(tilt), np.cos(tilt), 0], [np.cos(tilt), -np.sin(tilt), 0]])
    phantom = cord_cylinder(directions=oblique, tilt_deg=(10, 0), shape=(20, 40, 30))

    finding = findings_of(phantom.soft)[1]

    column, row = finding.contour.points[:-1].mean(axis=0) - 0.5
    point = phantom.soft.to_mm(np.array([finding.contour.slice_index, row, column]))
    assert np.linalg.norm(np.cross(point, phantom.axis)) < 0.3
    assert value(finding, "csa_mean") == pytest.approx(phantom.area_mm2, rel=0.01)


def test_a_radiograph_has_no_cord_to_outline(neck):
    source = SourceImage("1.2", "1.2.3", Radiograph(np.zeros((4, 4), np.float32)), ())

    with pytest.raises(ValueError, match="radiograph"):
        cord_findings(source, segmentation_of(neck.soft), measure_cord(neck.soft))
