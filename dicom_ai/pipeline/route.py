"""A quiet series: which rules take it, and the analyses that follow, each decision with its reasons.

All series of the study are looked at together, because a rule takes the best of several. Doing it again with the
same images and rules changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import structlog

from dicom_ai.dicom.kept_series import read_series
from dicom_ai.domain.run import Request, Wanted
from dicom_ai.errors import ModelError, RejectedInput
from dicom_ai.routing.candidate import Candidate, candidate_of, kept_header, kept_rest
from dicom_ai.routing.explain import Decision, Reason, decide
from dicom_ai.routing.rule import Rule, RuleSet, parse_rules
from dicom_ai.routing.urgency import urgency
from dicom_ai.storage import decisions, models_off, pauses, rates, rules, runs, studies
from dicom_ai.storage.database import Database, Session
from dicom_ai.storage.decisions import StoredDecision
from dicom_ai.storage.pauses import PauseKind, Subject
from dicom_ai.storage.studies import KeptSeries

log = structlog.get_logger()

UNKNOWN_DIGEST = ""
"""Of a model whose folder is missing or wrong: its analyses are queued, and wait until it is mended."""


@dataclass(frozen=True, slots=True)
class Router:
    """What routing needs. path: file store path -> file. model_digest: name -> digest, or raises ModelError.

    max_study_age_days: studies that were older by StudyDate when they came are not analysed unasked; 0: no limit.
    rule_rate_factor: sending of a rule pauses when its last hour has more than so many times the series of its busiest
    hour of late; 0: never. rule_rate_least: it does not for so few.
    """

    database: Database
    path: Callable[[str], Path]
    model_digest: Callable[[str], str]
    series_quiet_s: float
    lease_s: float
    max_study_age_days: float = 0
    rule_rate_factor: float = 0
    rule_rate_least: int = 0


@dataclass(frozen=True, slots=True)
class _Study:
    """A study as it is routed. ready: its series that are quiet; readable: of all its series, those with headers.

    gone: those of which retention has deleted images, all or some.
    """

    uid: str
    kept: tuple[KeptSeries, ...]
    ready: frozenset[str]
    readable: dict[str, Candidate] = field(repr=False)
    unreadable: dict[str, str]
    gone: frozenset[str]


def run(router: Router) -> str | None:
    """Route the study that waits longest; return its UID, or None when none waits.

    Images that come meanwhile leave their series open: it is routed again when it is quiet.
    """
    with router.database.write() as session:
        study_uid = studies.claim_for_routing(session, quiet_s=router.series_quiet_s, lease_s=router.lease_s)
    if study_uid is None:
        return None
    with router.database.read() as session:
        stored = rules.current(session)
        kept = tuple(studies.series_of(session, study_uid))
        earlier = decisions.all_of(session, study_uid)
        against = _too_old(session, study_uid, router.max_study_age_days)
        off = {name: item.says for name, item in models_off.all_of(session).items()}
    study = _look_at(router, study_uid, kept)
    frozen = _frozen(study, earlier)
    rule_set = parse_rules(stored.content) if stored else RuleSet(())
    digests, missing = _model_digests(router, rule_set, off)
    decided = _braked(decide(list(study.readable.values()), rule_set, models=digests), frozen or against)
    to_store = [_stored(decision, digests, missing, off) for decision in decided] + [
        StoredDecision(uid, "", "", False, False, (reason,)) for uid, reason in study.unreadable.items()
    ]
    wanted = _wanted(study, decided, rule_set, digests)
    with router.database.write() as session:
        run_id = None
        if _unchanged(session, study):
            version = stored.version if stored else 0
            decisions.replace(session, study_uid, to_store, rules_version=version, keep=study.gone)
            run_id = None if frozen else runs.plan(session, study_uid, wanted)
            _pause_floods(session, router, to_store)
            for series in study.kept:
                if series.series_uid in study.ready:
                    seen = study.readable.get(series.series_uid)
                    header, rest = (kept_header(seen), kept_rest(seen)) if seen else (None, None)
                    studies.mark_routed(session, series, facts=header, derived=rest)
        studies.release_routing(session, study_uid, quiet_s=_study_quiet_s(decided, rule_set))
    log.info("routed", study_uid=study_uid, run_id=run_id, analyses=len(wanted), series=len(study.kept))
    return study_uid


def _look_at(router: Router, study_uid: str, kept: tuple[KeptSeries, ...]) -> _Study:
    before = router.database.clock() - router.series_quiet_s
    readable, unreadable = {}, {}
    gone = frozenset(series.series_uid for series in kept if series.deleted)
    for series in kept:
        if series.deleted:
            if series.paths:
                unreadable[series.series_uid] = (
                    f"{series.deleted} of its {series.deleted + len(series.paths)} images were deleted by retention: "
                    "send the whole series again"
                )
            continue
        paths = [router.path(path) for path in series.paths]
        try:
            readable[series.series_uid] = candidate_of(read_series(study_uid, series.series_uid, paths))
        except RejectedInput as error:
            unreadable[series.series_uid] = str(error)
    ready = frozenset(
        series.series_uid for series in kept if series.routed or series.evidence or series.last_received_at <= before
    )
    return _Study(study_uid, kept, ready, readable, unreadable, gone)


def _frozen(study: _Study, earlier: Sequence[StoredDecision]) -> str:
    """Return why nothing new is made of a study: a report without what was deleted would take the place of one with."""
    if not any(one.taken and one.series_uid in study.gone for one in earlier):
        return ""
    return (
        "images of this study that were analysed before have been deleted by retention, so that no whole report can "
        "be made: send the whole study again"
    )


def _model_digests(router: Router, rule_set: RuleSet, off: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the digests of the models that rules may ask for, and why those that are missing are.

    A missing one may be asked for by a rule that is on: a person wants its results, and the analysis waits.
    """
    digests, missing = {}, {}
    awaited = {rule.model for rule in rule_set.rules if rule.state == "on"}
    for model in {rule.model for rule in rule_set.rules} - off.keys():
        try:
            digests[model] = router.model_digest(model)
        except ModelError as error:
            missing[model] = str(error)
            if model in awaited:
                digests[model] = UNKNOWN_DIGEST
    return digests, missing


