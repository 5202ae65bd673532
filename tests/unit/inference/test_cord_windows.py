"""Windows along the cord: they cover it, follow it, and blend to what the network said."""

import numpy as np
import pytest

from dicom_ai.inference.cord_windows import blended, windows_along

PATCH = (16, 24, 24)


def line(shape=(64, 80, 90), rows=(20.0, 60.0), columns=(30.0, 30.0)):
    """A thin line from the first to the last slice."""
    near = np.zeros(shape, bool)
    for index in range(shape[0]):
        share = index / (shape[0] - 1)
        row, column = (round(a + share * (b - a)) for a, b in (rows, columns))
        near[index, row - 1 : row + 2, column - 1 : column + 2] = True
    return near


def covered(near, corners):
    mask = np.zeros(near.shape, bool)
    for corner in corners:
        mask[tuple(slice(at, at + size) for at, size in zip(corner, PATCH, strict=True))] = True
    return mask


def test_every_part_of_a_leaning_line_is_covered_with_room_around_it():
    near = line()

    mask = covered(near, windows_along(near, PATCH))

    assert mask[near].all()
    assert mask[:, :, 30 - 7 : 30 + 8][near.any(axis=2)].all()


def test_one_window_a_step_holds_a_straight_line():
    near = line(rows=(40.0, 40.0))

    corners = windows_along(near, PATCH)

    assert [corner[0] for corner in corners] == [0, 8, 16, 24, 32, 40, 48]
    assert {corner[1:] for corner in corners} == {(28, 18)}


def test_a_line_across_needs_windows_side_by_side():
    near = np.zeros((16, 80, 90), bool)
    near[8, 40, 10:80] = True

    assert len(windows_along(near, PATCH)) > 3


def test_slices_without_the_line_are_not_looked_at():
    near = line()
    near[20:] = False

    assert max(corner[0] for corner in windows_along(near, PATCH)) < 20


def test_windows_stay_inside_the_image():
    near = line(rows=(2.0, 77.0), columns=(87.0, 2.0))

    corners = np.array(windows_along(near, PATCH))

    assert (corners >= 0).all()
    assert (corners + PATCH <= near.shape).all()


@pytest.mark.parametrize("low", range(0, 40, 3))
@pytest.mark.parametrize("length", [1, 9, 20, 30, 47])
def test_windows_of_a_thing_of_any_length_anywhere_stay_inside(low, length):
    near = np.zeros((16, 47, 30), bool)
    near[:, low : low + length, 3:27] = True

    corners = np.array(windows_along(near, PATCH))

    assert (corners >= 0).all()
    assert (corners + PATCH <= near.shape).all()
    assert covered(near, map(tuple, corners))[near].all()


def test_a_network_that_changes_nothing_gives_the_image_back():
    near = line()
    image = np.random.default_rng(0).normal(size=near.shape).astype(np.float32)

    found = blended(image, near, PATCH, lambda tile, inside: tile)

    seen = np.isfinite(found)
    assert seen[near].all()
    assert np.abs(found[seen] - image[seen]).max() < 1e-4
    assert not seen.all()


def test_an_image_smaller_than_a_window_is_padded_with_no_field_of_view():
    image = np.ones((4, 10, 12), np.float32)
    views = []

    found = blended(image, image > 0, PATCH, lambda tile, inside: views.append(inside.sum()) or tile)

    assert views == [4 * 10 * 12]
    assert found.shape == image.shape
    assert np.abs(found - 1).max() < 1e-5


def test_progress_ends_at_one():
    seen = []

    blended(np.ones((64, 80, 90), np.float32), line(), PATCH, lambda tile, inside: tile, progress=seen.append)

    assert seen == sorted(seen)
    assert seen[-1] == 1.0
