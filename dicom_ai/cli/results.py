"""dicom-ai results: what waits for a person's decision, what is to be withdrawn, and a model's recall."""

import csv
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dicom_ai.cli._pausing import opened, person, who_option, why_option
from dicom_ai.cli._process import config_option
from dicom_ai.errors import ConfigError

if TYPE_CHECKING:
    from dicom_ai.app import App
    from dicom_ai.storage.holds import Hold
    from dicom_ai.storage.withdrawals import Withdrawn

DECISIONS = ("release", "discard", "seen", "first", "newest")
COLUMNS = ("study_uid", "destination", "kind", "sop_instance_uid", "series_uid", "run", "there", "sent_at", "why")
REASONS = {"safety": "unsafe", "quality": "replaced"}


@click.group(name="results")
def command() -> None:
    """Results that wait for a person, results to withdraw, and the recall of a model."""


@command.command(name="list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(config: Path | None, as_json: bool) -> None:
    """List what is held and why, oldest first, and the objects that are to be withdrawn from their destinations."""
    from dicom_ai.storage import holds, withdrawals

    with opened(config) as app, app.database.read() as session:
        held, left = holds.open_now(session), withdrawals.listed(session)
    if as_json:
        click.echo(json.dumps({"held": [_entry(item) for item in held], "to_withdraw": [_row(item) for item in left]}))
        return
    click.echo(f"held: {len(held) or 'none'}")
    for item in held:
        covers = f"{item.held} deliveries wait" if item.blocks else "a notice: nothing waits"
        where = f" at {item.destination}" if item.destination else ""
        click.echo(
            f"  {item.id}  {item.kind.value}  study {item.study_uid}{where}  since {_time(item.since)}  {covers}"
        )
        click.echo(f"      {item.reason}")
        click.echo(f"      dicom-ai results decide {item.id} {'|'.join(item.decisions)}")
    click.echo(f"to withdraw: {len(left) or 'none'}")
    for found in left:
        there = "is there" if found.there == "yes" else "may be there"
        click.echo(f"  {found.destination}  {found.kind.value}  {found.sop_instance_uid}  {there}: {found.why}")


@command.command(name="show")
@click.argument("number", type=int)
@config_option
def show_command(number: int, config: Path | None) -> None:
    """Show one held thing as JSON, with the values that differ: this prints patient data."""
    from dicom_ai.storage import holds

    with opened(config) as app, app.database.read() as session:
        hold = holds.find(session, number)
    if hold is None:
        raise ConfigError(f"there is no hold {number}")
    click.echo(json.dumps({**_entry(hold), "detail": dict(hold.detail)}, indent=2))


@command.command(name="decide")
@click.argument("number", type=int)
@click.argument("decision", type=click.Choice(DECISIONS))
@config_option
@why_option
@who_option
def decide_command(number: int, decision: str, config: Path | None, why: str, who: str) -> None:
    """Decide about something held; dicom-ai results list says which decisions each knows.

    release: it may leave. discard: it never leaves. seen: a notice was read. first, newest: of two images with one
    UID, or of two patients in one study, what came first or last counts, and the study is reported again where needed.
    """
    from dicom_ai.storage import holds
    from dicom_ai.storage.holds import Decision

    with opened(config) as app:
        try:
            with app.database.write() as session:
                hold = holds.decide(session, number, Decision(decision), who=person(who), why=why)
        except ValueError as error:
            raise ConfigError(str(error)) from error
    click.echo(f"{decision}: hold {number} of study {hold.study_uid}; {hold.held} deliveries were waiting for it")


@command.command(name="recall")
@click.option("--model", required=True, help="Name of the model.")
@click.option("--version", default="", help="Its version; default: every version.")
@click.option(
    "--since", type=click.DateTime(("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S")), help="Reports made since; default: all."
)
@click.option(
    "--csv", "csv_file", type=click.Path(path_type=Path, dir_okay=False), help="File to write; default: stdout."
)
@click.option("--withdraw", is_flag=True, help="Cancel what has not left, and send rejection notes for what has.")
@click.option("--reason", type=click.Choice(tuple(REASONS)), default="safety", help="Title of the rejection notes.")
@config_option
@why_option
@who_option
def recall_command(
    model: str,
    version: str,
    since: datetime | None,
    csv_file: Path | None,
    withdraw: bool,
    reason: str,
    **node: Any,
) -> None:
    """List, as CSV, every object, study and destination that a model had a part in.

    With --withdraw, what has not left is cancelled, and each destination gets one Key Object rejection note per study
    that names what it has; the notes lie in the data folder too.
    """
    from dicom_ai.pipeline import recall
    from dicom_ai.pipeline.recall import Recall

    from_when = since.timestamp() if since else 0.0
    wanted = Recall(model, version, from_when, person(node["who"]), node["why"] or "no reason was given")
    with opened(node["config"]) as app:
        if withdraw:
            recall.withdraw(app.database, wanted)
        found = recall.touched(app.database, wanted)
        _write(found, csv_file)
        click.echo(_summary(found, wanted.text), err=True)
        if not found:
            _echo_models(app)
        if withdraw:
            _send_notes(app, found, wanted, reason)


def _send_notes(app: "App", found: "Sequence[Withdrawn]", wanted: Any, reason: str) -> None:
    from dicom_ai.dicom.ko_writer import RejectionReason
    from dicom_ai.pipeline import recall

    notes = recall.notes(
        app.database,
        app.files.root,
        found,
        recall=wanted,
        reason=RejectionReason(REASONS[reason]),
        knows=lambda name: name in app.destinations,
    )
    for note in notes:
        to = ", ".join(note.destinations) or "no destination of the settings"
        said = note.error or f"{note.objects} objects rejected, to {to}: {note.path}"
        click.echo(f"study {note.study_uid}: {said}", err=True)


def _echo_models(app: "App") -> None:
    """Say what could have been meant: a misspelt name is found nowhere, and nothing would be recalled."""
    from dicom_ai.storage import withdrawals

    with app.database.read() as session:
        known = ", ".join(withdrawals.models(session)) or "none"
    click.echo(f"models that had a part in a report: {known}", err=True)


def _summary(found: "Sequence[Withdrawn]", what: str) -> str:
    from dicom_ai.storage.withdrawals import NOT_THERE

    studies, objects = {item.study_uid for item in found}, {item.sop_instance_uid for item in found}
    left = [item for item in found if item.there != NOT_THERE]
    destinations, there = {item.destination for item in left}, {item.sop_instance_uid for item in left}
    return (
        f"{what}: {len(objects)} objects of {len(studies)} studies; {len(there)} of them are, or may be, "
        f"at {len(destinations)} destinations"
    )


def _write(found: "Sequence[Withdrawn]", path: Path | None) -> None:
    if path is None:
        _write_to(found, sys.stdout)
        return
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            _write_to(found, file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def _write_to(found: "Sequence[Withdrawn]", file: Any) -> None:
    writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(_row(item) for item in found)


def _row(item: "Withdrawn") -> dict[str, Any]:
    return {**asdict(item), "kind": item.kind.value, "sent_at": _time(item.sent_at)}


def _entry(item: "Hold") -> dict[str, Any]:
    return {
        "id": item.id,
        "kind": item.kind.value,
        "study_uid": item.study_uid,
        "destination": item.destination,
        "since": _time(item.since),
        "reason": item.reason,
        "holds": item.held if item.blocks else None,
        "decisions": list(item.decisions),
        "decision": item.decision,
        "who": item.who,
        "why": item.why,
    }


def _time(at: float | None) -> str:
    return "" if at is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
