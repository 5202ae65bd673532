"""Corners of painted quadrilaterals."""

import numpy as np
import pytest

from dicom_ai.measurements.radiograph_shape import quad_of
from dicom_ai.training.data.xray_synthesis import paint

DOWN = np.array([0.0, 1.0])


def painted(corners: np.ndarray, shape=(200, 200)) -> np.ndarray:
    canvas = np.zeros(shape, np.float32)
    paint(canvas, corners)
    return canvas >= 0.5


def turned(corners: np.ndarray, degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (corners - 100) @ turn.T + 100


SQUARE = np.array([[70.0, 75.0], [130.0, 75.0], [130.0, 125.0], [70.0, 125.0]])
WEDGE = np.array([[70.0, 75.0], [130.0, 88.0], [130.0, 120.0], [70.0, 125.0]])


@pytest.mark.parametrize("degrees", [0, 10, -25, 35])
@pytest.mark.parametrize("shape", [SQUARE, WEDGE])
def test_corners_are_those_that_were_painted(shape, degrees):
    truth = turned(shape, degrees)

    quad = quad_of(painted(truth), turned(np.array([[100.0, 101.0]]), degrees)[0] - 100)

    assert quad is not None
    assert np.abs(quad.corners - truth).max() < 2.5


def test_a_wrong_direction_of_the_column_is_put_right():
    quad = quad_of(painted(turned(SQUARE, 15)), DOWN)

    assert quad is not None
    assert np.abs(quad.corners - turned(SQUARE, 15)).max() < 2.5


def test_sunken_endplates_lower_the_middle_height():
    mask = painted(SQUARE)
    rows, columns = np.indices(mask.shape)
    mask &= ((columns - 100) / 22) ** 2 + ((rows - 75) / 8) ** 2 > 1

    quad = quad_of(mask, DOWN)

    assert quad is not None
    assert np.linalg.norm(quad.middle_top - quad.middle_bottom) == pytest.approx(42, abs=2)


def test_a_speck_has_no_corners():
    assert quad_of(painted(SQUARE / 20 + 90), DOWN) is None
