"""dicom-ai destinations: where results go, changed and tried while the node runs."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dicom_ai.cli._neighbours import changing, in_force, json_option, print_versions, tell, who_option, why_option
from dicom_ai.cli._process import config_option

if TYPE_CHECKING:
    from dicom_ai.app import App
    from dicom_ai.sections import DestinationSettings

HIDDEN = "(hidden)"

_set_option = click.option(
    "--set",
    "parameters",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the kind (docs/reference/destinations.md); may be repeated. KEY= removes it.",
)
_outputs_option = click.option("--outputs", help='Forms in which results go there, as "seg,sr".')
_largest_option = click.option("--largest-mb", type=float, help="Largest object it takes; 0: no limit.")
_most_option = click.option("--most-per-hour", type=int, help="Objects an hour, at most; 0: no limit.")


@click.group(name="destinations")
def command() -> None:
    """List, try, add, change and remove where results go; a running node takes it up within seconds."""


@command.command(name="list")
@config_option
@click.option("--versions", is_flag=True, help="List instead who changed what when, destinations and peers together.")
@json_option
def list_(config: Path | None, versions: bool, as_json: bool) -> None:
    """List the destinations, with what waits for each."""
    from dicom_ai.cli._pausing import opened

    with opened(config) as app:
        if versions:
            print_versions(app, as_json=as_json)
            return
        stored = in_force(app)
        entries = [_entry(app, item) for item in stored.neighbours.destinations]
    if as_json:
        click.echo(json.dumps({"version": stored.version, "destinations": entries}, indent=2))
        return
    for entry in entries:
        waits = f"{entry['waiting']} wait" + (f", {entry['not_there']} not there" if entry["not_there"] else "")
        click.echo(
            f"{entry['name']:<20} {entry['kind']:<8} {entry['state']:<9} {waits}  {entry['last_error']}".rstrip()
        )
    if not entries:
        click.echo("no destinations: results go nowhere")


@command.command()
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(["c_store", "stow_rs", "folder"]), required=True, help="How results get there."
)
@_set_option
@_outputs_option
@_largest_option
@_most_option
@config_option
@who_option
@why_option
def add(name: str, kind: str, config: Path | None, who: str, why: str, **options: Any) -> None:
    """Add a destination: add pacs --kind c_store --set host=192.0.2.10 --set port=104 --set called_ae_title=PACS."""
    from dicom_ai.pipeline import neighbours

    item = neighbours.destination_from({"name": name, "kind": kind, **_given(options, {})})
    with changing(config, who, why) as (app, session, made):
        saved = neighbours.add_destination(session, app.neighbours.home, item, made)
    tell(saved)


@command.command()
@click.argument("name")
@_set_option
@_outputs_option
@_largest_option
@_most_option
@config_option
@who_option
@why_option
def change(name: str, config: Path | None, who: str, why: str, **options: Any) -> None:
    """Change what is given of a destination; the rest stays."""
    from dicom_ai.errors import ConfigError
    from dicom_ai.pipeline import neighbours
    from dicom_ai.storage import neighbours as stored

    with changing(config, who, why) as (app, session, made):
        home = app.neighbours.home
        before = stored.in_force(session, home.file).neighbours.destination(name)
        if before is None:
            raise ConfigError(f"there is no destination {name!r}")
        values = before.model_dump(mode="json")
        item = neighbours.destination_from(values | _given(options, values["parameters"]))
        saved = neighbours.change_destination(session, home, item, made)
    tell(saved)


@command.command()
@click.argument("name")
@click.option(
    "--waiting",
    type=click.Choice(["keep", "give-up"]),
    help="What becomes of results that wait: keep them for a destination of that name, or give them up.",
)
@config_option
@who_option
@why_option
def remove(name: str, waiting: Any, config: Path | None, who: str, why: str) -> None:
    """Remove a destination. Where results wait for it, --waiting must say what becomes of them."""
    from dicom_ai.pipeline import neighbours
    from dicom_ai.storage import rules

    with changing(config, who, why) as (app, session, made):
        saved = neighbours.remove_destination(session, app.neighbours.home, name, made, waiting=waiting)
        named = [rule.name for rule in rules.in_force(session).rule_set.rules if name in rule.destinations]
    tell(saved)
    for rule in named:
        click.echo(
            f"warning: rule {rule} still names {name}: its results wait for a destination of that name", err=True
        )


@command.command(name="try")
@click.argument("name")
@click.option("--store", is_flag=True, help="Also send a test object, marked as nobody's; delete it there afterwards.")
@config_option
@who_option
@json_option
def try_(name: str, store: bool, config: Path | None, who: str, as_json: bool) -> None:
    """Call a destination and ask what it takes. Exit status 1 if it does not answer, or refuses what it should get."""
    from getpass import getuser

    from dicom_ai.cli._pausing import opened
    from dicom_ai.destinations.trials import TrialKind
    from dicom_ai.errors import ConfigError
    from dicom_ai.pipeline.neighbours import try_destination

    kinds = [TrialKind.ANSWER, TrialKind.ACCEPTS, *([TrialKind.STORE] if store else [])]
    with opened(config) as app:
        destination = app.destinations.get(name)
        if destination is None:
            raise ConfigError(f"there is no destination {name!r}")
        said = [
            (kind, one)
            for kind in kinds
            for one in try_destination(app.database, destination, kind, who=who or getuser())
            if not one.output or one.output in destination.outputs
        ]
    if as_json:
        click.echo(json.dumps([{"trial": kind.value, "ok": one.ok, "says": one.says} for kind, one in said], indent=2))
    else:
        for _, one in said:
            click.echo(f"{'ok   ' if one.ok else 'WRONG'}  {one.says}")
    sys.exit(0 if all(one.ok for _, one in said) else 1)


@command.command()
@click.argument("name")
@config_option
@who_option
def again(name: str, config: Path | None, who: str) -> None:
    """Send to NAME again what it refused or what was given up, and at once what waits for its next try."""
    from dicom_ai.storage import traffic

    with changing(config, who, "") as (_, session, made):
        repeated = traffic.send_again(session, name, who=made.who)
        hurried = traffic.try_now(session, name, who=made.who)
    click.echo(f"{name}: {repeated} sent again, {hurried} tried at once")


@command.command(name="roll-back")
@click.argument("version", type=click.IntRange(min=0))
@config_option
@who_option
@why_option
def roll_back(version: int, config: Path | None, who: str, why: str) -> None:
    """Make VERSION of destinations and peers the newest; 0 takes what the settings file says now."""
    from dicom_ai.pipeline import neighbours

    with changing(config, who, why) as (app, session, made):
        saved = neighbours.roll_back(session, app.neighbours.home, version, made)
    tell(saved)


def _entry(app: "App", item: "DestinationSettings") -> dict[str, Any]:
    """Return a destination for a script, without secrets."""
    from dicom_ai.storage import traffic
    from dicom_ai.storage.neighbours import SECRET

    with app.database.read() as session:
        found = traffic.of_destination(session, item.name)
    shown = item.model_dump(mode="json")
    shown["parameters"] = {key: HIDDEN if key in SECRET else value for key, value in item.parameters.items()}
    status = found.status
    return shown | {
        "state": found.state,
        "waiting": found.waiting,
        "not_there": found.not_there,
        "next_at": found.next_at,
        "last_sent_at": status.last_sent_at if status else None,
        "last_error": status.last_error if status else "",
    }


def _given(options: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options say, with parameters put over those before."""
    values = {key: options[key] for key in ("largest_mb", "most_per_hour") if options[key] is not None}
    if options["outputs"] is not None:
        values["outputs"] = [word.strip() for word in options["outputs"].split(",") if word.strip()]
    parameters = dict(before)
    for text in options["parameters"]:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE")
        parameters[key] = _value(value)
    return values | {"parameters": {key: value for key, value in parameters.items() if value != ""}}


def _value(text: str) -> str | int | float | bool:
    """Return a number or truth where the text is one, as the settings file would hold it."""
    if text in ("true", "false"):
        return text == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
