"""What the commands that change rules share: the dry run that they show, and the question before they save."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dicom_ai.app import App
    from dicom_ai.pipeline.dry_run import Trial
    from dicom_ai.routing.rule import RuleSet
    from dicom_ai.storage.database import Database, Session
    from dicom_ai.storage.rules import StoredRules
    from dicom_ai.web.pages.rules_review import Review

UNASKED = "--yes: nobody was asked after the dry run"
"""Stands in version and audit trail where a change was saved without a question."""

_OPTIONS = (
    click.option("--days", type=click.IntRange(1, 366), default=7, show_default=True, help="Days the dry run covers."),
    click.option("--dry-run", "only_try", is_flag=True, help="Show what would come of it; change nothing."),
    click.option("--yes", is_flag=True, help="Save without a question; version and audit trail say so."),
)


@dataclass(frozen=True, slots=True)
class Wish:
    """How a person wants a change tried and asked for, and who they are. why: with what was done, in a few words."""

    who: str
    why: str
    days: int
    only_try: bool
    yes: bool

    @property
    def note(self) -> str:
        """Why, and that nobody was asked where that is so."""
        return "; ".join(part for part in (self.why, UNASKED if self.yes else "") if part)


@dataclass(frozen=True, slots=True)
class _Person:
    """Who asks on the command line, as the dry run wants to know it (web/asker.py)."""

    app: "App"
    who: str

    @property
    def database(self) -> "Database":
        return self.app.database

    def viewed(self, subject: str) -> None:
        self._note(subject, {})

    def viewed_many(self, study_uids: Sequence[str]) -> None:
        from dicom_ai.storage import audit

        if study_uids:
            self._note("list of studies", {audit.STUDIES: " ".join(study_uids)})

    def _note(self, subject: str, detail: dict[str, str]) -> None:
        from dicom_ai.storage import audit

        with self.database.write() as session:
            audit.record(session, self.who, "viewed", subject, detail)


def trying(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a change that is tried before it is saved."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def change_when_tried(
    app: "App",
    wish: Wish,
    wanted: "Callable[[Session, StoredRules], RuleSet]",
    save: "Callable[[Session, RuleSet, str], StoredRules]",
) -> "StoredRules | None":
    """Show what comes of a change, ask, and save it; None where it was only to be tried.

    wanted: the rules as they shall be. save: adds the version, with a note. Raises RuleError for a rule that cannot
    work here, click.Abort where a person says no or nobody is there to ask.
    """
    from dicom_ai.errors import RuleError
    from dicom_ai.storage import rules
    from dicom_ai.web.pages.rules_review import require_sound, review

    person = _Person(app, wish.who)
    with app.database.read() as session:
        stored = rules.in_force(session)
        after = wanted(session, stored)
    require_sound(person, stored.rule_set, after)
    found = review(person, stored, after, days=wish.days)
    if not found.changes:
        raise RuleError("nothing would change: the rules are like that already")
    _tell(found, rules.sending_anew(stored.rule_set, after))
    if wish.only_try:
        return None
    if not wish.yes:
        click.confirm("Save this?", abort=True)
    with app.database.write() as session:
        rules.require_newest(session, stored.version)
        return save(session, after, wish.note)


def _tell(found: "Review", anew: Sequence[str]) -> None:
    for change in found.changes:
        click.echo(f"{change.rule}: {change.summary}")
    if found.trial is not None:
        _tell_trial(found.trial, found.days)
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    if anew:
        click.echo(f"results of {', '.join(anew)} are sent from then on; nothing is sent for earlier studies")


def _tell_trial(trial: "Trial", days: int) -> None:
    click.echo(f"tried on {trial.series} series of {trial.studies} studies of the last {days} days")
    if not trial.is_whole:
        click.echo("note: only the newest studies were tried; older ones of these days were not", err=True)
    if trial.left_out:
        click.echo(f"note: {trial.left_out} series were left out: their images cannot be read", err=True)
    for effect in trial.effects:
        click.echo(f"  {effect.rule} would take {effect.after} series; it takes {effect.before} now")
        for (before, after), series in trial.moves(effect.rule).items():
            click.echo(f"    {before} → {after}: {len(series)}")
