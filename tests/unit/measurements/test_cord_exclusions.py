"""Slices near metal and below the conus are withheld; others are not."""

import numpy as np
import pytest

from dicom_ai.domain.findings import VertebraLabel
from dicom_ai.domain.image import Volume
from dicom_ai.imaging.neck_phantom import NeckShape, axial_grid, neck_phantom, sagittal_grid
from dicom_ai.measurements.cord_exclusions import BELOW_CONUS, BELOW_L2, METAL, without_cauda, without_metal
from dicom_ai.measurements.spinal_cord_csa import CordProfile, measure_cord
from tests.phantoms import cord_cylinder


def image_of(soft: Volume, *, tissue: float = 400.0, cord: float = 300.0) -> Volume:
    return soft.with_voxels((tissue + (cord - tissue) * soft.voxels).astype(np.float32))


def with_ball(image: Volume, *, at_mm: tuple[float, float, float], radius_mm: float, value: float = 0.0) -> Volume:
    points = image.to_mm(np.moveaxis(np.indices(image.shape), 0, -1))
    inside = np.linalg.norm(points - at_mm, axis=-1) <= radius_mm
    return image.with_voxels(np.where(inside, value, image.voxels).astype(np.float32))


def withheld(profile: CordProfile, reason: str) -> list[float]:
    """Heights of the slices that carry a reason."""
    return [float(item.section.centroid_mm[2]) for item in profile.slices if item.withheld == reason]


def test_slices_beside_a_large_void_and_5_mm_farther_are_withheld():
    phantom = cord_cylinder(shape=(60, 64, 64))
    image = with_ball(image_of(phantom.soft), at_mm=(0.0, -15.0, 0.0), radius_mm=6.0)

    heights = withheld(without_metal(measure_cord(phantom.soft), image), METAL)

    # A ball of 6 mm holds a disc of 4 mm up to 4.5 mm from its middle; 5 mm are added.
    assert min(heights) == pytest.approx(-9.5, abs=1.1)
    assert max(heights) == pytest.approx(9.5, abs=1.1)


@pytest.mark.parametrize(
    ("at_mm", "radius_mm", "value"),
    [((0.0, -15.0, 0.0), 3.0, 0.0), ((0.0, -30.0, 0.0), 8.0, 0.0), ((0.0, -15.0, 0.0), 6.0, 60.0)],
    ids=["a vessel", "the airway", "dark but not void"],
)
def test_small_far_or_merely_dark_places_are_not_metal(at_mm, radius_mm, value):
    phantom = cord_cylinder(shape=(40, 90, 64))
    image = with_ball(image_of(phantom.soft), at_mm=at_mm, radius_mm=radius_mm, value=value)

    assert withheld(without_metal(measure_cord(phantom.soft), image), METAL) == []


@pytest.mark.parametrize("contrast", ["T1", "T2", "T2star"])
@pytest.mark.parametrize("grid", [sagittal_grid, axial_grid])
def test_a_neck_without_metal_has_none_in_any_contrast(contrast, grid):
    shape = NeckShape()
    field = {"extent_mm": (40.0, 60.0, 90.0) if grid is sagittal_grid else (40.0, 80.0, 80.0)}
    spacing = {"spacing_mm": (1.5, 1.5, 1.5) if grid is sagittal_grid else (5.0, 0.8, 0.8)}
    phantom = neck_phantom(shape, grid(shape, **field, **spacing), contrast=contrast)

    assert withheld(without_metal(measure_cord(phantom.cord), phantom.image), METAL) == []


def test_the_end_of_the_field_of_view_is_no_metal():
    phantom = cord_cylinder(shape=(20, 20, 20))

    profile = without_metal(measure_cord(phantom.soft), image_of(phantom.soft))

    assert withheld(profile, METAL) == []


def cone(*, below_mm: float = 40.0) -> CordProfile:
    """A cord of 60 mm2 that tapers to 8 mm2 over 40 mm and goes on so thin; free image below it."""
    heights = np.arange(120.0)
    area = np.interp(heights, [below_mm, below_mm + 40.0], [8.0, 60.0])
    rows, columns = np.indices((30, 30)) - 14.5
    voxels = np.stack([np.clip(np.sqrt(a / np.pi) - np.hypot(rows, columns) + 0.5, 0, 1) for a in area])
    voxels[:15] = 0
    affine = np.eye(4)[[2, 1, 0, 3]]
    return measure_cord(Volume(voxels.astype(np.float32), affine))


def test_below_the_conus_nothing_is_said():
    profile = without_cauda(cone())

    reasons = {item.index: item.withheld for item in profile.slices}
    heights = [index for index, reason in reasons.items() if reason == BELOW_CONUS]
    # 20 mm2 is reached 9 mm above the thin end, at 49.
    assert max(heights) == pytest.approx(49, abs=4)
    assert all(reasons[index] for index in range(15, 45))
    assert reasons[60] == ""


def test_a_cord_that_leaves_the_image_has_no_conus():
    profile = cord_cylinder(shape=(40, 24, 24), diameters_mm=(4.0, 5.0))

    assert withheld(without_cauda(measure_cord(profile.soft)), BELOW_CONUS) == []


def test_a_cord_that_is_thin_all_along_keeps_its_numbers():
    phantom = cord_cylinder(shape=(40, 24, 24), diameters_mm=(4.0, 5.0))
    phantom.soft.voxels[:6] = 0

    assert withheld(without_cauda(measure_cord(phantom.soft)), BELOW_CONUS) == []


def test_at_l3_and_lower_no_cord_is_measured():
    phantom = cord_cylinder(shape=(80, 24, 24))
    tops = {"L2": 30.0, "L3": 0.0}
    labels = [
        VertebraLabel(
            level,
            f"{level} vertebra",
            number,
            "counted from C2",
            False,
            *(np.array([0.0, -20.0, z]) for z in (top - 12.5, top, top - 25.0)),
        )
        for number, (level, top) in enumerate(tops.items(), 1)
    ]

    heights = withheld(without_cauda(measure_cord(phantom.soft), labels), BELOW_L2)

    assert (min(heights), max(heights)) == pytest.approx((-25.0, 2.5), abs=1.1)


def test_an_image_masked_to_the_cord_has_no_metal():
    phantom = cord_cylinder(shape=(20, 64, 64))

    assert withheld(without_metal(measure_cord(phantom.soft), image_of(phantom.soft, tissue=0.0)), METAL) == []
