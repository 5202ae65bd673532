"""dicom-ai confirm: whether destinations have what they took."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dicom_ai.cli._pausing import opened, person, who_option
from dicom_ai.cli._process import config_option

if TYPE_CHECKING:
    from dicom_ai.app import App

MOST = 50


@click.group(name="confirm", invoke_without_command=True)
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, config: Path | None, as_json: bool) -> None:
    """Say, by destination, how many results it took (sent), vouches for (confirmed), does not have (refused), or cannot
    be asked about (unconfirmed); and list the newest of the last two, with the reason.
    """
    if context.invoked_subcommand is not None:
        return
    with opened(config) as app:
        found = _found(app)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, states in found["destinations"].items():
        click.echo(f"{name}: {', '.join(f'{number} {state}' for state, number in states.items())}")
    for item in found["doubtful"]:
        click.echo("  " + "  ".join(f"{key}={value}" for key, value in item.items() if value))
    if not found["destinations"]:
        click.echo("nothing was sent yet")


@command.command()
@config_option
@who_option
def again(config: Path | None, who: str) -> None:
    """Ask once more for everything that was refused or is unconfirmed."""
    from dicom_ai.storage import confirmations

    with opened(config) as app, app.database.write() as session:
        number = confirmations.again(session, who=person(who))
    click.echo(f"asked again: {number}")


@command.command()
@config_option
@who_option
def resend(config: Path | None, who: str) -> None:
    """Send once more, under the same UIDs, what a destination took and does not have."""
    from dicom_ai.storage import confirmations

    with opened(config) as app, app.database.write() as session:
        number = confirmations.resend(session, who=person(who))
    click.echo(f"sent again: {number}")


def _found(app: "App") -> dict[str, Any]:
    from dicom_ai.storage import confirmations

    with app.database.read() as session:
        counts = confirmations.counts(session)
        doubtful = confirmations.doubtful(session, most=MOST)
    return {
        "destinations": {
            name: {state.value: number for state, number in states.items()} for name, states in counts.items()
        },
        "doubtful": [
            {
                "destination": item.destination,
                "state": item.state.value,
                "way": item.way.value,
                "study_uid": item.study_uid,
                "sop_instance_uid": item.sop_instance_uid,
                "reason": item.reason,
            }
            for item in doubtful
        ],
    }
