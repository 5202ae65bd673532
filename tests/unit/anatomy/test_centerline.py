"""The course of the cord through straight, slanting, curved, noisy and interrupted masks."""

import numpy as np
import pytest

from dicom_ai.anatomy.centerline import centerline
from dicom_ai.domain.image import Volume
from tests.phantoms import cord_cylinder


def blobs_along(offsets_mm: np.ndarray) -> Volume:
    """A 1 mm volume, axial first, with a soft blob per slice at the given distance to the back of its middle."""
    rows = np.arange(81) - 40.0
    columns = np.arange(31) - 15.0
    across = np.exp(-(columns**2) / 18)
    voxels = np.stack([np.exp(-((rows - offset) ** 2) / 8)[:, None] * across for offset in offsets_mm])
    affine = np.array([[0, 0, 1.0, -15], [0, 1.0, 0, -40], [1.0, 0, 0, 0], [0, 0, 0, 1]])
    return Volume(voxels.astype(np.float32), affine)


def degrees_from(tangents: np.ndarray, direction: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip(tangents @ (direction / np.linalg.norm(direction)), -1, 1)))


def test_the_tangent_of_a_tilted_cylinder_is_its_axis():
    phantom = cord_cylinder(tilt_deg=(20, -15), shape=(20, 36, 36))

    course = centerline(phantom.soft)

    assert degrees_from(course.tangents, phantom.axis).max() < 0.05


def test_the_course_of_an_s_curve_is_followed_to_its_ends():
    z = np.arange(120.0)
    offsets = 12 * np.sin(2 * np.pi * z / 120)
    slopes = 12 * 2 * np.pi / 120 * np.cos(2 * np.pi * z / 120)

    course = centerline(blobs_along(offsets))

    true = np.stack([np.zeros(120), slopes, np.ones(120)], axis=1)
    true /= np.linalg.norm(true, axis=1, keepdims=True)
    away = np.degrees(np.arccos(np.sum(course.tangents * true, axis=1)))
    assert away.max() < 1.5
    assert away[10:-10].max() < 0.5


def test_arc_length_of_a_quarter_circle():
    radius = 80.0
    z = np.arange(0.0, 60.0)

    course = centerline(blobs_along(radius - np.sqrt(radius**2 - z**2)))

    assert course.length_mm == pytest.approx(radius * np.arcsin(60 / radius), rel=0.02)


def test_noise_of_a_fifth_of_a_mm_bends_the_course_by_less_than_three_degrees():
    noise = np.random.default_rng(4).normal(0, 0.2, 80)

    course = centerline(blobs_along(noise))

    assert degrees_from(course.tangents, np.array([0, 0, 1.0])).max() < 3.0


def test_one_slice_far_off_does_not_bend_the_course():
    offsets = np.zeros(60)
    offsets[30] = 6.0

    course = centerline(blobs_along(offsets))

    assert degrees_from(course.tangents, np.array([0, 0, 1.0])).max() < 1.5


def test_a_gap_is_bridged():
    volume = blobs_along(0.2 * np.arange(60))
    volume.voxels[20:35] = 0

    course = centerline(volume)

    assert course.slices.size == 60
    assert degrees_from(course.tangents, np.array([0, 0.2, 1.0])).max() < 0.5


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
def test_few_slices_give_a_course(count):
    course = centerline(blobs_along(np.zeros(count)))

    assert course.length_mm == pytest.approx(count, rel=1e-3)
    assert course.tangents[:, 2] == pytest.approx(1.0, abs=1e-3)


def test_a_point_beside_the_cord_is_found_at_its_height():
    course = centerline(blobs_along(np.zeros(50)))

    assert course.position_of(np.array([0.0, -30.0, 29.0])) == pytest.approx(20.5, abs=0.05)


def test_points_above_and_below_the_cord_lie_beyond_its_ends():
    course = centerline(blobs_along(np.zeros(50)))

    assert course.position_of(np.array([0.0, 0.0, 59.5])) == pytest.approx(-10, abs=0.1)
    assert course.position_of(np.array([0.0, 0.0, -10.5])) == pytest.approx(60, abs=0.1)


def test_an_empty_volume_has_no_course():
    with pytest.raises(ValueError, match="no slice holds cord"):
        centerline(blobs_along(np.zeros(3)).with_voxels(np.zeros((3, 81, 31), np.float32)))
