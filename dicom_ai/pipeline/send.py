"""What waits for a destination goes there over one association; what did not arrive waits for its next try.

Of what a destination does not take, or what is too large for it, the next best form goes there (domain/output.py):
another object, whose identity is saved before it is written, and which is made once for all destinations. Where there
is none left the object is refused, and says so.

Just before, a destination that can be asked is asked what it knows of the study: where it knows another patient, or no
such study, the result is held with the reason instead of making a second one.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.destinations import DESTINATIONS
from dicom_ai.destinations.delivery import Delivery, DeliveryResult
from dicom_ai.destinations.identity import COMPARED, IDENTITY, Check, check_of, disagreement
from dicom_ai.dicom import fallbacks
from dicom_ai.dicom.headers import PARSE_ERRORS
from dicom_ai.dimse.find import Match
from dicom_ai.domain.destination import Destination
from dicom_ai.domain.output import Output, next_best, output_of
from dicom_ai.domain.result import ResultObject
from dicom_ai.domain.retries import Retries
from dicom_ai.errors import (
    ConfigError,
    DeliveryUnknown,
    DicomAiError,
    PeerUnavailable,
    PermanentRefusal,
    SopClassRefused,
    TooLarge,
)
from dicom_ai.storage import deliveries, holds, outbox, results, transfers
from dicom_ai.storage.database import Database, Session
from dicom_ai.storage.holds import HELD_AGAIN_S, LOOKED_AT, HoldKind, NewHold
from dicom_ai.storage.outbox import OutboxState, Turn

PURPOSE = "is it the same patient there"
"""What the audit trail says that a destination is asked for."""

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
        turn = outbox.claim(
            session,
            owner,
            known=tuple(sender.destinations),
            lease_s=lease_s,
            caps={name: destination.most_per_hour for name, destination in sender.destinations.items()},
        )
        if turn is not None:
            outbox.begin_attempt(session, turn)
    return turn


def run(sender: Sender, turn: Turn) -> int:
    """Send what may go of a turn, record each answer, and give the turn back; return how many objects arrived."""
    destination = sender.destinations.get(turn.destination)
    if destination is None:
        return _leave(sender, turn)
    try:
        turn = replace(turn, deliveries=_cleared(sender, turn, destination))
        answers = _deliver(sender, turn, destination)
    except (PeerUnavailable, ConfigError) as error:  # it could not even be asked
        answers = [DeliveryResult(item.sop_instance_uid, error) for item in turn.deliveries]
    pairs = list(zip(turn.deliveries, answers, strict=True))
    replaced = {delivery.id for delivery, answer in pairs if _fall_back(sender, delivery, answer.error)}
    with sender.database.write() as session:
        for delivery, answer in pairs:
            if delivery.id not in replaced:  # what is replaced is noted already
                _record(session, sender, turn, delivery, answer.error)
        transfers.sent(session, turn.destination, [delivery for delivery, answer in pairs if answer.delivered])
        if any(answer.delivered for answer in answers):
            outbox.hurry(session, turn)
        outbox.end(session, turn)
    arrived = sum(answer.delivered for answer in answers)
    if answers:  # none where all of it is held
        log.info("sent", destination=turn.destination, arrived=arrived, objects=len(answers), errors=_errors(answers))
    return arrived


def abandon(sender: Sender, turn: Turn, reason: str) -> None:
    """Give a turn back after something unexpected; what it held may have arrived, and is sent again later."""
    with sender.database.write() as session:
        for delivery in turn.deliveries:
            _record(session, sender, turn, delivery, DeliveryUnknown(reason))
        outbox.end(session, turn)


def ask_again(sender: Sender) -> bool:
    """Ask a destination again about a study that it did not know as we do; let go what it held if it does now.

    False when none is due. Archives file what they took when they have time.
    """
    with sender.database.write() as session:
        hold = holds.take_stale(session, HoldKind.DESTINATION, every_s=HELD_AGAIN_S)
    if hold is None:
        return False
    destination = sender.destinations.get(hold.destination)
    if destination is None:
        return True
    try:
        check = check_of(destination)
        there, _ = _asked(destination, check, [hold.study_uid])
    except (PeerUnavailable, ConfigError):
        return True
    if there is not None:
        with sender.database.write() as session:
            transfers.queried(session, "sender", destination, there, purpose=PURPOSE)
    if there is None or not disagreement(hold.detail.get("here", {}), there[hold.study_uid], check):
        why = "the destination knows the study as the node does" if there else "the destination is not asked any more"
        with sender.database.write() as session:
            holds.settle(session, HoldKind.DESTINATION, hold.study_uid, destination=hold.destination, why=why)
    return True


def _leave(sender: Sender, turn: Turn) -> int:
    """Give a turn back at a destination that was removed meanwhile: what waits, waits on, and no try is used up."""
    with sender.database.write() as session:
        for delivery in turn.deliveries:
            outbox.put_back(session, delivery)
        outbox.end(session, turn)
    return 0


def _cleared(sender: Sender, turn: Turn, destination: Destination) -> tuple[outbox.Delivery, ...]:
    """Return what may go: not what was held since the turn was claimed, nor what the destination knows otherwise."""
    check = check_of(destination)
    there, asked = _asked(destination, check, list(dict.fromkeys(item.study_uid for item in turn.deliveries)))
    identities = {item.id: _identity(sender.path(item.path)) for item in turn.deliveries} if there is not None else {}
    cleared = []
    with sender.database.write() as session:
        if there is not None:
            transfers.queried(session, "sender", destination, there, purpose=PURPOSE)
        for delivery in turn.deliveries:
            said = asked
            if there is not None and not holds.is_released(session, HoldKind.DESTINATION, delivery.id):
                known = there[delivery.study_uid]
                reason = disagreement(identities[delivery.id], known, check)
                said = reason or ("patient and study agree" if known else "the study is unknown there")
                if reason:
                    _hold(session, delivery, destination.name, reason, identities[delivery.id], known)
            outbox.note_check(session, delivery, destination.name, said=said, asked=asked)
            if holds.is_held(session, delivery.id):
                outbox.put_back(session, delivery)
            else:
                cleared.append(delivery)
        transfers.begun(session, destination.name, cleared)
    return tuple(cleared)


def _asked(
    destination: Destination, check: Check, study_uids: Sequence[str]
) -> tuple[Mapping[str, Sequence[Match]] | None, str]:
    """Return what a destination says of some studies, None where it cannot be asked; and a word on that.

    Raises PeerUnavailable where it does not answer now.
    """
    if check is Check.OFF:
        by = "check_identity is off" if destination.kind in IDENTITY else f"a {destination.kind} cannot be asked"
        return None, f"unchecked: {by}"
    try:
        answers = IDENTITY[destination.kind](study_uids, destination)
    except PermanentRefusal as error:
        return None, f"unchecked: {error}"
    return dict(zip(study_uids, answers, strict=True)), "asked before every sending"


def _identity(path: Path) -> dict[str, str]:
    """Return what a result says of patient and study; nothing where it cannot be read, which no archive agrees with."""
    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=list(COMPARED))
        return {keyword: str(header.get(keyword) or "").strip() for keyword in COMPARED}
    except (OSError, *PARSE_ERRORS):
        return {}


def _hold(
    session: Session,
    delivery: outbox.Delivery,
    destination: str,
    reason: str,
    here: Mapping[str, str],
    there: Sequence[Match],
) -> None:
    detail: dict[str, Any] = {"here": dict(here), "there": [dict(match) for match in there]}
    detail[LOOKED_AT] = session.info["clock"]()
    new = NewHold(
        HoldKind.DESTINATION,
        delivery.study_uid,
        reason,
        run_id=delivery.run_id,
        destination=destination,
        detail=detail,
    )
    holds.hold(session, new, who="sender")


def _deliver(sender: Sender, turn: Turn, destination: Destination) -> Sequence[DeliveryResult]:
    deliveries = [
        Delivery(sender.path(item.path), item.sop_class_uid, item.sop_instance_uid, sent_before=item.repeated)
        for item in turn.deliveries
    ]
    refusals = {item.sop_instance_uid: error for item in deliveries if (error := _too_large(item, destination))}
    offered = [item for item in deliveries if item.sop_instance_uid not in refusals]
    try:
        answers = DESTINATIONS[destination.kind](offered, destination) if offered else ()
    except ConfigError as error:  # waits like a peer that is away, until an administrator has mended the settings
        answers = tuple(DeliveryResult(item.sop_instance_uid, error) for item in offered)
    by_uid = {answer.sop_instance_uid: answer for answer in answers}
    return [
        by_uid.get(uid) or DeliveryResult(uid, refusals[uid]) for uid in (item.sop_instance_uid for item in deliveries)
    ]


def _too_large(delivery: Delivery, destination: Destination) -> TooLarge | None:
    """Return why an object is not even offered; None where it is not larger than the destination takes."""
    size_mb = delivery.path.stat().st_size / 1e6 if destination.largest_mb and delivery.path.exists() else 0.0
    if size_mb <= destination.largest_mb:
        return None
    return TooLarge(f"{size_mb:.1f} MB where {destination.name} takes {destination.largest_mb:g} MB")


def _fall_back(sender: Sender, delivery: outbox.Delivery, error: DicomAiError | None) -> bool:
    """Queue the next best form of what the destination does not take; False where there is none."""
    if not isinstance(error, SopClassRefused | TooLarge):
        return False
    with sender.database.read() as session:
        run_id, refused = results.find(session, delivery.sop_instance_uid, Path())
    made = _next_best(sender, run_id, refused)
    if made is None:
        return False
    with sender.database.write() as session:
        result_id = results.written(session, run_id, made, path=str(made.path))
        form = output_of(made.identity.slot)
        what = "Comprehensive SR" if form is Output.SR else "the picture" if form is Output.PICTURE else "BINARY"
        deliveries.replace(session, delivery.id, result_id=result_id, error=f"{error}; sent as {what} instead")
    return True


def _next_best(sender: Sender, run_id: int, refused: ResultObject) -> ResultObject | None:
    """Return the next best form of a result, written once for all destinations; None where there is none."""
    slot = next_best(refused.identity.slot)
    if slot is None:
        return None
    with sender.database.read() as session:
        there = results.of_slot(session, run_id, slot, Path())
    if there is not None or slot not in fallbacks.MAKERS:
        return there
    with sender.database.write() as session:
        earlier = results.predecessors(session, refused.study_uid).get(slot)
        planned = {slot: fallbacks.identity(slot, refused.identity, earlier)}
        identity = results.save_identities(session, run_id, planned, shadow=False)[slot]
    dataset = fallbacks.MAKERS[slot](sender.path(str(refused.path)), identity)
    if dataset is None:
        return None
    path = refused.path.with_name(fallbacks.file_name(slot))
    _write(dataset, sender.path(str(path)))
    return ResultObject(identity, str(dataset.SOPClassUID), refused.study_uid, "", path)


def _write(dataset: Dataset, path: Path) -> None:
    """Write a data set whole and durably; another sender may write the same bytes at the same time."""
    part = path.with_name(f".{path.name}-{os.getpid()}-{threading.get_ident()}")
    try:
        with part.open("wb") as file:
            dataset.save_as(file, enforce_file_format=True)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _record(
    session: Session, sender: Sender, turn: Turn, delivery: outbox.Delivery, error: DicomAiError | None
) -> None:
    at = sender.database.clock()
    if error is None:
        outbox.sent(session, delivery.id)
    elif isinstance(error, PermanentRefusal):
        outbox.stop(session, delivery.id, OutboxState.REFUSED, error=str(error))
    elif sender.retries.are_over(attempts=delivery.attempts + 1, since_s=at - delivery.queued_at):
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
