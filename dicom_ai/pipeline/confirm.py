"""What was sent is confirmed: by storage commitment where the destination offers it, by looking for it otherwise.

Storage commitment (PS3.4 J) is asked for all new objects of a destination at once; the archive's report comes to the
listener, on an association of its own, now or hours later. Without one after a while, or where commitment is not
offered, the destination is asked whether it has the objects: C-FIND, QIDO-RS, or the files of a folder. What is not
found is looked for again, later and later: archives file what they took when they have time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import structlog

from dicom_ai.destinations import c_store
from dicom_ai.destinations.presence import PRESENCE, Object
from dicom_ai.dicom.uids import new_uid
from dicom_ai.dimse import scu
from dicom_ai.domain.destination import Destination
from dicom_ai.domain.retries import Retries
from dicom_ai.errors import ConfigError, PermanentRefusal, Unavailable
from dicom_ai.storage import confirmations, duties, transfers
from dicom_ai.storage.confirmations import Confirmation, Sought, Way
from dicom_ai.storage.database import Database

DUTY = "confirm"
LEASE_S = 600.0
AT_ONCE = 200
"""Objects in one request for commitment, or asked for over one association."""

LONGEST_WAIT_S = 6 * 3600.0
"""An object that was not found, or an archive that did not answer, is asked for again at least so often."""

WAYS = {"c_store": Way.C_FIND, "stow_rs": Way.QIDO, "folder": Way.FILE}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Confirmer:
    """What confirming needs.

    report_wait_s: how long a report of storage commitment may take before the archive is asked by C-FIND; no object is
    called missing before. give_up_s: how long one that does not answer, or does not find an object, is asked, and as
    often as fits into that time.
    """

    database: Database
    destinations: Mapping[str, Destination]
    report_wait_s: float
    give_up_s: float

    @property
    def retries(self) -> Retries:
        """How often and how late an object is asked for again; time and tries count, as in sending."""
        return Retries(self.report_wait_s, LONGEST_WAIT_S, maximum=0, give_up_s=self.give_up_s)


def run(confirmer: Confirmer, owner: str) -> bool:
    """Ask for what is due; False when another process does it."""
    with confirmer.database.write() as session:
        if duties.take(session, DUTY, owner, lease_s=LEASE_S) is None:
            return False
    with confirmer.database.read() as session:
        due = confirmations.due(session, known=tuple(confirmer.destinations), most=AT_ONCE)
    for name, items in groupby(sorted(due, key=lambda item: item.destination), key=lambda item: item.destination):
        _ask(confirmer, confirmer.destinations[name], tuple(items))
    with confirmer.database.write() as session:
        duties.done(session, DUTY, owner)
    return True


def _ask(confirmer: Confirmer, destination: Destination, sought: Sequence[Sought]) -> None:
    """Ask one destination; what was not asked for by commitment yet is, where it is offered."""
    new = tuple(item for item in sought if item.way is Way.NONE)
    rest = tuple(item for item in sought if item.way is not Way.NONE)
    try:
        if new and not (destination.kind == "c_store" and _commitment(confirmer, destination, new)):
            rest += new
        if rest:
            _look(confirmer, destination, rest)
    except (Unavailable, ConfigError) as error:
        _later(confirmer, sought, str(error))


def _commitment(confirmer: Confirmer, destination: Destination, sought: Sequence[Sought]) -> bool:
    """Ask for storage commitment; False where the destination does not offer it. Raises PeerUnavailable."""
    uid = new_uid()
    at = confirmer.database.clock()
    with confirmer.database.write() as session:
        confirmations.asked(session, sought, transaction_uid=uid, next_at=at + confirmer.report_wait_s)
    references = [(item.sop_class_uid, item.sop_instance_uid) for item in sought]
    try:
        peer, wait = c_store.remote_ae(destination), c_store.timeouts(destination)
        scu.request_commitment(peer, references, transaction_uid=uid, timeouts=wait)
    except PermanentRefusal as error:
        log.info("no storage commitment", destination=destination.name, reason=str(error))
        return False
    log.info("storage commitment asked for", destination=destination.name, objects=len(sought), transaction_uid=uid)
    return True


def _look(confirmer: Confirmer, destination: Destination, sought: Sequence[Sought]) -> None:
    """Ask whether objects are there, and note what was found out. Raises PeerUnavailable."""
    way = WAYS[destination.kind]
    objects = [Object(item.study_uid, item.series_uid, item.sop_instance_uid) for item in sought]
    try:
        there = PRESENCE[destination.kind](objects, destination)
    except PermanentRefusal as error:
        with confirmer.database.write() as session:
            for item in sought:
                reason = f"it offers neither storage commitment nor a query: {error}"
                confirmations.settle(session, item.delivery_id, Confirmation.UNCONFIRMED, way=way, reason=reason)
        return
    with confirmer.database.write() as session:
        if way is not Way.FILE:
            study_uids = (item.study_uid for item in sought)
            transfers.queried(session, "confirmer", destination, study_uids, purpose="does it have the results")
        for item in sought:
            if item.sop_instance_uid in there:
                confirmations.settle(session, item.delivery_id, Confirmation.CONFIRMED, way=way)
    missing = [item for item in sought if item.sop_instance_uid not in there]
    _not_found(confirmer, missing, way)
    log.info("asked for results", destination=destination.name, way=way.value, there=len(there), missing=len(missing))


def _not_found(confirmer: Confirmer, missing: Sequence[Sought], way: Way) -> None:
    """Look again later; what is not found for too long is refused."""
    asked = [replace(item, way=way) for item in missing]
    reason = f"it took the object and does not have it ({way.value})"
    _again(confirmer, asked, "not found yet", Confirmation.REFUSED, reason)


def _later(confirmer: Confirmer, sought: Sequence[Sought], reason: str) -> None:
    """Ask again later; what nobody could be asked about for too long stays unconfirmed."""
    _again(confirmer, sought, reason, Confirmation.UNCONFIRMED, f"no answer: {reason}")


def _again(confirmer: Confirmer, sought: Sequence[Sought], reason: str, end: Confirmation, end_reason: str) -> None:
    """Postpone what was asked for in vain, or end it where it was asked for long enough and often enough."""
    at, retries = confirmer.database.clock(), confirmer.retries
    with confirmer.database.write() as session:
        for item in sought:
            tries = item.tries + 1
            if retries.are_over(attempts=tries, since_s=at - item.sent_at):
                confirmations.settle(session, item.delivery_id, end, way=item.way, reason=end_reason)
            else:
                next_at = at + retries.delay_s(tries, together=sought[0].delivery_id)
                confirmations.postpone(session, [item], next_at=next_at, reason=reason)
