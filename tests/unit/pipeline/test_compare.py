"""Images that come again under a known UID: duplicates, corrections, other images; and two patients in one study."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from dicom_ai.domain.received import ReceivedInstance, Recorded
from dicom_ai.domain.result import ResultIdentity, ResultKind, ResultObject
from dicom_ai.domain.run import Request, Wanted
from dicom_ai.pipeline import compare
from dicom_ai.pipeline.compare import Comparer
from dicom_ai.storage import holds, outbox, results, retention, runs, schema, studies, versions, withdrawals
from dicom_ai.storage.database import Database
from dicom_ai.storage.files import FileStore
from dicom_ai.storage.holds import Decision, Hold, HoldKind
from dicom_ai.storage.outbox import OutboxState
from dicom_ai.storage.retention import Limits
from tests import builders

STUDY, SERIES = "1.2.826.3", "1.2.826.3.1"


@dataclass
class Desk:
    """Reception and comparing, without their processes."""

    database: Database
    files: FileStore

    def receive(self, *datasets: Dataset) -> list[Recorded]:
        """Keep data sets and note them, as the listener does."""
        return [self._receive(dataset) for dataset in datasets]

    def compare(self) -> None:
        """Compare until nothing waits."""
        while compare.run(Comparer(self.database, self.files.path, 60)):
            pass

    def route(self) -> int | None:
        """Ask for an analysis of every series as it is; return the run."""
        with self.database.write() as session:
            kept = studies.series_of(session, STUDY)
            wanted = [Wanted(one.series_uid, "cord", "m", one.digest, (Request("neck", False),)) for one in kept]
            run_id = runs.plan(session, STUDY, wanted)
            for one in kept:
                studies.mark_routed(session, one, facts=None)
        return run_id

    def result(self, run_id: int, *, state: str) -> int:
        """Note a result of a run whose delivery is in a state; return the delivery."""
        identity = ResultIdentity(
            ResultKind.SR, f"9.{run_id}", f"9.{run_id}.1", 9001, 1, datetime(2026, 1, 1, tzinfo=UTC), slot="sr"
        )
        with self.database.write() as session:
            results.save_identities(session, run_id, {"sr": identity}, shadow=False)
            item = ResultObject(identity, "1.1", STUDY, "", Path("x"))
            result_id = results.written(session, run_id, item, path="sr.dcm")
            outbox.add(session, result_id=result_id, run_id=run_id, destination="pacs")
            turn = outbox.claim(session, "s", known=("pacs",), lease_s=60)
            assert turn is not None
            delivery = turn.deliveries[-1].id
            if state != "waiting":
                outbox.begin_attempt(session, turn)
            if state == "sent":
                outbox.sent(session, delivery)
            outbox.end(session, turn)
        return delivery

    def held(self) -> list[Hold]:
        with self.database.read() as session:
            return list(holds.open_now(session))

    def decide(self, decision: Decision) -> None:
        (hold,) = self.held()
        with self.database.write() as session:
            holds.decide(session, hold.id, decision, who="anna", why="asked the ward")

    def counting(self, study_uid: str = STUDY) -> int:
        """How many images of a study count."""
        with self.database.read() as session:
            return sum(len(one.paths) for one in studies.series_of(session, study_uid))

    def is_open(self) -> bool:
        with self.database.read() as session:
            return studies.is_open(session, STUDY)

    def states(self) -> dict[OutboxState, int]:
        with self.database.read() as session:
            return dict(outbox.counts(session))

    def _receive(self, dataset: Dataset) -> Recorded:
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        digest = sha256(buffer.getvalue()).hexdigest()
        path = f"received/{digest}.dcm"
        self.files.save(buffer.getvalue(), path)
        image = ReceivedInstance(
            study_uid=dataset.StudyInstanceUID,
            series_uid=dataset.SeriesInstanceUID,
            sop_instance_uid=dataset.SOPInstanceUID,
            sop_class_uid=dataset.SOPClassUID,
            transfer_syntax_uid=dataset.file_meta.TransferSyntaxUID,
            sha256=digest,
            size_bytes=1,
            path=path,
            received_at=self.database.clock(),
            patient_id=dataset.PatientID,
            birth_date=dataset.PatientBirthDate,
            modality="MR",
        )
        with self.database.write() as session:
            return studies.record_instance(session, image)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    database = Database(f"sqlite:///{tmp_path / 'node.db'}")
    schema.upgrade(database)
    yield Desk(database, FileStore(tmp_path / "data"))
    database.close()


def images(number: int = 3) -> list[Dataset]:
    return builders.mr_series(builders.ramp((number, 16, 16)), study_uid=STUDY, series_uid=SERIES, PatientID="OLD")


def changed(datasets: Sequence[Dataset], **attributes: object) -> list[Dataset]:
    copies = copy.deepcopy(list(datasets))
    for dataset in copies:
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
    return copies


def compressed(dataset: Dataset) -> Dataset:
    dataset = copy.deepcopy(dataset)
    dataset.compress(RLELossless, generate_instance_uid=False)
    return dataset


def deflated(dataset: Dataset) -> Dataset:
    dataset = copy.deepcopy(dataset)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return dataset


def with_routing_tags(dataset: Dataset) -> Dataset:
    (dataset,) = changed([dataset], StationAETitle="ROUTER", RetrieveAETitle="PACS2", PatientName="PHANTOM^SYNTHETIC^^")
    dataset.add_new(0x00090010, "LO", "ROUTER")
    dataset.add_new(0x00091001, "LO", "by night")
    return dataset


@pytest.mark.parametrize("sent_again", [compressed, deflated, with_routing_tags])
def test_the_same_image_in_another_coat_is_a_duplicate(desk: Desk, sent_again) -> None:
    first = images()
    desk.receive(*first)
    desk.route()
    outcomes = desk.receive(*(sent_again(dataset) for dataset in first))
    desk.compare()

    assert outcomes == [Recorded.AGAIN] * 3
    assert desk.held() == []
    assert not desk.is_open()
    assert desk.counting() == 3


def test_nothing_is_routed_or_sent_before_an_image_is_compared(desk: Desk) -> None:
    first = images()
    desk.receive(*first)
    run_id = desk.route() or 0
    desk.result(run_id, state="waiting")
    desk.receive(*changed(first[:1], PatientID="NEW"))

    with desk.database.write() as session:
        assert studies.is_open(session, STUDY)
        assert outbox.claim(session, "s", known=("pacs",), lease_s=60) is None


def test_a_correction_holds_unsent_results_and_is_reported_again(desk: Desk) -> None:
    first = images()
    desk.receive(*first)
    before = desk.route() or 0
    desk.result(before, state="waiting")
    desk.receive(*changed(first, PatientID="NEW", PatientBirthDate="19700102"))
    desk.compare()

    assert desk.states() == {OutboxState.CANCELLED: 1}
    assert desk.is_open()
    assert desk.route() == before  # it was still collecting: the same run, of other images
    (notice,) = desk.held()
    assert (notice.kind, notice.blocks) == (HoldKind.CORRECTION, False)
    assert notice.detail["PatientID"] == ["OLD", "NEW"]
    assert notice.reason == (
        "PatientID, PatientBirthDate of the images changed: it is reported again under the newest identity"
    )
    with desk.database.read() as session:
        assert versions.newest_path(session, STUDY) is not None


@pytest.mark.parametrize(("state", "there"), [("sent", "yes"), ("unknown", "maybe")])
def test_what_left_under_the_old_identity_is_listed_for_withdrawal(desk: Desk, state: str, there: str) -> None:
    first = images()
    desk.receive(*first)
    desk.result(desk.route() or 0, state=state)
    desk.receive(*changed(first, PatientID="NEW"))
    desk.compare()

    with desk.database.read() as session:
        (listed,) = withdrawals.listed(session)
        assert results.predecessors(session, STUDY) == {}
    assert (listed.destination, listed.there, listed.why) == ("pacs", there, "PatientID of the images changed")
    assert desk.held()[0].reason == (
        "PatientID of the images changed: it is reported again under the newest identity; "
        "1 objects that were sent are to be withdrawn: dicom-ai results list"
    )
    assert OutboxState.UNKNOWN not in desk.states()


def test_other_pixels_under_a_known_uid_hold_the_study(desk: Desk) -> None:
    first = images()
    desk.receive(*first)
    desk.route()
    desk.receive(*changed(first[:1], PixelData=bytes(reversed(first[0].PixelData))))
    desk.compare()

    (hold,) = desk.held()
    assert (hold.kind, hold.blocks, hold.detail["differs"]) == (HoldKind.CONFLICT, True, ["pixels"])
    assert desk.counting() == 3
    assert not desk.is_open()


def test_another_place_in_the_body_is_no_correction_of_the_patient(desk: Desk) -> None:
    first = images()
    desk.receive(*first)
    desk.receive(*changed(first[:1], ImagePositionPatient=["0", "0", "0"], PatientID="NEW"))
    desk.compare()

    (hold,) = desk.held()
    assert (hold.kind, hold.detail["differs"]) == (HoldKind.CONFLICT, ["geometry"])
    assert hold.reason == "images came again with other pixels, or another place in the body, under the same UID"


@pytest.mark.parametrize(("decision", "opens"), [(Decision.FIRST, False), (Decision.NEWEST, True)])
def test_a_person_says_which_pixels_count(desk: Desk, decision: Decision, opens: bool) -> None:
    first = images()
    desk.receive(*first)
    desk.route()
    with desk.database.read() as session:
        before = studies.series_of(session, STUDY)[0].digest
    desk.receive(*changed(first[:1], PixelData=bytes(reversed(first[0].PixelData))))
    desk.compare()
    desk.decide(decision)

    assert desk.held() == []
    assert desk.is_open() == opens
    with desk.database.read() as session:
        assert (studies.series_of(session, STUDY)[0].digest != before) == opens
    assert desk.counting() == 3


def test_a_correction_that_is_taken_back_is_for_a_person(desk: Desk) -> None:
    first = images()
    desk.receive(*first)
    desk.receive(*changed(first, PatientID="NEW"))
    desk.compare()
    desk.decide(Decision.SEEN)
    desk.receive(*first)  # the scanner sends what it has
    desk.compare()

    (hold,) = desk.held()
    assert (hold.kind, hold.reason) == (HoldKind.CONFLICT, "images came again as they were before a correction")


def test_the_version_that_no_longer_counts_goes_like_an_unwanted_image(desk: Desk) -> None:
    first = images()
    desk.receive(*first)
    desk.receive(*changed(first, PatientID="NEW"))
    desk.compare()

    with desk.database.write() as session:
        assert retention.begin(session, STUDY, Limits(unwanted_s=1e-9, analysed_s=0, results_s=0)) == 3
    assert desk.counting() == 3


def test_two_patients_in_one_study_are_held_and_never_merged(desk: Desk) -> None:
    desk.receive(*images())
    others = builders.mr_series(study_uid=STUDY, PatientID="OTHER")
    desk.receive(*others)

    (hold,) = desk.held()
    assert (hold.kind, hold.blocks) == (HoldKind.PATIENTS, True)
    assert hold.reason == "images of two patients came under one study UID: they are not reported together"
    with desk.database.read() as session:
        assert holds.report_is_held(session, STUDY)


@pytest.mark.parametrize(("decision", "left"), [(Decision.FIRST, 3), (Decision.NEWEST, 5)])
def test_a_person_says_which_patient_the_study_is_about(desk: Desk, decision: Decision, left: int) -> None:
    desk.receive(*images(3))
    desk.receive(*builders.mr_series(study_uid=STUDY, PatientID="OTHER"))
    desk.decide(decision)

    assert desk.held() == []
    assert desk.counting() == left


def test_an_image_that_says_less_of_the_same_patient_is_of_no_other(desk: Desk) -> None:
    desk.receive(*images())
    desk.receive(*builders.mr_series(study_uid=STUDY, PatientID="OLD", PatientBirthDate=""))

    assert desk.held() == []


def test_a_second_patient_who_was_the_first_corrected_ends_the_hold(desk: Desk) -> None:
    """A slice under the new name came before the corrected versions of those that were there."""
    first = images()
    desk.receive(*first)
    desk.receive(*builders.mr_series(study_uid=STUDY, PatientID="NEW"))
    assert [hold.kind for hold in desk.held()] == [HoldKind.PATIENTS]
    desk.receive(*changed(first[:1], PatientID="NEW"))
    desk.compare()

    assert [hold.kind for hold in desk.held()] == [HoldKind.CORRECTION]
    with desk.database.read() as session:
        (ended,) = [hold for hold in holds.of_study(session, STUDY) if hold.kind is HoldKind.PATIENTS]
    assert ended.why == "its images are of one patient again"


def test_an_image_that_cannot_be_read_beside_the_first_holds_the_study(desk: Desk) -> None:
    first = images()
    desk.receive(*first)
    desk.receive(*changed(first[:1], PatientID="NEW"))
    with desk.database.read() as session:
        (pair,) = versions.pairs(session, STUDY, most=1)
    desk.files.withdraw(pair.path)
    desk.files.save(b"no image", pair.path)
    desk.compare()

    (hold,) = desk.held()
    assert (hold.kind, hold.blocks, desk.counting()) == (HoldKind.CONFLICT, True, 3)
    assert hold.reason == "images came again under the same UID and cannot be compared"


@pytest.mark.parametrize(("decided", "told"), [("1.2.826.4", STUDY), (STUDY, "1.2.826.4")], ids=["second", "first"])
def test_a_conflict_of_two_studies_is_decided_once_for_both(desk: Desk, decided: str, told: str) -> None:
    first, other = images(), "1.2.826.4"
    desk.receive(*first)
    desk.result(desk.route() or 0, state="sent")
    desk.receive(*changed(first[:1], StudyInstanceUID=other, PixelData=bytes(reversed(first[0].PixelData))))
    desk.compare()
    held = {hold.study_uid: hold for hold in desk.held()}
    with desk.database.write() as session:
        holds.decide(session, held[decided].id, Decision.NEWEST, who="anna", why="asked the ward")

    assert (sorted(held), desk.held()) == ([STUDY, other], [])
    assert (desk.counting(), desk.counting(other)) == (2, 1)
    with desk.database.read() as session:
        assert [hold.why for hold in holds.of_study(session, told)] == [f"decided with hold {held[decided].id}"]
        assert [item.why for item in withdrawals.listed(session)] == ["other images of the study count now"]


@pytest.mark.parametrize("decided", [STUDY, "1.2.826.4", "1.2.826.5"], ids=["first", "second", "third"])
def test_of_three_studies_with_one_image_the_newest_counts_wherever_it_is_decided(desk: Desk, decided: str) -> None:
    first = images()
    others = [
        changed(first[:1], StudyInstanceUID=f"1.2.826.{end}", PixelData=bytes(first[0].PixelData[1:]) + bytes([end]))
        for end in (4, 5)
    ]
    desk.receive(*first, *others[0], *others[1])
    desk.compare()
    held = {hold.study_uid: hold for hold in desk.held()}
    with desk.database.write() as session:
        holds.decide(session, held[decided].id, Decision.NEWEST, who="anna", why="asked the ward")

    assert (len(held), desk.held()) == (3, [])
    assert (desk.counting(), desk.counting("1.2.826.4"), desk.counting("1.2.826.5")) == (2, 0, 1)


def test_a_study_with_a_conflict_that_another_decision_leaves_stays_held(desk: Desk) -> None:
    first = images()
    other = [
        item
        for end, item in ((4, first[0]), (5, first[1]))
        for item in changed([item], StudyInstanceUID=f"1.2.826.{end}", PixelData=bytes(reversed(item.PixelData)))
    ]
    desk.receive(*first, *other)
    desk.compare()
    held = {hold.study_uid: hold for hold in desk.held()}
    with desk.database.write() as session:
        holds.decide(session, held["1.2.826.4"].id, Decision.NEWEST, who="anna", why="asked the ward")

    assert {hold.study_uid for hold in desk.held()} == {STUDY, "1.2.826.5"}


def test_an_image_that_moves_to_another_study_leaves_the_first(desk: Desk) -> None:
    first = images()
    desk.receive(*first)
    desk.result(desk.route() or 0, state="sent")
    desk.receive(*changed(first, StudyInstanceUID="1.2.826.4"))
    desk.compare()

    assert (desk.counting(), desk.counting("1.2.826.4")) == (0, 3)
    assert {hold.study_uid for hold in desk.held()} == {STUDY, "1.2.826.4"}
    with desk.database.read() as session:
        assert [item.study_uid for item in withdrawals.listed(session)] == [STUDY]
