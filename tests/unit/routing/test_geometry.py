"""Facts from positions and orientations, with answers in closed form."""

import math

import pytest

from dicom_ai.routing.geometry import geometry_facts, head_feet_range, plane_of
from tests.unit.routing.headers import AXIAL, CORONAL, SAGITTAL, mr, series, stack


def tilted(angle_deg: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """An axial plane turned about the left-right axis."""
    angle = math.radians(angle_deg)
    return (1.0, 0.0, 0.0), (0.0, math.cos(angle), -math.sin(angle))


@pytest.mark.parametrize(("orientation", "plane"), [(AXIAL, "axial"), (SAGITTAL, "sagittal"), (CORONAL, "coronal")])
def test_the_plane_is_that_of_the_slice_normal(orientation, plane):
    assert geometry_facts(mr("x", orientation))["plane"].value == plane


@pytest.mark.parametrize(("angle_deg", "plane"), [(0, "axial"), (30, "axial"), (45, "oblique"), (60, "coronal")])
def test_slices_tilted_with_the_neck_are_axial_up_to_37_degrees(angle_deg, plane):
    assert plane_of(*tilted(angle_deg)) == plane


def test_slices_in_several_planes_are_mixed():
    planes = [mr("loc", orientation).instances[0] for orientation in (AXIAL, SAGITTAL, CORONAL)]
    localizer = mr("loc")
    localizer = type(localizer)("1.2", "1.2.3", tuple(planes))

    assert geometry_facts(localizer)["plane"].value == "mixed"


def test_without_orientation_the_plane_is_unknown():
    fact = geometry_facts(series(Modality="MR"))["plane"]

    assert fact.value is None
    assert "absent" in fact.evidence


def test_spacing_gaps_and_extents_follow_from_positions():
    facts = geometry_facts(stack("T2", positions_mm=(0, 3, 6, 12), size=(200, 100), spacing_mm=(1.0, 0.5)))

    assert facts["slices"].value == 4
    assert facts["slice_spacing_mm"].value == pytest.approx(3)
    assert facts["gap_ratio"].value == pytest.approx(2)
    assert facts["in_plane_spacing_mm"].value == 1.0
    assert facts["width_mm"].value == pytest.approx(12)
    assert facts["coverage_mm"].value == pytest.approx(199)
    assert facts["isotropic"].value is False


def test_equal_sides_are_isotropic():
    assert geometry_facts(stack("T2", positions_mm=(0, 1, 2)))["isotropic"].value is True


def test_one_slice_has_no_spacing():
    facts = geometry_facts(stack("T2", positions_mm=(0,)))

    assert facts["slice_spacing_mm"].value is None
    assert facts["gap_ratio"].value is None
    assert facts["slices"].value == 1


def test_the_range_from_feet_to_head_is_in_patient_coordinates():
    assert head_feet_range(stack("T2", size=(201, 9), origin_mm=(0, 0, 50))) == pytest.approx((-150, 50))
    assert head_feet_range(mr("T2")) is None
