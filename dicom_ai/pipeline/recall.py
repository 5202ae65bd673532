"""A model is withdrawn: what it had a part in is found, cancelled where it has not left, and rejected where it has.

A node cannot take an object back from an archive. It can send a Key Object rejection note that names it, after which
the archive hides it, or marks it, as its administrator has set.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dicom_ai.analysis.identities import new_identity
from dicom_ai.dicom.ko_writer import RejectionReason, write_rejection_note
from dicom_ai.domain.result import ResultObject
from dicom_ai.errors import RejectedInput
from dicom_ai.storage import outbox, results, withdrawals
from dicom_ai.storage.database import Database
from dicom_ai.storage.pauses import RECALL
from dicom_ai.storage.withdrawals import Withdrawn


@dataclass(frozen=True, slots=True)
class Recall:
    """What is recalled, by whom, and why. version: "" for any. since: seconds since 1970."""

    model: str
    version: str
    since: float
    who: str
    why: str

    @property
    def text(self) -> str:
        """The model and its version."""
        return f"model {self.model} {self.version}".strip()


@dataclass(frozen=True, slots=True)
class Note:
    """A rejection note of one study. error: why none could be written. path: relative to the data folder."""

    study_uid: str
    objects: int
    path: str
    destinations: tuple[str, ...]
    error: str = ""


def touched(database: Database, recall: Recall) -> Sequence[Withdrawn]:
    """Return every object of the model, wherever it went or was to go."""
    with database.read() as session:
        which = withdrawals.of_model(session, recall.model, version=recall.version, since=recall.since)
        return withdrawals.everywhere(session, which)


def withdraw(database: Database, recall: Recall) -> int:
    """Cancel what has not left, and list what has as withdrawn; return how many deliveries have left."""
    with database.write() as session:
        which = withdrawals.of_model(session, recall.model, version=recall.version, since=recall.since)
        why = f"{recall.text} was withdrawn: {recall.why}"
        return withdrawals.withdraw(session, which, subject=recall.text, why=why, who=recall.who)


def notes(
    database: Database,
    data_dir: Path,
    objects: Sequence[Withdrawn],
    *,
    recall: Recall,
    reason: RejectionReason,
    knows: Callable[[str], bool],
) -> Sequence[Note]:
    """Write one rejection note per study, and queue it for every destination that has objects of it, or may have.

    knows: whether a destination is in the settings. The same recall again makes the same notes.
    """
    left = [item for item in objects if item.there != withdrawals.NOT_THERE]
    studies = dict.fromkeys(item.study_uid for item in left)
    return tuple(
        _note(database, data_dir, [item for item in left if item.study_uid == study_uid], recall, reason, knows)
        for study_uid in studies
    )


def _note(
    database: Database,
    data_dir: Path,
    objects: Sequence[Withdrawn],
    recall: Recall,
    reason: RejectionReason,
    knows: Callable[[str], bool],
) -> Note:
    last = max(objects, key=lambda item: item.run_id)
    slot = f"{RECALL}{recall.model}:{recall.version}"[:160]
    with database.write() as session:
        planned = {slot: new_identity(slot, run=last.run, created_at=datetime.now(UTC))}
        identity = results.save_identities(session, last.run_id, planned, shadow=False)[slot]
        rejected = _rejected(results.all_of(session, last.study_uid, data_dir), objects)
    destinations = tuple(sorted({item.destination for item in objects if knows(item.destination)}))
    try:
        dataset = write_rejection_note(rejected, identity=identity, reason=reason, text=f"{recall.text} was withdrawn")
    except (RejectedInput, ValueError) as error:
        return Note(last.study_uid, len(rejected), "", (), str(error))
    relative = Path("results") / str(last.run_id) / "recall" / f"{identity.sop_instance_uid}.dcm"
    (data_dir / relative).parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(data_dir / relative, enforce_file_format=True)
    note = ResultObject(identity, str(dataset.SOPClassUID), last.study_uid, "", data_dir / relative)
    with database.write() as session:
        result_id = results.written(session, last.run_id, note, path=str(relative))
        for destination in destinations:
            outbox.add_once(session, result_id=result_id, run_id=last.run_id, destination=destination)
    return Note(last.study_uid, len(rejected), str(relative), destinations)


def _rejected(written: Sequence[ResultObject], objects: Sequence[Withdrawn]) -> list[ResultObject]:
    wanted = {item.sop_instance_uid for item in objects}
    return [item for item in written if item.identity.sop_instance_uid in wanted]
