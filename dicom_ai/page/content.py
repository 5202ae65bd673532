"""What stands on the page: a study's entry in findings.json in words, and its key pictures. Not a word about where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import shorten
from typing import Any

import numpy as np

from dicom_ai.measurements.csa_plot import CsaCurve, curve_from_entry
from dicom_ai.measurements.table import MEASUREMENTS

RESEARCH_ONLY = "Research use only, not verified"
MISSING = "–"
"""Stands in the table where a number is not given; the notes say why."""

COLUMNS: Mapping[str, str] = {
    "csa_mean": "CSA mean",
    "csa_prior": "prior",
    "csa_change": "change",
    "csa_change_percent": "change",
    "csa_sd": "CSA SD",
    "csa_min": "CSA min",
    "csa_max": "CSA max",
    "csa_slices": "slices",
    "ap_mean": "AP",
    "rl_mean": "RL",
    "ap_midsagittal": "AP m.-s.",
    "mscc": "MSCC",
    "csa_z": "z-score",
    "csa_percentile": "%ile",
    "height_anterior": "ant. h.",
    "height_middle": "mid. h.",
    "height_posterior": "post. h.",
    "body_depth": "depth",
    "wedge_ratio": "wedge",
    "compress_ratio": "compr.",
    "disc_height": "disc h.",
    "disc_angle": "angle",
    "slip": "slip",
    "angle_c2_c7": "C2-C7",
    "angle_l1_s1": "L1-S1",
    "volume": "volume",
    "disc_volume": "volume",
}
"""Key of a measurement -> head of its column, in the order of the columns. Numbers without a column are in the SR."""

MOST_COLUMNS = 14
LONGEST_SERIES_NAME = 45
"""Above the curve, so that the heading keeps to its width."""

_SHOWN_UNITS = {"mm2": "mm²", "mm3": "mm³", "deg": "°", "1": ""}


@dataclass(frozen=True, slots=True)
class KeyPicture:
    """An image with what was found drawn on it. pixels: uint8, shape (rows, columns, 3)."""

    caption: str
    pixels: np.ndarray = field(repr=False)


@dataclass(frozen=True, slots=True)
class NumberTable:
    """Findings of one series, a row each. heads: name and unit of each number. rows: site, numbers as text, quality."""

    caption: str
    heads: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a page comes from. identity: lines that say who the patient is; study: lines that say which examination.

    series: UID -> what people call it ("series 3 t2_sag"). software: name and version of the node.
    """

    identity: tuple[str, ...]
    study: tuple[str, ...]
    series: Mapping[str, str]
    software: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page. identity is left out of pictures, which travel without their header. curve_of: its series."""

    title: str
    identity: tuple[str, ...]
    study: tuple[str, ...]
    pictures: tuple[KeyPicture, ...] = field(repr=False)
    curve: CsaCurve | None
    tables: tuple[NumberTable, ...]
    notes: tuple[str, ...]
    provenance: tuple[str, ...]
    curve_of: str = ""


def page_of(entry: Mapping[str, Any], pictures: Sequence[KeyPicture], origin: Origin) -> Page:
    """Return the page of a study. entry: its entry in findings.json; numbers stand as they do there."""
    done = [series for series in entry["series"] if series["state"] == "done"]
    curves = ((curve, series["series_uid"]) for series in done if (curve := curve_from_entry(series)) is not None)
    curve, curve_uid = next(curves, (None, ""))
    tables = [table for series in done if (table := _table(series, origin)).rows]
    return Page(
        title="AI report of the spine",
        identity=origin.identity,
        study=(*origin.study, _run(entry)),
        pictures=tuple(pictures),
        curve=curve,
        tables=tuple(sorted(tables, key=_areas, reverse=True)),
        notes=tuple(dict.fromkeys([*_changes(entry, done), *entry["notes"], *_reasons(done), *_remarks(done)])),
        provenance=(*_models(entry), f"{origin.software}; made {entry['created_at']}"),
        curve_of=shorten(origin.series.get(curve_uid, ""), LONGEST_SERIES_NAME, placeholder=" ..."),
    )


def caption(model: str, series_uid: str, origin: Origin) -> str:
    """Return what stands at a picture or a table: which series, and what was found in it by which model."""
    return f"{origin.series.get(series_uid, series_uid)}: {model}"


def number_text(key: str, value: float | None) -> str:
    """Return a number as its measurement is read, without its unit."""
    return MISSING if value is None else MEASUREMENTS[key].text(value)


def _run(entry: Mapping[str, Any]) -> str:
    run, complete = entry["run"], entry["complete"]
    replaces = f", replaces run {run - 1}" if run > 1 else ""
    return f"run {run}{replaces}; {'all analyses ended' if complete else 'partial: not all analyses had ended'}"


def _table(series: Mapping[str, Any], origin: Origin) -> NumberTable:
    present = {number["key"] for finding in series["findings"] for number in finding["quantities"]}
    keys = [key for key in COLUMNS if key in present][:MOST_COLUMNS]
    return NumberTable(
        caption=caption(series["model"]["name"], series["series_uid"], origin),
        heads=tuple((COLUMNS[key], _unit(key)) for key in keys),
        rows=tuple(_row(finding, keys) for finding in series["findings"]),
    )


def _areas(table: NumberTable) -> int:
    """Return how many areas of the cord a table gives; -1 where it is of something else."""
    if COLUMNS["csa_mean"] not in dict(table.heads):
        return -1
    return sum(row[1] not in ("", MISSING) for row in table.rows)


def _row(finding: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, ...]:
    values = {number["key"]: number["value"] for number in finding["quantities"]}
    numbers = (number_text(key, values[key]) if key in values else "" for key in keys)
    return (_site(finding), *numbers, finding["quality"])


def _site(finding: Mapping[str, Any]) -> str:
    name, site = finding["name"], finding["site"]
    return site if site in name or name in site else f"{name}, {site}"


def _unit(key: str) -> str:
    unit = MEASUREMENTS[key].unit
    return _SHOWN_UNITS.get(unit, unit)


def _reasons(done: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return why numbers are missing, each reason once, with the sites it holds for."""
    sites: dict[str, dict[str, None]] = {}
    for series in done:
        for finding in series["findings"]:
            for number in finding["quantities"]:
                if number["value"] is None:
                    sites.setdefault(number["reason"], {})[finding["site"]] = None
    return [f"{MISSING} ({', '.join(names)}): {reason}" for reason, names in sites.items()]


def _remarks(done: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the notes of findings, each once, with the sites it holds for."""
    sites: dict[str, dict[str, None]] = {}
    for series in done:
        for finding in series["findings"]:
            for note in finding["notes"]:
                sites.setdefault(note, {})[finding["site"]] = None
    return [f"{', '.join(names)}: {note}" for note, names in sites.items()]


def _changes(entry: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what is said of the changes since an earlier report: a page that runs out of room still has it."""
    prior = entry.get("prior") or {}
    said = {*prior.get("says", ()), *prior.get("warnings", ())}
    return [line for line in _remarks(done) if line.partition(": ")[2] in said]


def _models(entry: Mapping[str, Any]) -> list[str]:
    models = {
        f"model {model['name']} {model['version']} (sha256 {model['sha256'][:16]}), series {series['series_uid']}": None
        for series in entry["series"]
        if (model := series["model"])["sha256"]
    }
    return list(models)
