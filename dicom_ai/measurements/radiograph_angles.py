"""What is measured on the corners of vertebral bodies in a lateral film: heights, ratios, listhesis, angles.

Points are (column, row) of an upright film; lengths are in pixels, or millimetres where the points are. Pure geometry.

    top back ------ top front
        |               |          facing 1: anterior is at larger columns, -1: at smaller ones
    bottom back --- bottom front
"""

from dataclasses import dataclass, field

import numpy as np

from dicom_ai.measurements.radiograph_shape import Quad


@dataclass(frozen=True, slots=True)
class Body:
    """A body with its anterior side known. Points have equal units along both axes."""

    top_back: np.ndarray = field(repr=False)
    top_front: np.ndarray = field(repr=False)
    bottom_front: np.ndarray = field(repr=False)
    bottom_back: np.ndarray = field(repr=False)
    middle_height: float

    @classmethod
    def of(cls, quad: Quad, *, facing: int, scale: np.ndarray) -> "Body":
        """Name the corners of a quad. scale: units per pixel, (column, row)."""
        first = (quad.top_first, quad.bottom_first)
        second = (quad.top_second, quad.bottom_second)
        back, front = (first, second) if facing > 0 else (second, first)
        middle = float(np.linalg.norm((quad.middle_top - quad.middle_bottom) * scale))
        return cls(back[0] * scale, front[0] * scale, front[1] * scale, back[1] * scale, middle)

    @property
    def anterior_height(self) -> float:
        """Between the anterior corners."""
        return float(np.linalg.norm(self.top_front - self.bottom_front))

    @property
    def posterior_height(self) -> float:
        """Between the posterior corners."""
        return float(np.linalg.norm(self.top_back - self.bottom_back))

    @property
    def wedge_ratio(self) -> float:
        """Anterior over posterior height: below 1 the body is lower in front."""
        return self.anterior_height / self.posterior_height

    @property
    def biconcavity_ratio(self) -> float:
        """Middle height over the mean of anterior and posterior height: below 1 the endplates are sunken."""
        return 2 * self.middle_height / (self.anterior_height + self.posterior_height)


def listhesis(above: Body, below: Body) -> float:
    """Return how far the upper body stands before the lower one, at the disc between, in units of the points.

    Measured between the posterior corners along the upper endplate of the lower body (Meyerding's line); positive:
    the upper body has slipped forwards.
    """
    endplate = below.top_front - below.top_back
    return float((above.bottom_back - below.top_back) @ endplate / np.linalg.norm(endplate))


def slip_share(above: Body, below: Body) -> float:
    """Return listhesis as a share of the lower body's upper endplate."""
    return listhesis(above, below) / float(np.linalg.norm(below.top_front - below.top_back))


def lordosis_deg(upper: tuple[np.ndarray, np.ndarray], lower: tuple[np.ndarray, np.ndarray], *, facing: int) -> float:
    """Return the angle between two endplates, (back, front) points each; positive where they open forwards."""
    return _lift_deg(upper, facing) - _lift_deg(lower, facing)


def _lift_deg(endplate: tuple[np.ndarray, np.ndarray], facing: int) -> float:
    """Return how far an endplate rises towards the front, in degrees."""
    across, down = endplate[1] - endplate[0]
    return float(np.degrees(np.arctan2(-down, facing * across)))
