"""One look at the node: what is so becomes alarms, and every channel is told what it has not been told yet.

Safe to call from any number of processes: one of them has the turn. A channel that fails is tried again at the next
look, and stops neither the others nor the looking.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from dicom_ai.alarms import conditions
from dicom_ai.alarms.channels import Channel
from dicom_ai.errors import ConfigError, Unavailable
from dicom_ai.storage import alarms, duties
from dicom_ai.storage.database import Database
from dicom_ai.storage.disk import Disk

DUTY = "alarms"
LEASE_S = 300.0
LINGER_S = 600.0
"""An alarm that was not seen for this long is over."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Watch:
    """What looking needs. name: of the node, in messages. channels: name -> channel. repeat_s: 0 for never again."""

    database: Database
    name: str
    peers: tuple[str, ...]
    limits: conditions.Limits
    disk: Callable[[], Disk]
    reserve_bytes: int
    channels: Mapping[str, Channel] = field(default_factory=dict)
    repeat_s: float = 86_400.0


def run(watch: Watch, owner: str) -> bool:
    """Look once and tell; False when another process has the turn. Raises Unavailable without a database."""
    with watch.database.write() as session:
        if duties.take(session, DUTY, owner, lease_s=LEASE_S) is None:
            return False
    look(watch)
    for name, channel in watch.channels.items():
        _tell(watch, name, channel)
    with watch.database.write() as session:
        duties.done(session, DUTY, owner)
    return True


def look(watch: Watch) -> None:
    """Open, renew and close alarms by what is so now."""
    with watch.database.read() as session:
        node = conditions.Node(session, watch.limits, watch.peers, watch.disk(), watch.reserve_bytes)
        seen = [one for condition in conditions.CONDITIONS.values() for one in condition(node)]
    with watch.database.write() as session:
        news = alarms.look(session, seen, judged=conditions.CONDITIONS, linger_s=LINGER_S)
    for one in news:
        log.warning("alarm", condition=one.condition, subject=one.subject, level=one.level.name.lower(), says=one.text)


def _tell(watch: Watch, name: str, channel: Channel) -> None:
    with watch.database.read() as session:
        due = alarms.to_tell(session, name, repeat_s=watch.repeat_s)
    if not due:
        return
    problem = ""
    try:
        channel.tell(watch.name, due)
    except (Unavailable, ConfigError) as error:
        problem = str(error)
        log.error("alarms could not be told", channel=name, alarms=len(due), reason=problem)
    with watch.database.write() as session:
        alarms.told(session, name, due, error=problem)
