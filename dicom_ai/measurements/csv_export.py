"""The profile of the cord as a table with the Spinal Cord Toolbox's column names, per slice or per level."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO

import numpy as np

from dicom_ai.measurements.labelled_slices import slices_by_level
from dicom_ai.measurements.spinal_cord_csa import CordProfile, CordSlice

METRICS = ("area", "angle_AP", "angle_RL", "diameter_AP", "diameter_RL", "eccentricity", "orientation", "solidity")
COLUMNS = (
    *("Timestamp", "SCT Version", "Filename", "Slice (I->S)", "VertLevel", "DistancePMJ"),
    *(f"{statistic}({metric})" for metric in METRICS for statistic in ("MEAN", "STD")),
    *("SUM(length)", "Withheld"),
)
"""SCT's, and a last one of ours: why the numbers of a row are not given."""

DECIMALS = 4


@dataclass(frozen=True, slots=True)
class TableOrigin:
    """What stands in every row. software: goes where SCT names its own version."""

    timestamp: str
    software: str
    filename: str


def csv_text(rows: Sequence[Mapping[str, str]]) -> str:
    """Return rows as CSV with a header line."""
    out = StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def rows_per_slice(
    profile: CordProfile, *, origin: TableOrigin, levels: Mapping[int, int] | None = None
) -> list[dict[str, str]]:
    """Return one row per slice with its numbers, feet to head. levels: slice index -> level code."""
    levels = levels or {}
    return [_row(profile, [item], origin=origin, level=str(levels.get(item.index, ""))) for item in profile.slices]


def rows_per_level(profile: CordProfile, *, origin: TableOrigin, levels: Mapping[int, int]) -> list[dict[str, str]]:
    """Return one row per level from above, and one for C2 and C3 pooled ("2:3")."""
    return [
        _row(profile, slices, origin=origin, level=":".join(map(str, key)), at_least=profile.settings.min_slices)
        for key, slices in slices_by_level(profile, levels).items()
    ]


def _row(
    profile: CordProfile, slices: Sequence[CordSlice], *, origin: TableOrigin, level: str, at_least: int = 1
) -> dict[str, str]:
    measured = [item for item in slices if item.measured]
    indices = [item.index for item in slices]
    row = {
        "Timestamp": origin.timestamp,
        "SCT Version": origin.software,
        "Filename": origin.filename,
        "Slice (I->S)": str(indices[0]) if len(indices) == 1 else f"{indices[0]}:{indices[-1]}",
        "VertLevel": level,
        "Withheld": _withheld(profile, slices, measured, at_least),
    }
    if len(measured) < at_least:
        return row
    for metric in METRICS:
        if not _metric_withheld(profile, metric):
            values = np.array([VALUES[metric](profile, item) for item in measured])
            row |= {f"MEAN({metric})": _text(values.mean()), f"STD({metric})": _text(values.std())}
    return row | {"SUM(length)": _text(sum(_length_mm(profile, item) for item in measured))}


def _withheld(profile: CordProfile, slices: Sequence[CordSlice], measured: Sequence[CordSlice], at_least: int) -> str:
    reasons = [profile.csa_withheld] if profile.csa_withheld else []
    if len(measured) < at_least:
        reasons += sorted({item.withheld for item in slices if item.withheld}) or [f"fewer than {at_least} slices"]
    return "; ".join(reasons)


def _metric_withheld(profile: CordProfile, metric: str) -> bool:
    """Return whether the voxels are too coarse for a metric: without CSA, only angles and the AP diameter are left."""
    if metric == "diameter_AP":
        return bool(profile.ap_withheld)
    return bool(profile.csa_withheld) and not metric.startswith("angle")


def _section(name: str) -> Callable[[CordProfile, CordSlice], float]:
    return lambda profile, item: float(getattr(item.section, name))


def _angle(axis: int) -> Callable[[CordProfile, CordSlice], float]:
    """Return the tilt towards one in-plane axis in degrees. SCT names an angle after the axis it turns about."""

    def angle(profile: CordProfile, item: CordSlice) -> float:
        along, sideways = item.tangent @ profile.cord.directions[:, [0, axis]]
        return float(np.degrees(np.arctan2(sideways, along)))

    return angle


def _length_mm(profile: CordProfile, item: CordSlice) -> float:
    return float(profile.cord.spacing_mm[0] / abs(item.tangent @ profile.cord.directions[:, 0]))


VALUES: dict[str, Callable[[CordProfile, CordSlice], float]] = {
    "area": _section("area_mm2"),
    "angle_AP": _angle(2),
    "angle_RL": _angle(1),
    "diameter_AP": _section("ap_mm"),
    "diameter_RL": _section("rl_mm"),
    "eccentricity": _section("eccentricity"),
    "orientation": _section("turn_deg"),
    "solidity": _section("solidity"),
}
"""SCT's metric -> how it is read from a slice."""


def _text(value: float) -> str:
    return f"{value:.{DECIMALS}f}" if np.isfinite(value) else ""
