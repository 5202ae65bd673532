"""axial_first and reorient_like move voxels, never their places in the patient."""

from itertools import permutations, product

import numpy as np
import pytest

from dicom_ai.domain.image import Volume
from dicom_ai.imaging.orient import BODY_AXES, axial_first, reorient_like

ORIENTATIONS = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def volume_with_axes(order: tuple[int, ...], signs: tuple[int, ...], *, turn: np.ndarray | None = None) -> Volume:
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3)[:, order] * signs) @ np.diag([3.0, 0.5, 0.7])
    affine[:3, :3] = (np.eye(3) if turn is None else turn) @ affine[:3, :3]
    affine[:3, 3] = [-12.5, 40.25, 1033.0]
    voxels = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)
    return Volume(voxels=voxels, affine=affine, frame_of_reference_uid="1.2.3")


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    a, b, c = np.radians(degrees)
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return x @ y @ z


def place_of(volume: Volume, value: float) -> np.ndarray:
    return volume.to_mm(np.argwhere(volume.voxels == value)[0])


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_each_of_the_48_orientations_turns_to_head_back_left(order, signs):
    turned = axial_first(volume_with_axes(order, signs))

    assert np.allclose(turned.directions, BODY_AXES)
    assert turned.frame_of_reference_uid == "1.2.3"
    assert turned.voxels.flags.c_contiguous


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_turning_and_turning_back_gives_the_same_voxels(order, signs):
    volume = volume_with_axes(order, signs)
    turned = axial_first(volume)

    back = reorient_like(turned.voxels, of=turned, like=volume)

    assert np.array_equal(back, volume.voxels)


@pytest.mark.parametrize("value", [0.0, 4.0, 20.0, 37.0, 59.0])
@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_no_voxel_moves_in_the_patient(order, signs, value):
    volume = volume_with_axes(order, signs, turn=rotation((12, -20, 8)))

    assert np.allclose(place_of(axial_first(volume), value), place_of(volume, value), atol=1e-9)


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_an_oblique_volume_goes_to_the_closest_body_axes(order, signs):
    turned = axial_first(volume_with_axes(order, signs, turn=rotation((25, 18, -22))))

    assert (np.sum(turned.directions * BODY_AXES, axis=0) > 0.7).all()


def test_a_turned_volume_stays_as_it_is():
    turned = axial_first(volume_with_axes((1, 2, 0), (1, -1, 1)))

    again = axial_first(turned)

    assert np.array_equal(again.voxels, turned.voxels)
    assert np.array_equal(again.affine, turned.affine)


def test_double_oblique_at_45_degrees_still_gives_one_axis_each():
    turned = axial_first(volume_with_axes((0, 1, 2), (1, 1, 1), turn=rotation((45, 45, 45))))

    assert abs(np.linalg.det(turned.directions)) == pytest.approx(1)
    assert sorted(turned.shape) == [3, 4, 5]


def test_another_grid_is_refused():
    volume = volume_with_axes((0, 1, 2), (1, 1, 1))
    shifted = Volume(voxels=volume.voxels, affine=volume.affine + np.eye(4, k=3))

    with pytest.raises(ValueError, match="same voxels"):
        reorient_like(volume.voxels, of=volume, like=shifted)


def test_an_array_of_another_shape_is_refused():
    volume = volume_with_axes((0, 1, 2), (1, 1, 1))

    with pytest.raises(ValueError, match="shape"):
        reorient_like(volume.voxels[:2], of=volume, like=volume)
