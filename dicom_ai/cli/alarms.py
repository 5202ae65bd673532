"""dicom-ai alarms: what is wrong, who has taken note of it, and whether telling works."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dicom_ai.cli._pausing import opened, person, who_option, why_option
from dicom_ai.cli._process import config_option
from dicom_ai.errors import ConfigError, DicomAiError

if TYPE_CHECKING:
    from dicom_ai.app import App

LATE_LOOKS = 5
"""So many looks may be missing before the clock counts as stopped."""


@click.group(name="alarms", invoke_without_command=True)
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, config: Path | None, as_json: bool) -> None:
    """List what is wrong now, the worst first, with its page of the runbook.

    Exit status 1 if something is wrong that nobody has acknowledged, or if the clock does not look any more; monitoring
    can call this.
    """
    if context.invoked_subcommand is not None:
        return
    with opened(config) as app:
        found = _found(app)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _print(found)
    sys.exit(0 if found["ok"] else 1)


@command.command()
@click.argument("name")
@config_option
@why_option
@who_option
def acknowledge(name: str, config: Path | None, why: str, who: str) -> None:
    """Take note of an alarm: NAME as it is listed, or all. It is not told again unless it gets worse or comes back."""
    from dicom_ai.storage import alarms

    with opened(config) as app, app.database.write() as session:
        taken = alarms.acknowledge(session, name, who=person(who), why=why)
        if not taken:
            names = ", ".join(alarm.name for alarm in alarms.open_now(session)) or "none"
            raise ConfigError(f"no alarm {name} waits for anybody; now there are: {names}")
    click.echo(f"acknowledged: {taken}")


@command.command()
@config_option
def test(config: Path | None) -> None:
    """Send a test message by every channel in the settings. Exit status 1 if one could not be used."""
    from dicom_ai.storage.alarms import Alarm, Level

    at = time.time()
    alarm = Alarm(0, "test", "", Level.WARNING, "this is a test, nothing is wrong", at, None, None, "")
    failed = False
    with opened(config) as app:
        found = app.watch.channels
        if not found:
            raise ConfigError("no channel is set: [email], [webhook] or [syslog]")
        for name, channel in found.items():
            try:
                channel.tell(app.name, [alarm])
                click.echo(f"{name}: handed over")
            except DicomAiError as error:
                failed = True
                click.echo(f"{name}: {error}")
    sys.exit(1 if failed else 0)


def _found(app: "App") -> dict[str, Any]:
    from dicom_ai.alarms import watch
    from dicom_ai.alarms.channels import as_json
    from dicom_ai.storage import alarms, duties

    with app.database.read() as session:
        open_now = alarms.open_now(session)
        duty = duties.find(session, watch.DUTY)
    looked_at = duty.done_at if duty else None
    late = looked_at is None or looked_at < time.time() - LATE_LOOKS * app.settings.alarms.every_s
    return {
        "ok": not late and all(alarm.acknowledged_by for alarm in open_now),
        "looked_at": None if looked_at is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(looked_at)),
        "clock_stopped": late,
        "channels": list(app.watch.channels),
        "alarms": [as_json(alarm) | {"errors": list(alarm.errors)} for alarm in open_now],
    }


def _print(found: dict[str, Any]) -> None:
    if found["clock_stopped"]:
        click.echo(f"CLOCK  nobody has looked since {found['looked_at'] or 'ever'}: docs/runbook.md#clock-stopped")
    for item in found["alarms"]:
        taken = f", acknowledged by {item['acknowledged_by']}" if item["acknowledged_by"] else ""
        click.echo(f"{item['level'].upper():8}  {item['name']}: {item['text']}")
        click.echo(f"          since {item['since']}{taken}; {item['runbook']}")
        for error in item["errors"]:
            click.echo(f"          not told: {error}")
    if not found["alarms"]:
        click.echo(f"nothing is wrong; looked at {found['looked_at']}" if not found["clock_stopped"] else "no alarms")
    if not found["channels"]:
        click.echo("alarms are told to nobody: set [email], [webhook] or [syslog]")
