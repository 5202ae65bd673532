"""A rule as the fields of a form: texts, also such as make no rule yet. The form of one condition is a row."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.datastructures import FormData

from dicom_ai.routing.condition import Condition, predicates_for, vr_of
from dicom_ai.routing.facts import FACTS
from dicom_ai.routing.keywords import NUMERIC_VRS
from dicom_ai.routing.rule import GROUPS, Rule

MOST_ROWS = 100
"""Rows of one group that are read."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_LOW, _HIGH = ("min", "above"), ("max", "below")


@dataclass(frozen=True, slots=True)
class Operator:
    """How a row asks. fields: "value", "flag", "lines", "bounds" or none."""

    words: str
    predicate: str
    fields: str = ""


OPERATORS: Mapping[str, Operator] = {
    "equals": Operator("is", "equals", "value"),
    "in": Operator("is one of", "in", "lines"),
    "contains": Operator("contains", "contains", "value"),
    "regex": Operator("matches the pattern", "regex", "value"),
    "range": Operator("lies between", "range", "bounds"),
    "present": Operator("is known", "exists"),
    "absent": Operator("is not known", "exists"),
}
"""Name in the form -> what it is. Those that a keyword or fact allows are offered: routing.condition.predicates_for."""

_KEYWORD_WORDS = {"present": "has a value", "absent": "has no value"}


@dataclass(frozen=True, slots=True)
class Row:
    """One condition as its fields. low_end: "min" or "above"; high_end: "max" or "below". case: whether case counts."""

    subject: str
    operator: str = "equals"
    value: str = ""
    low: str = ""
    low_end: str = "min"
    high: str = ""
    high_end: str = "max"
    case: bool = False

    @property
    def fields(self) -> str:
        """Which fields it needs: "value", "flag", "lines", "bounds" or none."""
        wanted = OPERATORS[self.operator].fields if self.operator in OPERATORS else "value"
        return "flag" if wanted == "value" and vr_of(self.subject) == "flag" else wanted

    @property
    def operators(self) -> list[tuple[str, str]]:
        """The operators that its subject allows, with their words."""
        allowed = predicates_for(self.subject)
        words = {name: one.words for name, one in OPERATORS.items() if one.predicate in allowed}
        if self.subject not in FACTS:
            words |= {name: text for name, text in _KEYWORD_WORDS.items() if name in words}
        return list(words.items())

    @property
    def is_text(self) -> bool:
        """Whether its values compare as text, where case may count."""
        vr = vr_of(self.subject)
        return vr not in NUMERIC_VRS and vr != "flag" and self.fields in ("value", "lines")

    def with_value(self, value: str) -> "Row":
        """Return the row with a value that somebody chose: one more for a list, else in the place of the old one."""
        if self.fields == "bounds":
            return replace(self, high=value) if self.low and not self.high else replace(self, low=value)
        lines = [line for line in self.value.splitlines() if line.strip()]
        if self.fields != "lines":
            return replace(self, value=value)
        return self if value in lines else replace(self, value="\n".join([*lines, value]))

    def table(self) -> dict[str, Any]:
        """Return the condition as TOML would give it."""
        kind = "fact" if self.subject in FACTS else "keyword"
        operator = OPERATORS.get(self.operator, OPERATORS["equals"])
        case = {"case": True} if self.case and self.is_text else {}
        return {kind: self.subject, operator.predicate: self._argument(), **case}

    def _argument(self) -> Any:
        if self.fields == "lines":
            return [self._read(line) for line in self.value.splitlines() if line.strip()]
        if self.fields == "bounds":
            bounds = ((self.low_end, self.low), (self.high_end, self.high))
            return {end: self._read(text) for end, text in bounds if text.strip()}
        if self.operator in ("present", "absent"):
            return self.operator == "present"
        if self.fields == "flag":
            return {"true": True, "false": False}.get(self.value, self.value)
        return self.value.strip() if self.operator in ("contains", "regex") else self._read(self.value)

    def _read(self, text: str) -> Any:
        """Return a text as the number that it is, where numbers compare; else the text."""
        text, vr = text.strip(), vr_of(self.subject)
        return _number(text) if vr in NUMERIC_VRS or vr == "AS" else text


