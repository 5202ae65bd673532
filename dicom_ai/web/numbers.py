"""The numbers of a sent report as tables: one for each kind of structure and series, a column a measurement."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO

from dicom_ai.domain.findings import Finding, Quality, Quantity, StructureKind
from dicom_ai.measurements.table import MEASUREMENTS

UNITS = {"mm2": "mm²", "mm3": "mm³", "cm3": "cm³", "1": "", "deg": "°", "{score}": ""}
"""Unit of UCUM -> as people write it, where that differs."""
_FLAGS = {Quality.PASS: "good", Quality.WARN: "warn", Quality.FAIL: "bad"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One number as it was sent; where there is none, why."""

    text: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One finding. quality, tone: the coded verdict and how it looks."""

    site: str
    quality: str
    tone: str
    notes: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class NumberTable:
    """The findings of one kind of structure in one series. columns: names of measurements with their units."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def tables(findings: Sequence[Finding], names: Mapping[str, str]) -> tuple[NumberTable, ...]:
    """Return the findings by kind of structure and series, in the order of the report. names: series -> its name."""
    groups: dict[tuple[StructureKind, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.structure.kind, finding.series_uid), []).append(finding)
    return tuple(_table(kind, names.get(uid, ""), found) for (kind, uid), found in groups.items())


def levels(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the sites that a person can judge, each once."""
    return tuple(dict.fromkeys(finding.site for finding in findings))


def csv_text(findings: Sequence[Finding]) -> str:
    """Return every number as one line: structure, site, what, value, unit, why there is none, quality."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("structure", "site", "measurement", "value", "unit", "not given because", "quality"))
    for finding in findings:
        for quantity in finding.quantities:
            row = MEASUREMENTS[quantity.key]
            named = (finding.structure.name, finding.site, row.displayed_name(finding.site))
            value = "" if quantity.value is None else row.digits(quantity.value)
            numbers = (value, row.unit, quantity.reason, finding.quality.value)
            writer.writerow([harmless(value) for value in named + numbers])
    return out.getvalue()


def _table(kind: StructureKind, name: str, findings: Sequence[Finding]) -> NumberTable:
    present = {quantity.key for finding in findings for quantity in finding.quantities}
    keys = [key for key in MEASUREMENTS if key in present]
    return NumberTable(
        title=", ".join(word for word in (kind.value.replace("_", " ").capitalize(), name) if word),
        columns=tuple(_heading(key) for key in keys),
        rows=tuple(_row(finding, keys) for finding in findings),
    )


def _row(finding: Finding, keys: Sequence[str]) -> Row:
    by_key = {quantity.key: quantity for quantity in finding.quantities}
    cells = tuple(Cell(_number(by_key[key]), by_key[key].reason) if key in by_key else Cell("") for key in keys)
    return Row(finding.site, finding.quality.value, _FLAGS[finding.quality], finding.notes, cells)


def _heading(key: str) -> str:
    row = MEASUREMENTS[key]
    name = row.name.replace(" over {site}", "").replace(" of {site}", "").replace("{site}", "").strip()
    unit = UNITS.get(row.unit, row.unit)
    return f"{name} ({unit})" if unit else name


def _number(quantity: Quantity) -> str:
    return "" if quantity.value is None else MEASUREMENTS[quantity.key].text(quantity.value)


def harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula; a number stays one."""
    return f"'{text}" if text[:1] in "=+@\t\r" or (text[:1] == "-" and not text[1:2].isdigit()) else text
