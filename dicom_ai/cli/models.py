"""`dicom-ai models`: what models there are, whether they can serve, on what they run, on and off, and two compared."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dicom_ai.inference.registry import CheckReport, ModelStore
    from dicom_ai.measurements.side_by_side import Pair
    from dicom_ai.pipeline.versions_of_models import SideBySide

_models_option = click.option(
    "--models",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of model folders; default: that of the settings, else the shipped models.",
)
_config_option = click.option(
    "--config", type=click.Path(path_type=Path), help="Settings file; default: $DICOM_AI_CONFIG."
)
_who_option = click.option("--who", default="", help="Who; default: the user who runs this.")
_why_option = click.option("--why", default="", help="Why; shown on its page and kept in the audit trail.")
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def command() -> None:
    """List and check the models, turn them on and off, and compare two versions."""


@command.command("list")
@_models_option
@_config_option
@_json_option
def list_models(folder: Path | None, config: Path | None, as_json: bool) -> None:
    """List the models of the folder; nothing is loaded."""
    store = _store(folder, config)
    rows = [_row(store, name) for name in store.names()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo(f"no models in {store.folder}")
    for row in rows:
        click.echo(f"{row['name']:<20} {row.get('version', '?'):<10} {row.get('family', ''):<14} {row['says']}")


@command.command("check")
@click.argument("name", required=False)
@_models_option
@_config_option
@click.option("--device", help="auto, cpu, cuda, cuda:N or require_gpu; default: that of the settings.")
@click.option("--runtime", type=click.Choice(["onnx", "torch"]), help="Default: that of the settings.")
@_json_option
def check_models(
    name: str | None, folder: Path | None, config: Path | None, device: str | None, runtime: str | None, as_json: bool
) -> None:
    """Check the files, digests, licence and card of one model or of all, and load them.

    Exit status 1 if one of them cannot serve; what to do is said beside it.
    """
    store = _store(folder, config, device=device, runtime=runtime)
    reports = [store.check(each) for each in ((name,) if name else store.names())]
    if as_json:
        click.echo(json.dumps([_as_json(report) for report in reports], indent=2))
    else:
        for report in reports:
            _show(report)
        if not reports:
            click.echo(f"no models in {store.folder}; put a model folder there, or name another with --models")
    sys.exit(0 if reports and all(report.ok for report in reports) else 1)


@command.command("on")
@click.argument("name")
@_config_option
@_who_option
@_why_option
def turn_on(name: str, config: Path | None, who: str, why: str) -> None:
    """Turn a model on again: its rules take series, and its jobs that wait begin."""
    _turn(name, config, who, why, on=True)


@command.command("off")
@click.argument("name", default="")
@_config_option
@_who_option
@_why_option
def turn_off(name: str, config: Path | None, who: str, why: str) -> None:
    """Turn a model off: its rules take nothing and say so, and jobs that are queued wait. Without NAME: list those."""
    if not name:
        _print_off(config)
        return
    _turn(name, config, who, why, on=False)


@command.command()
@click.argument("one")
@click.argument("other")
@_config_option
@_json_option
def compare(one: str, other: str, config: Path | None, as_json: bool) -> None:
    """Compare two models on the studies that both have analysed: one that is on, and a version of it in shadow."""
    from dicom_ai.cli._pausing import opened
    from dicom_ai.pipeline import versions_of_models

    with opened(config) as app, app.database.read() as session:
        found = versions_of_models.compare(session, one, other)
    if as_json:
        click.echo(json.dumps(_compared(found), indent=2))
        return
    for name, versions in found.versions.items():
        click.echo(f"{name}: {', '.join(versions) or 'no findings'}")
    for item in found.agreements:
        where = f"{item.worst.site} of study {found.worst_in[item.key].study_uid}"
        click.echo(
            f"{item.key:<24} n {item.n:<4} mean difference {item.bias:+.2f}  SD {item.sd:.2f}  "
            f"worst {item.worst.difference:+.2f} at {where}"
        )
    click.echo(f"{len(found.studies)} studies with findings of both")


def _compared(found: "SideBySide") -> dict[str, Any]:
    """Return a comparison for a script; a number that cannot be said is null."""
    return {
        "models": {name: list(versions) for name, versions in found.versions.items()},
        "measurements": [
            {
                "key": item.key,
                "n": item.n,
                "mean_difference": item.bias,
                "sd": item.sd if item.n > 1 else None,
                "worst": _pair(item.worst) | {"study_uid": found.worst_in[item.key].study_uid},
            }
            for item in found.agreements
        ],
        "studies": [
            {
                "study_uid": study.study_uid,
                "run": study.number,
                "pairs": [_pair(pair) for pair in study.compared.pairs],
                "only_one": list(study.compared.only_one),
                "only_other": list(study.compared.only_other),
            }
            for study in found.studies
        ],
    }


def _pair(pair: "Pair") -> dict[str, Any]:
    return {
        "series_uid": pair.series_uid,
        "site": pair.site,
        "key": pair.key,
        "one": pair.one,
        "other": pair.other,
        "difference": pair.difference,
    }


def _print_off(config: Path | None) -> None:
    from dicom_ai.cli._pausing import opened
    from dicom_ai.storage import models_off

    with opened(config) as app, app.database.read() as session:
        found = models_off.all_of(session)
    for off in found.values():
        click.echo(off.says)
    if not found:
        click.echo("no model is off")


def _turn(name: str, config: Path | None, who: str, why: str, *, on: bool) -> None:
    from getpass import getuser

    from dicom_ai.cli._pausing import opened
    from dicom_ai.inference.installed import look
    from dicom_ai.storage import models_off

    with opened(config) as app:
        look(app.models_folder, name)  # raises where there is no such model
        with app.database.write() as session:
            change = models_off.turn_on if on else models_off.turn_off
            changed = change(session, name, who=who or getuser(), why=why)
    state = "on" if on else "off"
    click.echo(f"{name} is {state}" if changed else f"{name} was {state} already")


def _store(
    folder: Path | None, config: Path | None, *, device: str | None = None, runtime: str | None = None
) -> "ModelStore":
    from dicom_ai.inference.registry import ModelStore, default_models_folder
    from dicom_ai.settings import read_settings

    models = read_settings(config).models
    return ModelStore(
        folder or models.directory or default_models_folder(),
        device=device or models.device,
        runtime=runtime or models.runtime,
        threads=models.threads,
    )


def _row(store: "ModelStore", name: str) -> dict[str, Any]:
    from dicom_ai.errors import ModelError

    try:
        manifest = store.manifest(name)
    except ModelError as error:
        return {"name": name, "valid": False, "says": str(error)}
    return {
        "name": manifest.name,
        "valid": True,
        "says": manifest.description,
        "version": manifest.version,
        "family": manifest.family,
        "licence": manifest.licence,
        "modalities": list(manifest.input.modalities),
        "segments": [output.structure.name for output in manifest.outputs],
        "measurements": list(manifest.measurements),
    }


def _as_json(report: "CheckReport") -> dict[str, Any]:
    manifest = report.manifest
    return {
        "name": report.name,
        "ok": report.ok,
        "problems": list(report.problems),
        "notes": list(report.notes),
        "version": manifest.version if manifest else None,
        "licence": manifest.licence if manifest else None,
        "device": report.device or None,
        "runtime": report.runtime or None,
        "size_bytes": report.size_bytes,
        "load_seconds": round(report.load_seconds, 3),
    }


def _show(report: "CheckReport") -> None:
    if report.ok and report.manifest:
        where = f"runs on {report.device} with {report.runtime}"
        size = f"{report.size_bytes / 1e6:.1f} MB, loads in {report.load_seconds:.1f} s"
        click.echo(f"{report.name} {report.manifest.version}: ok, {where}; {size}")
    else:
        click.echo(f"{report.name}: cannot serve")
    for problem in report.problems:
        click.echo(f"  problem: {problem}")
    for note in report.notes:
        click.echo(f"  {note}")
