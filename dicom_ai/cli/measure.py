"""`dicom-ai measure`: our CSA on anyone's cord mask."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dicom_ai.domain.image import Volume
    from dicom_ai.measurements.csv_export import TableOrigin
    from dicom_ai.measurements.spinal_cord_csa import CordProfile

SHOWN = {
    "slice": ("Slice (I->S)", 8),
    "level": ("VertLevel", 6),
    "CSA mm2": ("MEAN(area)", 8),
    "SD mm2": ("STD(area)", 7),
    "AP mm": ("MEAN(diameter_AP)", 6),
    "RL mm": ("MEAN(diameter_RL)", 6),
    "withheld": ("Withheld", 0),
}
"""Heading a person reads -> (column, width); --csv and --json have all columns."""

TOLERANCE = 1e-3
"""Resampling leaves values this far outside of 0 to 1."""

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--mask", required=True, type=FILE, help="Cord mask, NIfTI, values 0 to 1.")
@click.option("--levels", "levels_file", type=FILE, help="Vertebral levels on the mask's grid, NIfTI, SCT's codes.")
@click.option("--per", type=click.Choice(["slice", "level"]), help="Rows; level where --levels is given, else slice.")
@click.option("--sct-compatible", is_flag=True, help="Compute as the Spinal Cord Toolbox does; nothing is withheld.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV with the Spinal Cord Toolbox's columns.")
def command(
    mask: Path, levels_file: Path | None, per: str | None, sct_compatible: bool, as_json: bool, as_csv: bool
) -> None:  # fmt: skip
    """Measure a spinal cord mask made by anyone: CSA and shape, per slice or per vertebral level."""
    from dicom_ai.dicom.nifti import read_nifti_volume
    from dicom_ai.measurements.labelled_slices import levels_of_slices
    from dicom_ai.measurements.sct_mode import measure_cord_as_sct
    from dicom_ai.measurements.spinal_cord_csa import measure_cord

    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    per = per or ("level" if levels_file else "slice")
    if per == "level" and levels_file is None:
        raise click.UsageError("--per level needs --levels")
    soft = _read_mask(mask)
    profile = measure_cord_as_sct(soft) if sct_compatible else measure_cord(soft)
    levels = levels_of_slices(read_nifti_volume(levels_file), profile) if levels_file else {}
    rows = _rows(profile, levels, per=per, origin=_origin(mask))
    if as_json:
        click.echo(json.dumps(_document(profile, rows, levels, mask=mask, sct_compatible=sct_compatible), indent=2))
    elif as_csv:
        from dicom_ai.measurements.csv_export import csv_text

        click.echo(csv_text(rows), nl=False)
    else:
        _print_table(profile, rows)


def _rows(
    profile: "CordProfile", levels: "Mapping[int, int]", *, per: str, origin: "TableOrigin"
) -> list[dict[str, str]]:
    from dicom_ai.measurements.csv_export import rows_per_level, rows_per_slice

    if per == "level":
        return rows_per_level(profile, origin=origin, levels=levels)
    return rows_per_slice(profile, origin=origin, levels=levels)


def _origin(mask: Path) -> "TableOrigin":
    from dicom_ai import __version__
    from dicom_ai.measurements.csv_export import TableOrigin

    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return TableOrigin(now, f"dicom-ai {__version__}", str(mask.resolve()))


def _document(
    profile: "CordProfile",
    rows: list[dict[str, str]],
    levels: "Mapping[int, int]",
    *,
    mask: Path,
    sct_compatible: bool,
) -> dict:
    """Return what --json prints: the summary of the whole cord and of every level, and the rows as numbers."""
    from dicom_ai.measurements.labelled_slices import level_name, slices_by_level

    groups = {"the cord seen": list(profile.slices)} | {
        "-".join(map(level_name, key)): list(slices) for key, slices in slices_by_level(profile, levels).items()
    }
    return {
        "mask": str(mask),
        "sct_compatible": sct_compatible,
        "length_mm": round(profile.length_mm, 1) or None,
        "csa_withheld": profile.csa_withheld,
        "sites": [_site(profile, name, slices) for name, slices in groups.items()],
        "rows": [{key: _number(text) for key, text in row.items()} for row in rows],
    }


def _site(profile: "CordProfile", name: str, slices: list) -> dict:
    from dicom_ai.measurements.site_numbers import site_numbers
    from dicom_ai.measurements.table import MEASUREMENTS

    numbers = site_numbers(profile, slices)
    return {
        "site": name,
        "quality": numbers.quality.value,
        "notes": list(numbers.notes),
        "quantities": [
            {
                "key": item.key,
                "name": MEASUREMENTS[item.key].displayed_name(name),
                "value": item.value,
                "unit": MEASUREMENTS[item.key].unit,
                "reason": item.reason,
            }
            for item in numbers.quantities
        ],
    }


def _number(text: str) -> float | str | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _print_table(profile: "CordProfile", rows: list[dict[str, str]]) -> None:
    if not rows:
        click.echo("no cord in the mask")
        return
    click.echo("  ".join(heading.rjust(width) for heading, (_, width) in SHOWN.items()))
    for row in rows:
        click.echo("  ".join(_short(row.get(column, "")).rjust(width) for column, width in SHOWN.values()).rstrip())
    if profile.length_mm:
        click.echo(f"length of the cord seen: {profile.length_mm:.0f} mm")


def _short(text: str) -> str:
    number = _number(text)
    return f"{number:.1f}" if isinstance(number, float) and "." in text else text


def _read_mask(path: Path) -> "Volume":
    """Return a mask; raise UnsuitableImage where its values are not shares from 0 to 1."""
    import numpy as np

    from dicom_ai.dicom.nifti import read_nifti_volume
    from dicom_ai.errors import UnsuitableImage

    mask = read_nifti_volume(path)
    low, high = float(np.nanmin(mask.voxels)), float(np.nanmax(mask.voxels))
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise UnsuitableImage(f"{path}: values from {low:g} to {high:g} where a cord mask has 0 to 1")
    return mask
