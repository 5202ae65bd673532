"""The books: what was acknowledged, against what the node keeps; what each patient should get, against what came."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from dicom_ai.app import App
from dicom_ai.storage import withdrawals
from dicom_ai.storage.tables import InstanceRow, ResultRow
from tests.integration.listening import as_sent

KINDS = ("SEG", "SR")
ON_THE_WAY_S = 5.0
"""What was being sent when a patient was corrected may still arrive for so long."""


@dataclass(frozen=True)
class Patient:
    """Who a study is about, as results must say."""

    id: str
    name: str
    birth_date: str


@dataclass(frozen=True)
class Expected:
    """A study of the scenario. versions: how many reports of it may arrive; a later one must name the one before.

    With versions 0 it is to be held: nothing may arrive.
    """

    study_uid: str
    patient: Patient
    versions: int = 1


@dataclass(frozen=True)
class Tally:
    """What counts. All but acknowledged and results must be zero."""

    acknowledged: int
    lost: int
    results: int
    missing: int
    doubled: int
    wrong_patient: int

    @property
    def good(self) -> bool:
        """Whether nothing was lost, missing, doubled or given to the wrong patient, and the scenario was one at all."""
        return self.acknowledged > 0 and not (self.lost or self.missing or self.doubled or self.wrong_patient)


@dataclass
class Ledger:
    """What a scenario sent and may expect.

    statuses: how often each was the answer to an image; None: there was no answer. corrected_at: when every image of
    the corrected patient was acknowledged, by study.
    """

    acknowledged: dict[tuple[str, str], Path] = field(default_factory=dict)
    studies: dict[str, Expected] = field(default_factory=dict)
    paths: set[Path] = field(default_factory=set)
    statuses: Counter[int | None] = field(default_factory=Counter)
    corrected_at: dict[str, float] = field(default_factory=dict)

    def expect(self, expected: Expected) -> None:
        """Expect results of a study, or others than before."""
        self.studies[expected.study_uid] = expected

    def answered(self, path: Path, status: int | None) -> None:
        """Note what an image was answered with."""
        self.statuses[status] += 1
        if status == 0:
            self._acknowledge(path)

    def note_corrected(self, study_uid: str) -> None:
        """Note that every image of the corrected patient is acknowledged: what is not on its way must not leave."""
        self.corrected_at[study_uid] = time.time()

    def _acknowledge(self, path: Path) -> None:
        uid = str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        self.paths.add(path)
        self.acknowledged[uid, hashlib.sha256(as_sent(path)).hexdigest()] = path

    def tally(self, app: App, arrived: Iterable[Path]) -> Tally:
        """Compare the books with the node's store and with the files that the archive has."""
        written = _written(app)
        objects = [(path, dataset) for path in arrived if (dataset := whole(path, written)) is not None]
        late = {
            str(dataset.SOPInstanceUID)
            for path, dataset in objects
            if left_too_late(path, self.corrected_at.get(str(dataset.StudyInstanceUID)))
        }
        withdrawn = _withdrawn(app, self.studies) - late
        return self.compare([dataset for _, dataset in objects], kept=_kept(app), withdrawn=withdrawn)

    def compare(
        self, arrived: list[Dataset], *, kept: Collection[tuple[str, str]], withdrawn: Collection[str] = ()
    ) -> Tally:
        """Compare the books with what came back and with what is kept, as (SOP instance UID, digest).

        withdrawn: results that were sent before a correction of the patient, and that the node lists for withdrawal.
        """
        objects = [dataset for dataset in arrived if str(dataset.SOPInstanceUID) not in withdrawn]
        return Tally(
            acknowledged=len(self.acknowledged),
            lost=len(self.acknowledged.keys() - set(kept)),
            results=len(arrived),
            missing=self._missing(objects),
            doubled=self._doubled(objects),
            wrong_patient=sum(not self._right_patient(dataset) for dataset in objects),
        )

    def _missing(self, objects: list[Dataset]) -> int:
        came = _by_study_and_kind(objects)
        return sum(not came[uid, kind] for uid in self.studies if self._versions(uid) for kind in KINDS)

    def _doubled(self, objects: list[Dataset]) -> int:
        """Count reports beyond those expected, and later ones that do not say what they replace."""
        came = _by_study_and_kind(objects)
        beyond = sum(max(number - self._versions(uid), 0) for (uid, _), number in came.items())
        first = Counter(
            str(dataset.StudyInstanceUID)
            for dataset in objects
            if dataset.Modality == "SR" and not dataset.get("PredecessorDocumentsSequence")
        )
        return beyond + sum(number - 1 for number in first.values())

    def _versions(self, study_uid: str) -> int:
        return self.studies[study_uid].versions if study_uid in self.studies else 0

    def _right_patient(self, dataset: Dataset) -> bool:
        expected = self.studies.get(str(dataset.StudyInstanceUID))
        return expected is not None and expected.patient == Patient(
            str(dataset.PatientID), str(dataset.PatientName), str(dataset.PatientBirthDate)
        )


def _by_study_and_kind(objects: list[Dataset]) -> Counter[tuple[str, str]]:
    return Counter((str(dataset.StudyInstanceUID), str(dataset.Modality)) for dataset in objects)


def _kept(app: App) -> set[tuple[str, str]]:
    """Return UID and digest of every image that has a row and, in its file, the bytes that the row names."""
    with app.database.read() as session:
        rows = session.execute(
            sa.select(InstanceRow.sop_instance_uid, InstanceRow.path).where(
                InstanceRow.standing.in_(("kept", "again", "conflict", "spare"))
            )
        ).all()
    return {(uid, digest) for uid, path in rows if (digest := _digest(app.files.path, path))}


def _written(app: App) -> dict[str, str]:
    """Return the digest of every result that the node has written and keeps, by UID."""
    with app.database.read() as session:
        rows = session.execute(
            sa.select(ResultRow.sop_instance_uid, ResultRow.path).where(ResultRow.path.is_not(None))
        ).all()
    return {uid: digest for uid, path in rows if (digest := _digest(app.files.path, path))}


def left_too_late(path: Path, corrected_at: float | None) -> bool:
    """Whether a result arrived when a correction of its study had long been acknowledged."""
    return corrected_at is not None and path.stat().st_mtime > corrected_at + ON_THE_WAY_S


def whole(path: Path, written: Mapping[str, str]) -> Dataset | None:
    """Return a result that arrived; None for one of which a part is missing, as when the archive was killed."""
    try:
        dataset = dcmread(path, stop_before_pixels=True)
        uid = str(dataset.SOPInstanceUID)
        return dataset if written.get(uid) in (None, hashlib.sha256(as_sent(path)).hexdigest()) else None
    except (InvalidDicomError, EOFError, AttributeError):
        return None


def _withdrawn(app: App, study_uids: Iterable[str]) -> set[str]:
    with app.database.read() as session:
        return {one.sop_instance_uid for uid in study_uids for one in withdrawals.listed(session, uid)}


def _digest(path_of: Callable[[str], Path], relative: str) -> str:
    path = path_of(relative)
    return hashlib.sha256(as_sent(path)).hexdigest() if path.exists() else ""
