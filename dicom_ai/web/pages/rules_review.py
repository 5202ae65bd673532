"""What a person is shown before rules are saved: what changes, and what would have come of it in the last days."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dicom_ai.inference.registry import ModelStore
from dicom_ai.pipeline.dry_run import Bounds, Trial, try_rules
from dicom_ai.routing.changes import Change, changes
from dicom_ai.routing.contradictions import contradictions
from dicom_ai.routing.fault import require_workable, unworkable
from dicom_ai.routing.rule import RuleSet
from dicom_ai.storage import database, models_off, pauses, rules
from dicom_ai.storage.rules import StoredRules
from dicom_ai.web.asker import Asker

DAYS = (1, 7, 30, 90)
USUAL_DAYS = 7
"""How far back rules are tried unless a person asks for more."""

TRIAL_S = 8.0
"""How long a person waits for a dry run: the newest studies are tried first."""

MOST_SHOWN = 100
"""Lines of one table of a dry run."""


@dataclass(frozen=True, slots=True)
class Review:
    """A change that waits for a person. trial: None where nothing changes. fingerprint: what saving must carry."""

    after: RuleSet
    changes: tuple[Change, ...]
    trial: Trial | None
    warnings: tuple[str, ...]
    fingerprint: str
    days: int
    most: int = MOST_SHOWN


def review(
    asker: Asker, stored: StoredRules, after: RuleSet, *, days: int = USUAL_DAYS, renamed: tuple[str, str] | None = None
) -> Review:
    """Return what would change, tried on the studies of some days; who asks is noted as having seen those shown.

    renamed: the earlier and the new name of a rule, so that it is compared with itself.
    """
    before = stored.rule_set
    different = changes(before, after)
    tried_against = before.renamed(*renamed) if renamed else before
    return Review(
        after=after,
        changes=different,
        trial=_try(asker, tried_against, after, days) if different else None,
        warnings=(*_of_names(asker, before, after, renamed), *warnings(asker, after)),
        fingerprint=rules.fingerprint(stored.version, after),
        days=days,
    )


def installed_models(asker: Asker) -> tuple[str, ...]:
    """Return the names of the models that the node has."""
    return ModelStore(asker.app.models_folder).names()


def receivers_of(named: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    """Return where the results of a rule go: where it says, or everywhere where it says nothing (domain/sending.py)."""
    return tuple(named) or tuple(known)


def require_sound(asker: Asker, before: RuleSet, after: RuleSet) -> None:
    """Raise RuleError where a change makes a rule that cannot work on this node."""
    require_workable(before, after, models=installed_models(asker), destinations=asker.app.destinations)


def warnings(asker: Asker, rule_set: RuleSet) -> list[str]:
    """Return what is well formed and still will not do what it says."""
    models, destinations = installed_models(asker), asker.app.destinations
    with asker.database.read() as session:
        off = models_off.all_of(session)
    takes_nothing = [
        f"rule {rule.name!r} takes nothing: {off[rule.model].says}"
        for rule in rule_set.rules
        if rule.state != "off" and rule.model in off
    ]
    return (
        takes_nothing
        + contradictions(rule_set)
        + [
            f"rule {rule.name!r}: {fault.text}"
            for rule in rule_set.rules
            for fault in unworkable(rule, models=models, destinations=destinations)
            if rule.state != "off" and fault.place in ("model", "destinations")
        ]
    )


def _of_names(asker: Asker, before: RuleSet, after: RuleSet, renamed: tuple[str, str] | None) -> Iterator[str]:
    """Yield what becomes of counts and pauses, which go by the names of rules."""
    gone = [name for name in before.names if name not in after.names]
    with asker.database.read() as session:
        paused = [name for name in gone if pauses.is_paused(session, name)]
    if renamed:
        pause = f"; its pause goes on and holds {renamed[1]} too" if renamed[0] in paused else ""
        yield f"{renamed[0]} becomes {renamed[1]}: what it took is counted under the old name{pause}"
    for name in paused:
        if renamed is None or name != renamed[0]:
            yield f"{name} is paused and goes: its pause holds what it has made, and nothing of a rule of another name"


def _try(asker: Asker, before: RuleSet, after: RuleSet, days: int) -> Trial:
    with asker.database.read() as session:
        since = database.now(session) - days * 86_400
    trial = try_rules(asker.database, asker.app.files.path, before, after, Bounds(since, TRIAL_S))
    shown = [one.study_uid for one in trial.differences[:MOST_SHOWN]]
    shown += [same.example.study_uid for effect in trial.effects for same in effect.unchanged[:MOST_SHOWN]]
    asker.viewed_many(list(dict.fromkeys(shown)))
    return trial
