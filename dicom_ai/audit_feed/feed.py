"""What the trail has that an outlet has not yet, brought there: at least once, in order, whatever dies meanwhile.

Any number of processes may run it: one has the turn. The mark of the duty is the last row that arrived; it moves only
after the outlet has said so, so that a crash between the two sends some rows again, and loses none.
"""

from dataclasses import dataclass

from dicom_ai.audit_feed.message import as_message
from dicom_ai.audit_feed.outlets import Message, Outlet
from dicom_ai.storage import audit, duties
from dicom_ai.storage.database import Database

LEASE_S = 300.0
BATCH = 500


@dataclass(frozen=True, slots=True)
class Feed:
    """One outlet's share. duty: its name in the database. node: the node in messages."""

    database: Database
    duty: str
    node: str
    outlet: Outlet


def run(feed: Feed, owner: str) -> int:
    """Bring everything that is new; returns how many rows. Raises Unavailable or ConfigError where it stopped."""
    number = 0
    while brought := _batch(feed, owner):
        number += brought
    return number


def _batch(feed: Feed, owner: str) -> int:
    with feed.database.write() as session:
        duty = duties.take(session, feed.duty, owner, lease_s=LEASE_S, start=0.0)
    if duty is None:
        return 0
    events: tuple[audit.AuditEvent, ...] = ()
    brought = 0
    try:
        with feed.database.read() as session:
            events = tuple(audit.after(session, int(duty.mark or 0), limit=BATCH))
        if events:
            messages = [Message(event.at, as_message(event, feed.node)) for event in events]
            feed.outlet.deliver(messages, at=feed.database.clock())
            brought = len(events)
    finally:
        with feed.database.write() as session:
            duties.done(session, feed.duty, owner, mark=float(events[-1].id) if brought else None)
    return brought
