"""Heights, ratios, listhesis and angles of bodies with known corners."""

import numpy as np
import pytest

from dicom_ai.measurements.radiograph_angles import Body, listhesis, lordosis_deg, slip_share


def body(
    top: float = 0.0, *, shift: float = 0.0, front: float = 40.0, back: float = 40.0, middle: float = 40.0
) -> Body:
    """Facing right, 50 deep; front and back heights grow downwards."""
    points = [(0, top), (50, top), (50, top + front), (0, top + back)]
    return Body(*(np.add(point, (shift, 0)) for point in points), middle)


def mirrored(one: Body) -> Body:
    flip = np.array([-1.0, 1.0])
    return Body(one.top_back * flip, one.top_front * flip, one.bottom_front * flip, one.bottom_back * flip, 40.0)


def test_a_wedge_of_a_quarter():
    assert body(front=30.0).wedge_ratio == pytest.approx(0.75)


def test_sunken_endplates():
    assert body(middle=30.0).biconcavity_ratio == pytest.approx(0.75)


def test_slipping_forwards_is_positive_on_either_side():
    above, below = body(shift=5.0), body(50.0)

    assert listhesis(above, below) == pytest.approx(5.0)
    assert slip_share(above, below) == pytest.approx(0.1)
    assert listhesis(mirrored(above), mirrored(below)) == pytest.approx(5.0)


def test_endplates_that_open_forwards_are_lordotic_on_either_side():
    level = (np.array([0.0, 50.0]), np.array([50.0, 50.0]))
    rising = (np.array([0.0, 0.0]), np.array([50.0, -50 * np.tan(np.deg2rad(20))]))
    flip = np.array([-1.0, 1.0])

    assert lordosis_deg(rising, level, facing=1) == pytest.approx(20)
    assert lordosis_deg((rising[0] * flip, rising[1] * flip), (level[0] * flip, level[1] * flip), facing=-1) == (
        pytest.approx(20)
    )
    assert lordosis_deg(level, rising, facing=1) == pytest.approx(-20)
