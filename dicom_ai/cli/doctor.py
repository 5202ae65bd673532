"""dicom-ai doctor: whether a node would work, and what its destinations will store."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dicom_ai.cli._process import begin, config_option

if TYPE_CHECKING:
    from dicom_ai.app import App
    from dicom_ai.storage.callers import Contact

LOOK_EVERY_S = 1.0


@click.command(name="doctor")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list of objects with check, ok and says.")
@click.option("--wait", is_flag=True, help="Then wait for the first image; say who sends a C-ECHO or is rejected.")
def command(config: Path | None, as_json: bool, wait: bool) -> None:
    """Check settings, database, clock, disk, models and the device they run on, broker, destinations and peers.

    Every destination by C-STORE is called with C-ECHO and asked which result classes it will store. The running node is
    called on its own ports, and who has called it from outside is said. Nothing is sent or changed. Exit status 1 if
    something is wrong.
    """
    from dicom_ai.app import open_app
    from dicom_ai.cli._checks import examine

    app = open_app(begin(config))
    found = []
    for item in examine(app):
        found.append(item)
        if not as_json:
            click.echo(f"{'ok   ' if item.ok else 'WRONG'}  {item.check}: {item.says}")
    if as_json:
        click.echo(json.dumps([asdict(item) for item in found], indent=2))
    if wait:
        _wait(app)
    app.close()
    sys.exit(0 if all(item.ok for item in found) else 1)


def _wait(app: "App") -> None:
    """Say who calls until an image comes; the node must run beside this command."""
    from dicom_ai.storage import callers, signs

    since = time.time()
    node = app.settings.node
    click.echo(f"waiting for an image to {node.ae_title} on port {node.port}; Ctrl-C ends this", err=True)
    sender, said = None, set[str]()
    while sender is None:
        time.sleep(LOOK_EVERY_S)
        with app.database.read() as session:
            sender = signs.sender_since(session, since)
            news = [line for one in callers.contacts(session) for line in _news(one, since)]
        for line in news:
            if line not in said:
                click.echo(line)
                said.add(line)
    click.echo(f"first image received from {sender}")


def _news(one: "Contact", since: float) -> Iterator[str]:
    """Yield what a caller has done since then."""
    from dicom_ai.cli._inward import named

    if (one.verified_at or 0) >= since:
        yield f"C-ECHO received from {named(one)}"
    if (one.rejected_at or 0) >= since:
        yield f"rejected: {named(one)}: {one.reason}"