@dataclass(frozen=True, slots=True)
class Draft:
    """A rule as its fields. instead_of: the rule that it takes the place of; "" for a new one."""

    instead_of: str = ""
    name: str = ""
    description: str = ""
    model: str = ""
    destinations: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("seg", "sr")
    priority: str = "0"
    state: str = "shadow"
    take: str = "best"
    study_quiet_s: str = ""
    series_quiet_s: str = ""
    groups: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)

    def table(self) -> dict[str, Any]:
        """Return the rule as TOML would give it; a field that cannot be read stays the text it is."""
        table: dict[str, Any] = {"name": self.name.strip(), "description": self.description, "model": self.model}
        table |= {"destinations": list(self.destinations), "outputs": list(self.outputs)}
        table |= {"priority": _number(self.priority), "state": self.state, "take": self.take}
        quiet = {"study_quiet_s": self.study_quiet_s, "series_quiet_s": self.series_quiet_s}
        table |= {name: _number(text) for name, text in quiet.items() if text.strip()}
        return table | {name: [row.table() for row in rows] for name, rows in self.groups.items() if rows}

    def added(self, group: str, subject: str) -> "Draft":
        """Return the draft with one more condition, or as it is where no subject is named."""
        subject = subject.strip()
        offered = Row(subject).operators
        if group not in GROUPS or not subject:
            return self
        return self._with(group, (*self._rows(group), Row(subject, offered[0][0] if offered else "equals")))

    def removed(self, group: str, index: int) -> "Draft":
        """Return the draft without one condition."""
        return self._with(group, tuple(row for at, row in enumerate(self._rows(group)) if at != index))

    def picked(self, group: str, index: int, value: str) -> "Draft":
        """Return the draft with a value that really occurred in one condition."""
        rows = self._rows(group)
        return self._with(group, tuple(row.with_value(value) if at == index else row for at, row in enumerate(rows)))

    def _rows(self, group: str) -> tuple[Row, ...]:
        return tuple(self.groups.get(group, ()))

    def _with(self, group: str, rows: tuple[Row, ...]) -> "Draft":
        return replace(self, groups={**self.groups, group: rows})


def draft_of(rule: Rule) -> Draft:
    """Return a rule as fields that give the same rule again."""
    return Draft(
        instead_of=rule.name,
        name=rule.name,
        description=rule.description,
        model=rule.model,
        destinations=rule.destinations,
        outputs=rule.outputs,
        priority=str(rule.priority),
        state=rule.state,
        take=rule.take,
        study_quiet_s=_text(rule.study_quiet_s),
        series_quiet_s=_text(rule.series_quiet_s),
        groups={name: tuple(_row(one) for one in getattr(rule, name)) for name in GROUPS},
    )


def fits_the_form(rule: Rule) -> bool:
    """Say whether the form can hold a rule without loss: a range with two lower or two upper bounds it cannot."""
    return all(
        sum(end in one.argument for end in ends) <= 1
        for group in GROUPS
        for one in getattr(rule, group)
        if one.predicate == "range"
        for ends in (_LOW, _HIGH)
    )


def read_form(form: FormData) -> Draft:
    """Return the fields that a browser sent."""
    return Draft(
        **{name: _one(form, name) for name in ("instead_of", "name", "model", "priority", "state", "take")},
        description=" ".join(_one(form, "description").split()),
        destinations=_many(form, "destinations"),
        outputs=_many(form, "outputs"),
        study_quiet_s=_one(form, "study_quiet_s"),
        series_quiet_s=_one(form, "series_quiet_s"),
        groups={group: _rows_of(form, group) for group in GROUPS},
    )


def _rows_of(form: FormData, group: str) -> tuple[Row, ...]:
    rows = []
    for index in range(MOST_ROWS):
        start = f"{group}-{index}-"
        if f"{start}subject" not in form:
            break
        names = ("subject", "operator", "value", "low", "low_end", "high", "high_end")
        given = {name: _one(form, start + name) for name in names if start + name in form}
        rows.append(_as_asked(Row(**given, case=start + "case" in form)))
    return tuple(rows)


def _as_asked(row: Row) -> Row:
    """Return a row whose operator was changed with the value in the field where it now belongs."""
    offered = [name for name, _ in row.operators]
    if offered and row.operator not in offered:
        row = replace(row, operator=offered[0])
    if row.fields == "bounds" and row.value and not row.low and not row.high:
        return replace(row, low=row.value.splitlines()[0], value="")
    if row.fields in ("value", "lines") and row.low and not row.value:
        return replace(row, value=row.low, low="", high="")
    if row.fields == "flag" and row.value not in ("true", "false"):
        return replace(row, value="true")
    return replace(row, value=row.value.splitlines()[0]) if row.fields == "value" and row.value else row


def _row(condition: Condition) -> Row:
    row = Row(condition.name, condition.predicate, case=condition.case)
    argument = condition.argument
    if condition.predicate == "exists":
        return replace(row, operator="present" if argument else "absent")
    if condition.predicate == "in":
        return replace(row, value="\n".join(map(_text, argument)))
    if condition.predicate == "range":
        low, high = (next((end for end in ends if end in argument), ends[0]) for ends in (_LOW, _HIGH))
        bounds = _text(argument.get(low)), _text(argument.get(high))
        return replace(row, low=bounds[0], low_end=low, high=bounds[1], high_end=high)
    return replace(row, value=_text(argument))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float | int) else str(value)


def _number(text: str) -> Any:
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if set(text) & set(".eE") else int(text)


def _one(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _many(form: FormData, name: str) -> tuple[str, ...]:
    return tuple(value for value in form.getlist(name) if isinstance(value, str))
