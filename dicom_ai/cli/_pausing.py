"""What `dicom-ai pause` and `dicom-ai resume` share: what may be paused, who asks, and the node's database."""

from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dicom_ai.cli._process import begin
from dicom_ai.errors import ConfigError

if TYPE_CHECKING:
    from dicom_ai.app import App
    from dicom_ai.storage.pauses import Subject

KINDS = ("all", "rule", "model", "destination")

what_argument = click.argument("what", type=click.Choice(KINDS))
name_argument = click.argument("name", default="")
why_option = click.option("--why", default="", help="Why; shown by dicom-ai status and kept in the audit trail.")
who_option = click.option("--who", default="", help="Who; default: the user who runs this.")


def subject_of(what: str, name: str) -> "Subject":
    """Return what is meant. Raises click.UsageError where the name is missing, or one too many."""
    from dicom_ai.storage.pauses import PauseKind, Subject

    if what == "all" and name:
        raise click.UsageError("all takes no name")
    if what != "all" and not name:
        raise click.UsageError(f"which {what}? give its name")
    return Subject(PauseKind(what), name)


def person(who: str) -> str:
    """Return who asks."""
    return who or getuser()


@contextmanager
def opened(config: Path | None) -> "Iterator[App]":
    """Yield the node's database and settings."""
    from dicom_ai.app import open_app
    from dicom_ai.storage import schema

    app = open_app(begin(config))
    try:
        schema.require_newest(app.database)
        yield app
    finally:
        app.close()


def require_known(app: "App", subject: "Subject") -> None:
    """Raise ConfigError for a name that this node does not have: a pause of a misspelt name would hold nothing."""
    from dicom_ai.routing.rule import parse_rules
    from dicom_ai.storage import rules

    with app.database.read() as session:
        stored = rules.current(session)
    rule_set = parse_rules(stored.content).rules if stored else ()
    known = {
        "all": {""},
        "rule": {rule.name for rule in rule_set},
        "model": {rule.model for rule in rule_set},
        "destination": set(app.destinations),
    }[subject.kind.value]
    if subject.name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise ConfigError(f"there is no {subject.text}; known are {names}")
