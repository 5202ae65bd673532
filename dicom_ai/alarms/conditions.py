"""What raises an alarm. To add one: write a function here, name it in CONDITIONS, write its section in docs/runbook.md.

A condition yields what is so now, in words for an administrator: counts and names out of the settings and rules, never
a study or a patient, because alarms leave the house by e-mail.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from dicom_ai.storage import holds, pauses, rules, signs
from dicom_ai.storage.alarms import Level, Seen
from dicom_ai.storage.database import Session, now
from dicom_ai.storage.disk import WARNINGS, Disk

HOUR_S = 3600
DAY_S = 86_400
FRIDAY = 4
RECENT_S = 3 * DAY_S
"""Results that did not arrive alarm for this long; dicom-ai status lists them for ever."""

MOST_REASONS = 3
FEWEST_MISSED = 3
"""So many spine studies must be missed before their share says anything."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on something is an alarm. A limit of 0 switches its condition off.

    peer_silent_h: hours without images in which the peer usually sends. rule_idle_days: working days, Monday to Friday.
    give_up_s: for how long the node tries to deliver a result. spine_missed_percent: of the spine studies of a day.
    """

    peer_silent_h: float
    rule_idle_days: int
    result_overdue_h: float
    queue_age_h: float
    destination_down_h: float
    held_h: float
    paused_h: float
    give_up_s: float
    spine_missed_percent: float = 0


@dataclass(frozen=True, slots=True)
class Node:
    """What conditions look at. peers: AE titles that may send."""

    session: Session
    limits: Limits
    peers: tuple[str, ...]
    disk: Disk
    reserve_bytes: int


def peer_silent(node: Node) -> Iterator[Seen]:
    """A peer that usually sends at this time of the week does not."""
    for peer in node.peers if node.limits.peer_silent_h else ():
        found = signs.silence(node.session, peer)
        if found and found.usual_hours >= node.limits.peer_silent_h:
            text = (
                f"{peer} has sent nothing since {_when(found.since)}; in this span of past weeks it sent in at least "
            )
            yield Seen("peer-silent", peer, Level.SERIOUS, f"{text}{found.usual_hours} hours")


def rule_idle(node: Node) -> Iterator[Seen]:
    """A rule that is on took nothing for some working days."""
    if not node.limits.rule_idle_days:
        return
    hits = signs.last_hits(node.session)
    for rule, on_since in _on_since(node.session).items():
        since = max(hits.get(rule, 0.0), on_since)
        days = _working_days(since, now(node.session))
        if days >= node.limits.rule_idle_days:
            yield Seen("rule-idle", rule, Level.WARNING, f"rule {rule} has taken no series for {days} working days")


def result_overdue(node: Node) -> Iterator[Seen]:
    """Studies that a rule took have no result anywhere."""
    hours = node.limits.result_overdue_h
    if hours and (number := signs.studies_without_result(node.session, overdue_s=hours * HOUR_S)):
        text = f"{number} studies that a rule took have no result {hours:g} hours after their last image"
        yield Seen("result-overdue", "", Level.SERIOUS, text)


def spine_missed(node: Node) -> Iterator[Seen]:
    """Most studies that show the spine by their headers were taken by no rule."""
    percent, at = node.limits.spine_missed_percent, now(node.session)
    if not percent or not _on_since(node.session):
        return
    found = signs.spine_studies(node.session, since=at - DAY_S, until=at - HOUR_S)
    if found.missed >= FEWEST_MISSED and 100 * found.missed > percent * found.number:
        text = f"{found.missed} of {found.number} spine studies of the last day were taken by no rule"
        yield Seen("spine-missed", "", Level.SERIOUS, text)


def queue_old(node: Node) -> Iterator[Seen]:
    """Work waits too long for a worker."""
    limit_s = node.limits.queue_age_h * HOUR_S
    for queue, waiting in signs.queues(node.session).items():
        age_s = now(node.session) - waiting.since
        if limit_s and age_s > limit_s:
            text = f"{waiting.number} wait in queue {queue}, the oldest for {age_s / HOUR_S:.1f} hours"
            yield Seen("queue-old", queue, Level.SERIOUS, text)


def destination_down(node: Node) -> Iterator[Seen]:
    """A destination takes nothing."""
    limit_s = node.limits.destination_down_h * HOUR_S
    for name, waiting in signs.failing_destinations(node.session).items():
        age_s = now(node.session) - waiting.since
        if limit_s and age_s > limit_s:
            text = f"destination {name} takes nothing: {waiting.number} results wait, the oldest for "
            level = Level.CRITICAL if age_s > node.limits.give_up_s / 2 else Level.SERIOUS
            yield Seen("destination-down", name, level, f"{text}{age_s / HOUR_S:.1f} hours")


def result_refused(node: Node) -> Iterator[Seen]:
    """Results will not arrive without a person."""
    since = now(node.session) - node.limits.give_up_s - RECENT_S
    for name, number in signs.stuck(node.session, since=since).items():
        text = f"destination {name} refused {number} results of the last days, or they were given up"
        yield Seen("result-refused", name, Level.SERIOUS, text)


def result_unconfirmed(node: Node) -> Iterator[Seen]:
    """A destination took results and does not have them."""
    for name, number in signs.doubtful(node.session, since=now(node.session) - RECENT_S).items():
        text = f"destination {name} took {number} results of the last days and does not vouch for them"
        yield Seen("result-unconfirmed", name, Level.SERIOUS, text)


def device_lost(node: Node) -> Iterator[Seen]:
    """A model runs on less than it did, or not at all."""
    for item in signs.lost_devices(node.session):
        refused = item.device.startswith("refused")
        text = "cannot serve" if refused else f"runs on {item.device}; it ran on {item.best} before"
        level = Level.CRITICAL if refused else Level.SERIOUS
        yield Seen("device-lost", f"{item.model} on {item.host}"[:128], level, f"model {item.model} {text}")


def job_failed(node: Node) -> Iterator[Seen]:
    """Analyses or reports broke."""
    for model, number in signs.failed_jobs(node.session, since=now(node.session) - DAY_S).items():
        what = "reports" if model == "report" else f"analyses by {model}"
        yield Seen("job-failed", model, Level.SERIOUS, f"{number} {what} failed within a day")


def work_held_up(node: Node) -> Iterator[Seen]:
    """Analyses or reports cannot be made until something is mended that has nothing to do with their studies."""
    found = signs.held_up(node.session)
    if found:
        reasons = "; ".join(sorted(found)[:MOST_REASONS])
        text = f"{sum(found.values())} analyses or reports wait until this is mended: {reasons}"
        yield Seen("work-held-up", "", Level.SERIOUS, text)


def held(node: Node) -> Iterator[Seen]:
    """Results wait for a person."""
    waiting = holds.open_now(node.session)
    limit_s = node.limits.held_h * HOUR_S
    if waiting and limit_s and (age_s := now(node.session) - waiting[0].since) > limit_s:
        text = f"{len(waiting)} holds and notices wait for a person, the oldest for {age_s / HOUR_S:.0f} hours"
        yield Seen("held", "", Level.WARNING, text)


def paused(node: Node) -> Iterator[Seen]:
    """A pause was perhaps forgotten."""
    limit_s = node.limits.paused_h * HOUR_S
    for pause in pauses.all_of(node.session):
        age_s = now(node.session) - pause.since
        if limit_s and age_s > limit_s:
            text = f"sending of {pause.subject.text} has been paused for {age_s / HOUR_S:.0f} hours"
            yield Seen("paused", pause.subject.text, Level.WARNING, f"{text}; {pause.held} results wait")


def rule_flood(node: Node) -> Iterator[Seen]:
    """The node paused a rule that suddenly took far more than usual."""
    for pause in pauses.all_of(node.session):
        if pause.who == pauses.BRAKE:
            text = f"sending of {pause.subject.text} is paused: {pause.why}"
            yield Seen("rule-flood", pause.subject.name, Level.SERIOUS, text)


def disk(node: Node) -> Iterator[Seen]:
    """The disk fills."""
    text = node.disk.warning(reserve_bytes=node.reserve_bytes)
    if text:
        full = node.disk.free < node.reserve_bytes
        high = node.disk.used >= WARNINGS[0]
        yield Seen("disk", "", Level.CRITICAL if full else Level.SERIOUS if high else Level.WARNING, text)


CONDITIONS: Mapping[str, Callable[[Node], Iterator[Seen]]] = {
    "peer-silent": peer_silent,
    "rule-idle": rule_idle,
    "result-overdue": result_overdue,
    "spine-missed": spine_missed,
    "queue-old": queue_old,
    "destination-down": destination_down,
    "result-refused": result_refused,
    "result-unconfirmed": result_unconfirmed,
    "device-lost": device_lost,
    "job-failed": job_failed,
    "work-held-up": work_held_up,
    "held": held,
    "paused": paused,
    "rule-flood": rule_flood,
    "disk": disk,
}
"""Condition -> what looks for it; docs/runbook.md has a section of each name."""


def runbook(condition: str) -> str:
    """Return where a condition is explained, and what to do about it."""
    return f"docs/runbook.md#{condition}"


def _on_since(session: Session) -> Mapping[str, float]:
    """Return the rules that are on, and since which version of the rules without a break."""
    found: dict[str, float] = {}
    still: set[str] | None = None
    for stored in rules.history(session):
        # read without parse_rules: an old version may hold what this release no longer knows
        on = {rule["name"] for rule in stored.content.get("rule", ()) if rule.get("state", "on") == "on"}
        still = on if still is None else still & on
        found |= {name: stored.created_at for name in still}
    return found


def _working_days(since: float, until: float) -> int:
    """Return how many whole days from Monday to Friday lie between two times."""
    day, last = _day(since) + timedelta(days=1), _day(until)
    number = 0
    while day < last:
        number += day.weekday() <= FRIDAY
        day += timedelta(days=1)
    return number


def _day(at: float) -> date:
    return datetime.fromtimestamp(at, UTC).date()


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
