"""The picture of the CSA along the cord, with the levels and, where it may be shown, the range of healthy people.

Pure functions; no plotting library is needed. From a series' entry in findings.json (the dict that analysis.study
makes, that `dicom-ai process` writes and that a run keeps):

    curve = curve_from_entry(entry)             # None where nothing of the cord could be measured
    text = csa_svg(curve, title="Series 3")     # str, one <svg> element without style or script
    data = csa_png(curve, title="Series 3")     # bytes, 2 pixels per point
    drawing = csa_drawing(curve)                # imaging.drawing.Drawing: lines, areas, texts, for another surface

From a fresh measurement: curve_of(profile, stretches, normal=...).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

from dicom_ai.imaging.drawing import Area, Dot, Drawing, Line, Shape, Text, png_bytes, svg_text
from dicom_ai.measurements.spinal_cord_csa import CordProfile

WIDTH, HEIGHT = 680.0, 360.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 16.0, 52.0, 72.0
"""Margins around the field of the plot, in points."""

CURVE, PRIOR, BAND, MIDDLE, RULE, SOFT = "#0072b2", "#d55e00", "#cfe8d5", "#2e8b57", "#e4e4e4", "#666666"
_STEPS_MM2 = (5.0, 10.0, 20.0, 50.0)
_STEPS_MM = (10.0, 20.0, 50.0, 100.0)
_LEGEND_LETTERS = 118


@dataclass(frozen=True, slots=True)
class NormalBand:
    """What the middle 95 % of a healthy cohort read at a level, as this model would read them."""

    low_mm2: float
    mean_mm2: float
    high_mm2: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """A level along the cord, in mm below the top of the cord seen. normal: None where no range may be shown.

    prior_mm2: mean CSA in an earlier report; None without one.
    """

    name: str
    start_mm: float
    stop_mm: float
    normal: NormalBand | None = None
    prior_mm2: float | None = None


@dataclass(frozen=True, slots=True)
class CsaCurve:
    """The CSA of every cross-section from head to feet; None where it may not be said.

    normal: what the ranges are of, or why there is none. prior: which examination the earlier areas are of.
    """

    positions_mm: tuple[float, ...] = field(repr=False)
    areas_mm2: tuple[float | None, ...] = field(repr=False)
    stretches: tuple[Stretch, ...] = ()
    normal: str = ""
    prior: str = ""


def curve_of(profile: CordProfile, stretches: Sequence[Stretch] = (), *, normal: str = "") -> CsaCurve | None:
    """Return the curve of a profile; None where no slice has a CSA that may be said."""
    areas = [
        round(item.section.area_mm2, 1) if item.section and item.measured and not profile.csa_withheld else None
        for item in reversed(profile.slices)
    ]
    if not any(area is not None for area in areas):
        return None
    positions = tuple(round(item.position_mm, 2) for item in reversed(profile.slices))
    return CsaCurve(positions, tuple(areas), tuple(stretches), normal)


def curve_from_entry(entry: Mapping[str, Any]) -> CsaCurve | None:
    """Return the curve of a series from its entry in findings.json; None where no slice has a CSA."""
    slices = entry.get("slices") or []
    areas = tuple(one["area_mm2"] for one in slices)
    if not any(area is not None for area in areas):
        return None
    about = entry.get("levels_along_cord") or {}
    stretches = tuple(
        Stretch(
            one["name"],
            one["start_mm"],
            one["stop_mm"],
            NormalBand(*one["normal_mm2"]) if one["normal_mm2"] else None,
            one.get("prior_mm2"),
        )
        for one in about.get("levels", [])
    )
    positions = tuple(one["position_mm"] for one in slices)
    return CsaCurve(positions, areas, stretches, about.get("normal", ""), about.get("prior", ""))


def levels_entry(curve: CsaCurve | None) -> dict[str, Any] | None:
    """Return what findings.json keeps of a curve beside its slices: curve_from_entry reads it back."""
    if curve is None:
        return None
    levels = [
        {
            "name": one.name,
            "start_mm": round(one.start_mm, 1),
            "stop_mm": round(one.stop_mm, 1),
            "normal_mm2": [one.normal.low_mm2, one.normal.mean_mm2, one.normal.high_mm2] if one.normal else None,
            "prior_mm2": one.prior_mm2,
        }
        for one in curve.stretches
    ]
    return {"levels": levels, "normal": curve.normal, "prior": curve.prior}


def csa_svg(curve: CsaCurve, *, title: str = "") -> str:
    """Return the plot as one SVG element."""
    return svg_text(csa_drawing(curve, title=title))


def csa_png(curve: CsaCurve, *, title: str = "", pixels_per_point: float = 2.0) -> bytes:
    """Return the plot as PNG; 680 x 360 points."""
    return png_bytes(csa_drawing(curve, title=title), pixels_per_point=pixels_per_point)


def csa_drawing(curve: CsaCurve, *, title: str = "") -> Drawing:
    """Return the plot: distance along the cord to the right, CSA upwards, levels above, the healthy range behind."""
    frame = _Frame.around(curve)
    heading = f"Cross-sectional area of the spinal cord{f': {title}' if title else ''}"
    shapes = [
        *_bands(curve, frame),
        *_grid(frame),
        *_level_marks(curve, frame),
        *_measured(curve, frame),
        *_earlier(curve, frame),
        Text((LEFT, 20.0), heading, size=13.0),
        *_legend(curve),
    ]
    return Drawing(WIDTH, HEIGHT, heading, tuple(shapes))


@dataclass(frozen=True, slots=True)
class _Frame:
    """The field of the plot: which numbers its sides stand for."""

    start_mm: float
    stop_mm: float
    most_mm2: float

    @staticmethod
    def around(curve: CsaCurve) -> "_Frame":
        highest = [area for area in curve.areas_mm2 if area is not None]
        highest += [one.normal.high_mm2 for one in curve.stretches if one.normal]
        highest += [one.prior_mm2 for one in curve.stretches if one.prior_mm2]
        step = _step(1.08 * max(highest), _STEPS_MM2)
        return _Frame(0.0, max(curve.positions_mm), step * -(-1.08 * max(highest) // step))

    def place(self, position_mm: float, area_mm2: float) -> tuple[float, float]:
        share = (position_mm - self.start_mm) / max(self.stop_mm - self.start_mm, 1e-6)
        across = LEFT + (WIDTH - LEFT - RIGHT) * min(max(share, 0.0), 1.0)
        return across, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * area_mm2 / self.most_mm2


def _step(span: float, steps: Sequence[float]) -> float:
    """Return the smallest of the steps that cuts a span into at most ten."""
    return next((step for step in steps if span / step <= 10), steps[-1])


def _grid(frame: _Frame) -> list[Shape]:
    shapes: list[Shape] = []
    step = _step(frame.most_mm2, _STEPS_MM2)
    for number in range(int(frame.most_mm2 / step) + 1):
        left, height = frame.place(frame.start_mm, number * step)
        shapes.append(Line(((left, height), (WIDTH - RIGHT, height)), RULE))
        shapes.append(Text((LEFT - 6, height + 4), f"{number * step:g}", anchor="end", color=SOFT))
    step = _step(frame.stop_mm - frame.start_mm, _STEPS_MM)
    for number in range(int((frame.stop_mm - frame.start_mm) / step) + 1):
        across, bottom = frame.place(number * step, 0.0)
        shapes.append(Text((across, bottom + 15), f"{number * step:g}", anchor="middle", color=SOFT))
    corner = frame.place(frame.start_mm, 0.0)
    shapes.append(Line(((LEFT, TOP), corner, (WIDTH - RIGHT, corner[1])), SOFT))
    middle = 0.5 * (LEFT + WIDTH - RIGHT)
    shapes.append(Text((middle, corner[1] + 30), "mm below the top of the cord seen", anchor="middle", color=SOFT))
    shapes.append(Text((LEFT - 6, TOP - 8), "mm²", anchor="end", color=SOFT))
    return shapes


def _bands(curve: CsaCurve, frame: _Frame) -> list[Shape]:
    shapes: list[Shape] = []
    for one in _shown(curve, frame):
        if one.normal is None:
            continue
        low_left, low_right = (frame.place(at, one.normal.low_mm2) for at in (one.start_mm, one.stop_mm))
        high_left, high_right = (frame.place(at, one.normal.high_mm2) for at in (one.start_mm, one.stop_mm))
        shapes.append(Area((low_left, low_right, high_right, high_left), BAND))
        middle = tuple(frame.place(at, one.normal.mean_mm2) for at in (one.start_mm, one.stop_mm))
        shapes.append(Line(middle, MIDDLE))
    return shapes


def _level_marks(curve: CsaCurve, frame: _Frame) -> list[Shape]:
    shapes: list[Shape] = []
    for one in _shown(curve, frame):
        start, stop = frame.place(one.start_mm, 0.0), frame.place(one.stop_mm, 0.0)
        shapes += [Line(((across, TOP), (across, bottom)), RULE) for across, bottom in (start, stop)]
        if stop[0] - start[0] > 8.0 * len(one.name):
            shapes.append(Text((0.5 * (start[0] + stop[0]), TOP - 8), one.name, anchor="middle"))
    return shapes


def _shown(curve: CsaCurve, frame: _Frame) -> list[Stretch]:
    return [one for one in curve.stretches if one.stop_mm > frame.start_mm and one.start_mm < frame.stop_mm]


def _measured(curve: CsaCurve, frame: _Frame) -> list[Shape]:
    """Return the curve, interrupted where nothing may be said; few slices are also marked by dots."""
    runs: list[list[tuple[float, float]]] = [[]]
    for position, area in zip(curve.positions_mm, curve.areas_mm2, strict=True):
        if area is not None:
            runs[-1].append(frame.place(position, area))
        elif runs[-1]:
            runs.append([])
    shapes: list[Shape] = [Line(tuple(run), CURVE, 2.0) for run in runs if len(run) > 1]
    points = [point for run in runs for point in run]
    dotted = points if len(points) <= 60 else [run[0] for run in runs if len(run) == 1]
    return shapes + [Dot(point, 2.5, CURVE) for point in dotted]


def _earlier(curve: CsaCurve, frame: _Frame) -> list[Shape]:
    """Return the earlier mean of each level as a line of its length: a report keeps means, not slices."""
    shapes: list[Shape] = []
    for one in _shown(curve, frame):
        if one.prior_mm2 is not None:
            ends = tuple(frame.place(at, one.prior_mm2) for at in (one.start_mm, one.stop_mm))
            shapes.append(Line(ends, PRIOR, 2.0))
    return shapes


def _legend(curve: CsaCurve) -> list[Shape]:
    said = " ".join(text for text in (curve.prior, curve.normal or "No range of healthy people is shown.") if text)
    lines = wrap(said, _LEGEND_LETTERS, max_lines=3, placeholder=" ...")
    low = HEIGHT - 29.0
    shapes: list[Shape] = [
        Text((LEFT, low + 12 * number), line, size=9.5, color=SOFT) for number, line in enumerate(lines)
    ]
    if any(one.normal for one in curve.stretches):
        shapes.append(Area(((LEFT - 18, low - 8), (LEFT - 6, low - 8), (LEFT - 6, low), (LEFT - 18, low)), BAND))
    return shapes
