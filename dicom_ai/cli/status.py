"""dicom-ai status: what the node has, what waits, and what is wrong."""

import json
import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dicom_ai.cli._process import begin, config_option

if TYPE_CHECKING:
    from dicom_ai.app import App
    from dicom_ai.storage.database import Session
    from dicom_ai.storage.deliveries import DeliveryStatus
    from dicom_ai.storage.holds import Hold
    from dicom_ai.storage.runs import RunStatus

MOST_DELIVERIES = 20
"""So many of the newest deliveries that a destination does not have are shown."""


@click.command(name="status")
@config_option
@click.option("--study", "study_uid", help="Everything about one study: decisions with reasons, jobs, runs, results.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config: Path | None, study_uid: str | None, as_json: bool) -> None:
    """Say what waits, for whom, and why; or what became of one study."""
    from dicom_ai.app import open_app
    from dicom_ai.storage import schema

    app = open_app(begin(config))
    schema.require_newest(app.database)
    found = _study(app, study_uid) if study_uid else _node(app)
    app.close()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        _print(name, value)


def _node(app: "App") -> dict[str, Any]:
    from dicom_ai.storage import deliveries, holds, jobs, outbox, pauses, rules, runs, withdrawals

    with app.database.read() as session:
        stored = rules.current(session)
        return {
            "held": [_hold(item) for item in holds.open_now(session)],
            "paused": [
                {
                    "what": item.text,
                    "since": _time(item.since),
                    "who": item.who,
                    "why": item.why,
                    "held": item.held,
                }
                for item in pauses.all_of(session)
            ],
            "jobs": {state.value: number for state, number in jobs.counts(session).items()},
            "runs": {state.value: number for state, number in runs.counts(session).items()},
            "deliveries": {state.value: number for state, number in outbox.counts(session).items()},
            "destinations": [
                {
                    "name": item.name,
                    "pending": item.pending,
                    "failures": item.failures,
                    "last_sent_at": _time(item.last_sent_at),
                    "last_error": item.last_error,
                    "sent_last_hour": item.sent_last_hour,
                    "identity": item.checked,
                    "configured": item.name in app.destinations,
                }
                for item in outbox.statuses(session)
            ],
            "not_delivered": [_delivery(item) for item in deliveries.not_there(session, most=MOST_DELIVERIES)],
            "to_withdraw": len(withdrawals.listed(session)),
            "rules_version": stored.version if stored else 0,
            "warnings": _warnings(app),
        }


def _warnings(app: "App") -> list[dict[str, str]]:
    from dicom_ai.storage.disk import disk_of

    disk = disk_of(app.files.root).warning(reserve_bytes=app.files.reserve_bytes)
    return [{"disk": disk}] if disk else []


def _study(app: "App", study_uid: str) -> dict[str, Any]:
    from dicom_ai.storage import confirmations, decisions, deliveries, jobs, results, runs

    with app.database.read() as session:
        return {
            "held": _held(session, study_uid),
            "complete": _complete(session, study_uid),
            "decisions": [_fields(item, *DECISION) for item in decisions.all_of(session, study_uid)],
            "jobs": [_fields(item, *JOB) for item in jobs.all_of(session, study_uid)],
            "runs": [_run(session, item) for item in runs.all_of(session, study_uid)],
            "results": [
                {"run": item.identity.run, **_fields(item.identity, "kind", "sop_instance_uid"), "path": str(item.path)}
                for item in results.all_of(session, study_uid, app.files.root)
            ],
            "deliveries": [_delivery(item) for item in deliveries.of_study(session, study_uid)],
            "confirmations": [_fields(item, *CONFIRMATION) for item in confirmations.of_study(session, study_uid)],
        }


DECISION = ("series_uid", "rule", "model", "taken", "shadow", "reasons")
JOB = ("id", "kind", "state", "series_uid", "model", "reason", "attempts")
CONFIRMATION = ("destination", "state", "way", "sop_instance_uid", "reason")


def _fields(item: object, *names: str) -> dict[str, Any]:
    """Return fields of a value as a row: words in the place of enumerations, lists in the place of tuples."""
    row = {name: getattr(item, name) for name in names}
    return {
        name: value.value if isinstance(value, Enum) else list(value) if isinstance(value, tuple) else value
        for name, value in row.items()
    }


def _run(session: "Session", item: "RunStatus") -> dict[str, Any]:
    from dicom_ai.storage import runs

    not_sent = runs.findings(session, item.id).get("on", {}).get("kept_here", "")
    return {
        **_fields(item, "number", "state", "reason", "complete"),
        "reported_at": _time(item.reported_at),
        "not_sent": not_sent,
    }


def _held(session: "Session", study_uid: str) -> list[dict[str, Any]]:
    from dicom_ai.storage import holds

    return [_hold(item) for item in holds.of_study(session, study_uid)]


def _complete(session: "Session", study_uid: str) -> list[dict[str, Any]]:
    from dicom_ai.storage import evidence

    return [
        {
            "of": f"series {item.series_uid}" if item.series_uid else "study",
            "images": item.images,
            "because": item.evidence or "not complete yet",
        }
        for item in evidence.shown(session, study_uid)
    ]


def _hold(item: "Hold") -> dict[str, Any]:
    return {
        "id": item.id,
        "kind": item.kind.value,
        "since": _time(item.since),
        "study_uid": item.study_uid,
        "destination": item.destination,
        "reason": item.reason,
        "holds": item.held if item.blocks else None,
        "decide": " or ".join(item.decisions),
        "ended": " ".join(part for part in (item.decision, item.who, item.why) if part),
    }


def _delivery(item: "DeliveryStatus") -> dict[str, Any]:
    return {
        "destination": item.destination,
        "kind": item.kind.value,
        "state": item.state.value,
        "attempts": item.attempts,
        "study_uid": item.study_uid,
        "sop_instance_uid": item.sop_instance_uid,
        "error": item.error,
        "identity": item.checked,
    }


def _time(at: float | None) -> str | None:
    return None if at is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def _print(name: str, value: Any) -> None:
    if isinstance(value, dict):
        click.echo(f"{name}: {', '.join(f'{number} {state}' for state, number in value.items()) or 'none'}")
    elif isinstance(value, list):
        click.echo(f"{name}:{'' if value else ' none'}")
        for item in value:
            click.echo(
                "  " + "  ".join(f"{key}={_shown(part)}" for key, part in item.items() if part not in (None, ""))
            )
    else:
        click.echo(f"{name}: {value}")


def _shown(value: Any) -> str:
    return "; ".join(value) if isinstance(value, list) else str(value)
