"""Intensities: nothing that is not a number, no division by nothing."""

import numpy as np
import pytest

from dicom_ai.imaging.intensity import finite, minmax, percentile_clip, zscore


def test_values_that_are_no_numbers_are_replaced_and_counted():
    cleaned = finite(np.array([1.0, np.nan, np.inf, -np.inf, 3.0]))

    assert cleaned.values == pytest.approx([1.0, 1.0, 3.0, 1.0, 3.0])
    assert cleaned.replaced == 3


def test_an_image_without_any_number_becomes_zeros():
    cleaned = finite(np.full((2, 2), np.nan))

    assert np.array_equal(cleaned.values, np.zeros((2, 2)))
    assert cleaned.replaced == 4


def test_finite_values_are_not_copied():
    array = np.ones((2, 2), np.float32)

    assert finite(array).values is array


def test_zscore_has_mean_zero_and_deviation_one():
    values = zscore(np.arange(1000).reshape(10, 100))

    assert values.dtype == np.float32
    assert values.mean() == pytest.approx(0.0, abs=1e-6)
    assert values.std() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("constant", [0.0, 5.0, -1e6, 1e7])
def test_a_constant_image_becomes_zeros(constant):
    image = np.full((3, 4), constant)

    assert np.array_equal(zscore(image), np.zeros((3, 4)))
    assert np.array_equal(minmax(image), np.zeros((3, 4)))


def test_minmax_reaches_from_zero_to_one():
    assert minmax(np.array([10, 20, 30])) == pytest.approx([0.0, 0.5, 1.0])


def test_percentiles_cut_the_extremes():
    values = np.arange(1001.0)

    clipped = percentile_clip(values, 1.0, 99.0)

    assert clipped.min() == 10.0
    assert clipped.max() == 990.0
    assert clipped.dtype == np.float32
