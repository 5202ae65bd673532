"""The books: what was acknowledged, against what the node keeps; what each patient should get, against what came."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from pydicom import Dataset, dcmread

from dicom_ai.app import App
from dicom_ai.storage import withdrawals
from dicom_ai.storage.tables import InstanceRow
from tests.integration.listening import as_sent

KINDS = ("SEG", "SR")


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
    """What a scenario sent and may expect."""

    acknowledged: dict[tuple[str, str], Path] = field(default_factory=dict)
    studies: dict[str, Expected] = field(default_factory=dict)
    paths: set[Path] = field(default_factory=set)

    def expect(self, expected: Expected) -> None:
        """Expect results of a study, or others than before."""
        self.studies[expected.study_uid] = expected

    def note(self, path: Path) -> None:
        """Note that an image was answered with Success."""
        uid = str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        self.paths.add(path)
        self.acknowledged[uid, hashlib.sha256(as_sent(path)).hexdigest()] = path

    def tally(self, app: App, arrived: Iterable[Dataset]) -> Tally:
        """Compare the books with the node's store and with what the archive has."""
        return self.compare(list(arrived), kept=_kept(app), withdrawn=_withdrawn(app, self.studies))

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


def _withdrawn(app: App, study_uids: Iterable[str]) -> set[str]:
    with app.database.read() as session:
        return {one.sop_instance_uid for uid in study_uids for one in withdrawals.listed(session, uid)}


def _digest(path_of: Callable[[str], Path], relative: str) -> str:
    path = path_of(relative)
    return hashlib.sha256(as_sent(path)).hexdigest() if path.exists() else ""
