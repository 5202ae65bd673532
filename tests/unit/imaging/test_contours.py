"""Outlines in SCOORD pixel coordinates: the first pixel's centre is 0.5, 0.5."""

import numpy as np
import pytest

from dicom_ai.imaging.contours import outer_contour, polygon_area, soft_contour


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    rows, columns = np.indices(shape)
    return (rows + 0.5 - centre[0]) ** 2 + (columns + 0.5 - centre[1]) ** 2 <= radius**2


def test_the_outline_is_closed():
    points = outer_contour(disc((40, 50), (20, 30), 8))

    assert np.array_equal(points[0], points[-1])


def test_the_outline_encloses_the_area_of_the_mask():
    mask = disc((40, 50), (20, 30), 8)

    assert abs(polygon_area(outer_contour(mask))) == pytest.approx(mask.sum(), rel=0.01)


def test_the_outline_is_centred_where_the_mask_is_in_column_row_order():
    points = outer_contour(disc((40, 50), (20, 30), 8))

    assert points[:-1].mean(axis=0) == pytest.approx([30, 20], abs=0.1)


def test_a_block_of_pixels_is_outlined_at_its_edges():
    mask = np.zeros((10, 12), bool)
    mask[2:5, 3:9] = True

    points = outer_contour(mask)

    assert points.min(axis=0) == pytest.approx([3, 2])
    assert points.max(axis=0) == pytest.approx([9, 5])


def test_a_mask_at_every_border_is_outlined_inside_the_image():
    points = outer_contour(np.ones((10, 12), bool))

    assert points.min(axis=0) == pytest.approx([0, 0])
    assert points.max(axis=0) == pytest.approx([12, 10])


def test_only_the_largest_part_is_outlined():
    mask = disc((40, 50), (20, 30), 8) | disc((40, 50), (5, 5), 3)

    assert outer_contour(mask)[:, 0].min() > 20


def test_a_hole_does_not_change_the_outline():
    ring = disc((40, 50), (20, 30), 8) & ~disc((40, 50), (20, 30), 3)

    assert np.allclose(outer_contour(ring), outer_contour(disc((40, 50), (20, 30), 8)))


def test_one_pixel_has_an_outline():
    mask = np.zeros((4, 4), bool)
    mask[1, 2] = True

    assert outer_contour(mask)[:-1].mean(axis=0) == pytest.approx([2.5, 1.5])


def test_an_empty_mask_is_refused():
    with pytest.raises(ValueError, match="nothing to outline"):
        outer_contour(np.zeros((4, 4), bool))


def test_a_soft_edge_is_placed_between_pixels():
    values = np.zeros((5, 9))
    values[1:4, 2:6] = 1.0
    values[1:4, 6] = 0.75

    points = soft_contour(values)

    assert points[:, 0].max() == pytest.approx(6.5 + 0.25 / 0.75)
