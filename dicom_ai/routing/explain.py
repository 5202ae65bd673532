"""Which series of a study goes to which model, and for every series and rule the reason."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dicom_ai.domain.study import Series
from dicom_ai.routing.candidate import Candidate, candidate_of
from dicom_ai.routing.condition import Condition, evaluate
from dicom_ai.routing.own import own_or_result
from dicom_ai.routing.predicates import Answer
from dicom_ai.routing.ranking import losers
from dicom_ai.routing.rule import Rule, RuleSet


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a rule did not take a series: the place in the rule, its condition, and the value that was seen.

    answer: False where the condition failed, None where the value is unknown, True where a condition under none holds.
    """

    place: str
    condition: str
    seen: str
    answer: Answer

    @property
    def text(self) -> str:
        """The reason as one sentence."""
        if not self.condition:
            return self.seen
        verdict = "is unknown" if self.answer is None else "is true" if self.answer else "is not true"
        return f"{self.place}: {self.condition} {verdict}; seen: {self.seen}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What one rule decided about one series. shadow: it runs, but nothing is sent.

    reasons: for a series that is not taken every condition that stood against it; for a taken one what spoke for it.
    """

    series_uid: str
    rule: str
    model: str
    taken: bool
    shadow: bool
    reasons: tuple[Reason, ...]

    @property
    def summary(self) -> str:
        """The reasons as one line."""
        return "; ".join(reason.text for reason in self.reasons)


def route_study(
    series: Sequence[Series], rules: RuleSet, *, models: Collection[str] | None = None
) -> tuple[Decision, ...]:
    """Decide about every series of a study by every rule, series by series, rules by priority.

    models: the models that are installed; a rule whose model is not among them takes nothing and says so. None asks
    nothing about models.
    """
    return decide([candidate_of(one) for one in series], rules, models=models)


def decide(
    candidates: Sequence[Candidate], rules: RuleSet, *, models: Collection[str] | None = None
) -> tuple[Decision, ...]:
    """The same for series of which only what rules see is there."""
    columns = [_decide(candidates, rule, models) for rule in rules.rules]
    return tuple(decision for row in zip(*columns, strict=True) for decision in row) if columns else ()


def _decide(candidates: Sequence[Candidate], rule: Rule, models: Collection[str] | None) -> list[Decision]:
    """Return one decision per candidate, in their order."""
    objections = [_objections(candidate, rule, models) for candidate in candidates]
    fitting = [candidate for candidate, against in zip(candidates, objections, strict=True) if not against]
    beaten = losers(fitting) if rule.take == "best" else {}
    decisions = []
    for candidate, against in zip(candidates, objections, strict=True):
        uid = candidate.series_uid
        if uid in beaten:
            against = [Reason("take", "", beaten[uid], False)]
        reasons = against or _support(candidate, rule)
        decisions.append(Decision(uid, rule.name, rule.model, not against, rule.state == "shadow", tuple(reasons)))
    return decisions


def _objections(candidate: Candidate, rule: Rule, models: Collection[str] | None) -> list[Reason]:
    if rule.state == "off":
        return [Reason("state", "", "the rule is off", False)]
    if models is not None and rule.model not in models:
        return [Reason("model", "", f"model {rule.model!r} is not installed", False)]
    if own := own_or_result(candidate):
        return [Reason("series", "", own, False)]
    return _failures(candidate, rule)


def _failures(candidate: Candidate, rule: Rule) -> list[Reason]:
    """Return every condition that keeps a rule from matching."""
    required = _asked(candidate, rule.all, "all")
    failures = [reason for reason in required if reason.answer is not True]
    alternatives = _asked(candidate, rule.any, "any")
    if alternatives and not any(reason.answer is True for reason in alternatives):
        failures += alternatives
    return failures + [reason for reason in _asked(candidate, rule.none, "none") if reason.answer is not False]


def _support(candidate: Candidate, rule: Rule) -> list[Reason]:
    """Return the conditions that held for a series that is taken."""
    asked = [*_asked(candidate, rule.all, "all")]
    asked += [reason for reason in _asked(candidate, rule.any, "any") if reason.answer is True]
    return asked or _asked(candidate, rule.none, "none")


def _asked(candidate: Candidate, conditions: Sequence[Condition], group: str) -> list[Reason]:
    reasons = []
    for index, condition in enumerate(conditions):
        outcome = evaluate(condition, candidate.header, candidate.facts)
        reasons.append(Reason(f"{group}[{index + 1}]", condition.text, outcome.seen, outcome.answer))
    return reasons
