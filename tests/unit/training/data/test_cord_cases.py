"""Cases made from masks: what is known of their shape."""

import numpy as np
import pytest

from dicom_ai.training.data.cord_cases import _isotropic, as_bytes, clustered, formula_case


def discs(radii, size=80):
    rows, columns = np.meshgrid(np.arange(size) - size / 2 + 0.5, np.arange(size) - size / 2 + 0.5, indexing="ij")
    return np.stack([np.hypot(rows, columns) < radius for radius in radii])


def test_between_two_slices_a_shape_grows_and_does_not_fade():
    soft = _isotropic(discs([10.0, 14.0]), np.array([5.0, 0.5, 0.5])) / 255

    areas = soft.sum(axis=(1, 2))

    assert len(areas) == 6
    assert areas[0] == pytest.approx(np.pi * 25, rel=0.03)
    assert areas[-1] == pytest.approx(np.pi * 49, rel=0.03)
    assert (np.diff(areas) > 0).all()
    assert areas[2] == pytest.approx(np.pi * (5 + 2 * 0.4) ** 2, rel=0.04)


def test_a_formula_case_keeps_the_area_of_its_formula():
    case = formula_case(3, extent_mm=(40.0, 60.0, 60.0), top_mm=-40.0)
    areas = case.arrays["cord"].astype(float).sum(axis=(1, 2)) / 255

    assert case.arrays["tissue"].shape == case.arrays["cord"].shape
    assert 25 < np.median(areas[areas > 0]) < 130


def test_clusters_are_ordered_by_brightness():
    image = np.zeros((10, 20, 20), np.float32)
    image[:, :, 7:14], image[:, :, 14:] = 50, 400

    found = clustered(image, 3)

    assert found[5, 10, 3] < found[5, 10, 10] < found[5, 10, 17]


def test_bytes_span_the_image():
    found = as_bytes(np.linspace(-5, 300, 10_000))

    assert (found.min(), found.max()) == (0, 255)
