"""dicom-ai rules: see, check, change and try the routing rules."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dicom_ai.cli._trying import Wish, change_when_tried, trying

if TYPE_CHECKING:
    from dicom_ai.app import App
    from dicom_ai.domain.study import Series
    from dicom_ai.routing.explain import Decision, Reason
    from dicom_ai.routing.rule import RuleSet
    from dicom_ai.storage.database import Session
    from dicom_ai.storage.rules import StoredRules

_config_option = click.option(
    "--config", type=click.Path(path_type=Path), help="Settings file; default: $DICOM_AI_CONFIG."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_who_option = click.option("--who", default="", help="Who makes the change; default: the user who runs this.")
_why_option = click.option("--why", default="", help="Why it is made.")
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def command() -> None:
    """List, check, export, import and test routing rules."""


@command.command("list")
@_config_option
@click.option("--versions", is_flag=True, help="List the versions of the rules instead: who, when and why.")
@_json_option
def list_rules(config: Path | None, versions: bool, as_json: bool) -> None:
    """List the rules of the node, the highest priority first."""
    with _session(config) as session:
        if versions:
            _print_versions(session, as_json)
            return
        stored = _stored(session)
    rules = stored.rule_set
    if as_json:
        click.echo(json.dumps({"version": stored.version, **rules.as_toml()}, indent=2))
        return
    click.echo(f"rules version {stored.version}")
    for rule in rules.rules:
        click.echo(
            f"{rule.name:<20} {rule.state:<7} priority {rule.priority:<4} model {rule.model:<14} {rule.description}"
        )


@command.command()
@click.argument("name")
@_config_option
@click.option("--version", "number", type=int, help="Show the rule as it was in this version.")
def show(name: str, config: Path | None, number: int | None) -> None:
    """Show one rule of the node as TOML."""
    from dicom_ai.routing.rule import RuleSet

    with _session(config) as session:
        stored = _stored(session, number)
    click.echo(RuleSet((stored.rule_set.named(name),)).to_toml(), nl=False)


@command.command()
@click.argument("file", required=False, type=_file)
@_json_option
def check(file: Path | None, as_json: bool) -> None:
    """Check a file of rules (by default the shipped one) without a node: everything a node would refuse, and more.

    A rule that can never match and a model that is not installed are warnings. Exit status 1 if the file is refused.
    """
    from dicom_ai.routing.contradictions import contradictions
    from dicom_ai.routing.shipped import read_rules

    rules = read_rules(file)
    warnings = [*contradictions(rules), *_without_model(rules, _installed_models())]
    if as_json:
        click.echo(json.dumps({"rules": [rule.name for rule in rules.rules], "warnings": warnings}, indent=2))
        return
    for warning in warnings:
        click.echo(f"warning: {warning}")
    click.echo(f"{len(rules.rules)} rules are well formed: {', '.join(rule.name for rule in rules.rules)}")


@command.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@_config_option
@click.option("--version", "number", type=int, help="Export this version instead of the newest.")
def export(file: Path | None, config: Path | None, number: int | None) -> None:
    """Write the rules of the node as TOML, to FILE or to the screen."""
    with _session(config) as session:
        text = _stored(session, number).rule_set.to_toml()
    if file is None:
        click.echo(text, nl=False)
    else:
        file.write_text(text, encoding="utf-8")


@command.command()
@click.argument("name")
@click.argument("state", type=click.Choice(["on", "off", "shadow"]))
@_config_option
@_who_option
@_why_option
@trying
def turn(name: str, state: str, config: Path | None, **wish: Any) -> None:
    """Turn rule NAME on, off, or into shadow (it runs and stores, and sends nothing): a new version of the rules.

    It holds for what is routed from now on; nothing is sent for studies that were routed before. Before a rule is
    turned on, it is tried on the last days, and a question asked; off and shadow hold at once.
    """
    from dicom_ai.storage import rules

    with _node(config) as app:
        made = _wish(wish)
        saved: StoredRules | None
        if state != "on" and not made.only_try:
            with app.database.write() as session:
                saved = rules.turn(session, name, state, author=made.who, why=made.why)
        else:
            saved = change_when_tried(
                app,
                made,
                lambda session, stored: stored.rule_set.with_state(name, state),
                lambda session, after, note: rules.turn(session, name, state, author=made.who, why=note),
            )
    if saved:
        click.echo(f"rules version {saved.version}: {name} is {state}")


@command.command("import")
@click.argument("file", type=_file)
@_config_option
@_who_option
@_why_option
@trying
def import_rules(file: Path, config: Path | None, **wish: Any) -> None:
    """Make the rules of FILE the newest version of the node's rules. A malformed file changes nothing.

    They are tried on the last days, and a question asked before they are saved. A rule that cannot work on this node
    is refused.
    """
    from dicom_ai.routing.shipped import read_rules
    from dicom_ai.storage import rules

    wanted = read_rules(file)
    with _node(config) as app:
        made = _wish(wish, usual_why=f"imported from {file.name}")
        saved = change_when_tried(
            app,
            made,
            lambda session, stored: wanted,
            lambda session, after, note: rules.save(session, after.as_toml(), author=made.who, note=note),
        )
    if saved:
        click.echo(f"rules version {saved.version}: {len(wanted.rules)} rules")


@command.command("roll-back")
@click.argument("version", type=click.IntRange(min=1))
@_config_option
@_who_option
@_why_option
@trying
def roll_back(version: int, config: Path | None, **wish: Any) -> None:
    """Make an older VERSION of the rules the newest. They are tried on the last days, and a question asked before."""
    from dicom_ai.storage import rules

    with _node(config) as app:
        made = _wish(wish)
        saved = change_when_tried(
            app,
            made,
            lambda session, stored: rules.version(session, version).rule_set,
            lambda session, after, note: rules.roll_back(session, version, author=made.who, why=note),
        )
    if saved:
        click.echo(f"rules version {saved.version}: as version {version}")


@command.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--rules", "file", type=_file, help="Rules to try instead of the shipped ones.")
@_json_option
def test(paths: tuple[Path, ...], file: Path | None, as_json: bool) -> None:
    """Say for every series under PATHS and every rule whether it is taken, and if not, which predicate failed.

    Nothing is analysed or sent, and no node is needed. JSON: a list with one object per series with study_uid,
    series_uid, rules, models (lists, empty when none) and reasons (one per rule).
    """
    from dicom_ai.dicom.headers import read_paths
    from dicom_ai.routing.shipped import read_rules

    rules = read_rules(file)
    scan = read_paths(paths)
    routed = [(series, decisions) for study in _studies(scan.series) for series, decisions in _routed(study, rules)]
    for path, reason in scan.unreadable:
        click.echo(f"left out: {path}: {reason}", err=True)
    if as_json:
        click.echo(json.dumps([_as_json(*one) for one in routed], indent=2, ensure_ascii=False))
        return
    for one in routed:
        _print_series(*one)
    for missing in _without_model(rules, _installed_models()):
        click.echo(f"note: {missing}", err=True)


@contextmanager
def _session(config: Path | None) -> "Iterator[Session]":
    """Open the node's database for one look."""
    with _node(config) as app, app.database.read() as session:
        yield session


