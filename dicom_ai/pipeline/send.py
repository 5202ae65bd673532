"""What waits for a destination goes there over one association; what did not arrive waits for its next try."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from dicom_ai.destinations import DESTINATIONS
from dicom_ai.destinations.delivery import Delivery, DeliveryResult
from dicom_ai.domain.destination import Destination
from dicom_ai.domain.retries import Retries
from dicom_ai.errors import ConfigError, DeliveryUnknown, DicomAiError, PermanentRefusal
from dicom_ai.storage import outbox
from dicom_ai.storage.database import Database, Session
from dicom_ai.storage.outbox import OutboxState, Turn

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sender:
    """What sending needs. path: path of a result, relative to the data folder -> file."""

    database: Database
    path: Callable[[str], Path]
    destinations: Mapping[str, Destination]
    retries: Retries


def claim(sender: Sender, owner: str, lease_s: float) -> Turn | None:
    """Take the turn at the free destination whose objects wait longest; None when nothing is due.

    Every object of the turn counts as unknown from here on: a killed sender may have delivered it.
    """
    with sender.database.write() as session:
        turn = outbox.claim(session, owner, known=tuple(sender.destinations), lease_s=lease_s)
        if turn is not None:
            outbox.begin_attempt(session, turn)
    return turn


def run(sender: Sender, turn: Turn) -> int:
    """Send what a turn holds, record each answer, and give the turn back; return how many objects arrived."""
    destination = sender.destinations[turn.destination]
    answers = _deliver(sender, turn, destination)
    with sender.database.write() as session:
        for delivery, answer in zip(turn.deliveries, answers, strict=True):
            _record(session, sender, turn, delivery, answer.error)
        if any(answer.delivered for answer in answers):
            outbox.hurry(session, turn)
        outbox.end(session, turn)
    arrived = sum(answer.delivered for answer in answers)
    log.info("sent", destination=turn.destination, arrived=arrived, objects=len(answers), errors=_errors(answers))
    return arrived


def abandon(sender: Sender, turn: Turn, reason: str) -> None:
    """Give a turn back after something unexpected; what it held may have arrived, and is sent again later."""
    with sender.database.write() as session:
        for delivery in turn.deliveries:
            _record(session, sender, turn, delivery, DeliveryUnknown(reason))
        outbox.end(session, turn)


def _deliver(sender: Sender, turn: Turn, destination: Destination) -> Sequence[DeliveryResult]:
    deliveries = [
        Delivery(sender.path(item.path), item.sop_class_uid, item.sop_instance_uid, sent_before=item.repeated)
        for item in turn.deliveries
    ]
    try:
        return DESTINATIONS[destination.kind](deliveries, destination)
    except ConfigError as error:  # waits like a peer that is away, until an administrator has mended the settings
        return [DeliveryResult(item.sop_instance_uid, error) for item in deliveries]


def _record(
    session: Session, sender: Sender, turn: Turn, delivery: outbox.Delivery, error: DicomAiError | None
) -> None:
    at = sender.database.clock()
    if error is None:
        outbox.sent(session, delivery.id)
    elif isinstance(error, PermanentRefusal):
        outbox.stop(session, delivery.id, OutboxState.REFUSED, error=str(error))
    elif at - delivery.queued_at > sender.retries.give_up_s:
        outbox.stop(session, delivery.id, OutboxState.FAILED, error=f"given up: {error}")
    else:
        attempts = min(item.attempts for item in turn.deliveries) + 1
        outbox.postpone(
            session,
            delivery.id,
            unknown=delivery.repeated or isinstance(error, DeliveryUnknown),
            next_at=at + sender.retries.delay_s(attempts, together=turn.deliveries[0].id),
            error=str(error),
        )


def _errors(answers: Sequence[DeliveryResult]) -> list[str]:
    return sorted({str(answer.error) for answer in answers if answer.error is not None})
