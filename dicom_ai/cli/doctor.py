"""dicom-ai doctor: whether a node would work, and what its destinations will store."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from dicom_ai.cli._process import begin, config_option


@click.command(name="doctor")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list of objects with check, ok and says.")
def command(config: Path | None, as_json: bool) -> None:
    """Check settings, database, clock, disk, models and the device they run on, broker and destinations.

    Every destination by C-STORE is called with C-ECHO and asked which result classes it will store. Nothing is sent or
    changed. Exit status 1 if something is wrong.
    """
    from dicom_ai.app import open_app
    from dicom_ai.cli._checks import examine

    app = open_app(begin(config))
    found = []
    for item in examine(app):
        found.append(item)
        if not as_json:
            click.echo(f"{'ok   ' if item.ok else 'WRONG'}  {item.check}: {item.says}")
    app.close()
    if as_json:
        click.echo(json.dumps([asdict(item) for item in found], indent=2))
    sys.exit(0 if all(item.ok for item in found) else 1)