def _too_old(session: Session, study_uid: str, limit_days: float) -> str:
    """Return why a study is too old to be analysed unasked; "" where it is not, or its date is not known.

    Its age is that of the day it came, so that it does not change; a study that has been analysed stays so.
    """
    age = studies.age_of(session, study_uid)
    try:
        taken_on = datetime.strptime(age.study_date.replace(".", "")[:8], "%Y%m%d")
    except ValueError:
        return ""
    days = (datetime.fromtimestamp(age.first_received_at) - taken_on).days
    if not limit_days or days <= limit_days or age.asked or runs.all_of(session, study_uid):
        return ""
    return (
        f"the study is of {taken_on:%Y-%m-%d}, {days} days before it came; brakes.max_study_age_days is "
        f"{limit_days:g}: dicom-ai analyse {study_uid} analyses it nevertheless"
    )


def _braked(decided: Sequence[Decision], why: str) -> Sequence[Decision]:
    """Return the decisions; with a reason against the whole study, none of them takes anything."""
    if not why:
        return decided
    stop = (Reason("brakes", "", why, False),)
    return [replace(one, taken=False, reasons=stop) if one.taken else one for one in decided]


def _pause_floods(session: Session, router: Router, decided: Sequence[StoredDecision]) -> None:
    """Pause the sending of every rule that suddenly takes far more than usual, and ask a person."""
    if not router.rule_rate_factor:
        return
    for rule in sorted({one.rule for one in decided if one.taken and not one.shadow}):
        rate = rates.rate_of(session, rule, more_than=router.rule_rate_least)
        if rate is None or rate.last_hour <= router.rule_rate_factor * rate.busiest_hour:
            continue
        why = (
            f"it took {rate.last_hour} series within an hour, and {rate.busiest_hour} in the busiest hour of "
            f"{rates.RECENT_DAYS} days; dicom-ai resume rule {rule} lets the results go"
        )
        if pauses.pause(session, Subject(PauseKind.RULE, rule), who=pauses.BRAKE, why=why):
            log.error("rule paused", rule=rule, reason=why)


def _stored(
    decision: Decision, digests: Mapping[str, str], missing: Mapping[str, str], off: Mapping[str, str]
) -> StoredDecision:
    reasons = tuple(reason.text for reason in decision.reasons)
    if decision.model in off:
        reasons = (off[decision.model],)
    if decision.model in missing and decision.taken:
        reasons = (*reasons, f"its analysis waits: {missing[decision.model]}")
    elif decision.model in missing.keys() - digests.keys():
        reasons = (*reasons, missing[decision.model])
    return StoredDecision(decision.series_uid, decision.rule, decision.model, decision.taken, decision.shadow, reasons)


def _wanted(
    study: _Study, decided: Sequence[Decision], rule_set: RuleSet, digests: dict[str, str]
) -> tuple[Wanted, ...]:
    """Return one analysis per series and model, for the series that are quiet."""
    kept = {series.series_uid: series for series in study.kept}
    urgent = urgency(study.readable.values())
    taken: dict[tuple[str, str], list[Rule]] = {}
    for decision in decided:
        if decision.taken and decision.series_uid in study.ready:
            taken.setdefault((decision.series_uid, decision.model), []).append(rule_set.named(decision.rule))
    return tuple(
        Wanted(
            series_uid=series_uid,
            model=model,
            model_digest=digests[model],
            input_digest=kept[series_uid].digest,
            requests=tuple(_request(rule) for rule in by_rules),
            priority=max(rule.priority for rule in by_rules) + urgent,
            not_before=_not_before(kept[series_uid], by_rules),
        )
        for (series_uid, model), by_rules in taken.items()
    )


def _not_before(series: KeptSeries, by_rules: Sequence[Rule]) -> float:
    """Return before when an analysis must not start: rules may ask for a longer quiet time, unless it is whole."""
    if series.evidence:
        return 0.0
    return series.last_received_at + max(rule.series_quiet_s or 0 for rule in by_rules)


def _request(rule: Rule) -> Request:
    return Request(rule.name, rule.state == "shadow", rule.destinations, rule.outputs)


def _unchanged(session: Session, study: _Study) -> bool:
    """Say whether the series that were routed are still those that are kept, and none seen before is left out."""
    if any(series.seen_before and series.series_uid not in study.ready for series in study.kept):
        return False
    present = {series.series_uid: series.revision for series in studies.series_of(session, study.uid)}
    return all(
        present[series.series_uid] == series.revision for series in study.kept if series.series_uid in study.ready
    )


def _study_quiet_s(decided: Sequence[Decision], rule_set: RuleSet) -> float | None:
    """Return the longest quiet time that the taking rules ask for; None where one leaves it to the node."""
    asked = [rule_set.named(decision.rule).study_quiet_s for decision in decided if decision.taken]
    chosen = [seconds for seconds in asked if seconds is not None]
    return max(chosen) if chosen and len(chosen) == len(asked) else None