@contextmanager
def _node(config: Path | None) -> "Iterator[App]":
    """Open the node for one command; a new one gets its database by that."""
    from dicom_ai.app import open_app
    from dicom_ai.settings import read_settings
    from dicom_ai.storage import schema

    app = open_app(read_settings(config))
    try:
        schema.upgrade(app.database)
        yield app
    finally:
        app.close()


def _wish(given: Mapping[str, Any], *, usual_why: str = "") -> Wish:
    """Return what the options of a change say."""
    from getpass import getuser

    return Wish(**{**given, "who": given["who"] or getuser(), "why": given["why"] or usual_why})


def _stored(session: "Session", number: int | None = None) -> "StoredRules":
    """Return a version of the rules; a database without rules has the shipped ones as `serve` would seed them."""
    from dicom_ai.storage import rules as stored_rules

    return stored_rules.in_force(session) if number is None else stored_rules.version(session, number)


def _print_versions(session: "Session", as_json: bool) -> None:
    from datetime import UTC, datetime

    from dicom_ai.storage import rules as stored_rules

    rows = [
        {
            "version": stored.version,
            "when": datetime.fromtimestamp(stored.created_at, UTC).isoformat(timespec="seconds"),
            "who": stored.author,
            "why": stored.note,
        }
        for stored in stored_rules.history(session)
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        click.echo(f"{row['version']:>4}  {row['when']}  {row['who']}: {row['why']}")


def _installed_models() -> list[str]:
    from dicom_ai.inference.registry import ModelStore, default_models_folder

    return list(ModelStore(default_models_folder()).names())


def _without_model(rules: "RuleSet", models: Iterable[str]) -> list[str]:
    known = set(models)
    return [
        f"rule {rule.name!r} wants model {rule.model!r}, which is not installed"
        for rule in rules.rules
        if rule.model not in known and rule.state != "off"
    ]


def _studies(series: Sequence["Series"]) -> "list[list[Series]]":
    studies: dict[str, list[Series]] = {}
    for one in series:
        studies.setdefault(one.study_uid, []).append(one)
    return list(studies.values())


def _routed(study: "Sequence[Series]", rules: "RuleSet") -> "Iterator[tuple[Series, list[Decision]]]":
    from dicom_ai.routing.explain import route_study

    decisions = route_study(study, rules)
    for series in study:
        yield series, [decision for decision in decisions if decision.series_uid == series.series_uid]


def _as_json(series: "Series", decisions: "Sequence[Decision]") -> Mapping[str, Any]:
    taken = [decision for decision in decisions if decision.taken]
    return {
        "study_uid": series.study_uid,
        "series_uid": series.series_uid,
        "rules": [decision.rule for decision in taken],
        "models": list(dict.fromkeys(decision.model for decision in taken)),
        "reasons": [
            {
                "rule": decision.rule,
                "model": decision.model,
                "taken": decision.taken,
                "shadow": decision.shadow,
                ("because" if decision.taken else "failed"): [_reason(reason) for reason in decision.reasons],
            }
            for decision in decisions
        ],
    }


def _reason(reason: "Reason") -> Mapping[str, str]:
    answers = {True: "true", False: "false", None: "unknown"}
    return {
        "place": reason.place,
        "predicate": reason.condition,
        "answer": answers[reason.answer],
        "seen": reason.seen,
        "text": reason.text,
    }


def _print_series(series: "Series", decisions: "Sequence[Decision]") -> None:
    element = series.header.get("SeriesDescription")
    described = element.text if element else "no description"
    click.echo(f"series {series.series_uid}  {series.modality or 'no modality'}  {described}")
    for decision in decisions:
        if decision.taken:
            click.echo(f"  {decision.rule}: taken, goes to {decision.model}{' in shadow' if decision.shadow else ''}")
        else:
            click.echo(f"  {decision.rule}: not taken")
            for reason in decision.reasons:
                click.echo(f"      {reason.text}")
