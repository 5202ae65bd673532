"""dicom-ai storage: what is kept, why, and how long the disk will do."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dicom_ai.cli._pausing import opened
from dicom_ai.cli._process import config_option

if TYPE_CHECKING:
    from dicom_ai.app import App

FOLDERS = ("received", "results", "analyses", "quarantine", "parts")
GB = 1e9


@click.command(name="storage")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config: Path | None, as_json: bool) -> None:
    """Say what is kept and why, in bytes, and on which day the disk will be full at the rate of the last week."""
    with opened(config) as app:
        found = _storage(app)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for item in found["images"]:
        goes = f"; goes after {item['kept_days']:g} days" if item["kept_days"] else "; stays"
        click.echo(f"{item['bytes'] / GB:10.2f} GB  {item['images']:>8} images: {item['why']}{goes}")
    for name, size in found["folders"].items():
        click.echo(f"{size / GB:10.2f} GB  folder {name}")
    disk = found["disk"]
    click.echo(f"disk: {disk['used_percent']:g} % of {disk['total_bytes'] / GB:.1f} GB used")
    click.echo(f"images: {found['received_bytes_per_day'] / GB:.2f} GB come and {_gone(found)} GB go in a day")
    click.echo(f"full: {disk['full_on'] or 'not at this rate'}")
    if found["warning"]:
        click.echo(f"warning: {found['warning']}")


def _gone(found: dict[str, Any]) -> str:
    return f"{found['deleted_bytes_per_day'] / GB:.2f}"


def _storage(app: "App") -> dict[str, Any]:
    from dicom_ai.storage import retention
    from dicom_ai.storage.disk import disk_of, size_of

    with app.database.read() as session:
        held = retention.holdings(session)
        rates = retention.rates(session)
    disk, reserve = disk_of(app.files.root), app.files.reserve_bytes
    full_at = disk.full_at(reserve_bytes=reserve, growth_per_day=rates.received - rates.deleted, at=time.time())
    return {
        "images": [
            {
                "why": item.why.value,
                "images": item.images,
                "bytes": item.size_bytes,
                "kept_days": app.limits.of(item.why) / retention.DAY_S,
            }
            for item in held
        ],
        "folders": {name: size_of(app.files.root / name) for name in FOLDERS},
        "received_bytes_per_day": round(rates.received),
        "deleted_bytes_per_day": round(rates.deleted),
        "disk": {
            "total_bytes": disk.total,
            "free_bytes": disk.free,
            "reserve_bytes": reserve,
            "used_percent": round(disk.used * 100, 1),
            "full_on": None if full_at is None else _day(full_at),
        },
        "warning": disk.warning(reserve_bytes=reserve),
    }


def _day(at: float) -> str:
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(at, UTC).date().isoformat()
    except (OverflowError, ValueError):  # after the last day that a date can name
        return "9999-12-31"
