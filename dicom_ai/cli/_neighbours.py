"""What the commands of destinations and peers share."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dicom_ai.app import App
    from dicom_ai.pipeline.neighbours import Change
    from dicom_ai.storage.database import Session
    from dicom_ai.storage.neighbours import StoredNeighbours

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
who_option = click.option("--who", default="", help="Who makes the change; default: the user who runs this.")
why_option = click.option("--why", default="", help="Why it is made.")


@contextmanager
def changing(config: Path | None, who: str, why: str) -> "Iterator[tuple[App, Session, Change]]":
    """Yield the node, a transaction, and who changes something."""
    from getpass import getuser

    from dicom_ai.cli._pausing import opened
    from dicom_ai.pipeline.neighbours import Change

    with opened(config) as app, app.database.write() as session:
        yield app, session, Change(who or getuser(), why)


def in_force(app: "App") -> "StoredNeighbours":
    """Return the destinations and peers of this moment."""
    from dicom_ai.storage import neighbours

    with app.database.read() as session:
        return neighbours.in_force(session, app.neighbours.home.file)


def tell(saved: "StoredNeighbours") -> None:
    """Say what was saved, and when it holds."""
    from dicom_ai.pipeline.neighbours import TAKEN_UP_S

    click.echo(
        f"version {saved.version} of destinations and peers: {saved.note}; running processes take it up "
        f"within {TAKEN_UP_S:g} s"
    )


def print_versions(app: "App", *, as_json: bool) -> None:
    """Print who changed what when, newest first."""
    import time

    from dicom_ai.storage import neighbours

    with app.database.read() as session:
        found = neighbours.history(session)
    if as_json:
        keys = ("version", "created_at", "author", "note")
        click.echo(json.dumps([{key: getattr(item, key) for key in keys} for item in found], indent=2))
        return
    for item in found:
        at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(item.created_at))
        click.echo(f"{item.version:<4} {at}  {item.author}: {item.note}")
    if not found:
        click.echo("nothing was changed here yet: the settings file counts")
