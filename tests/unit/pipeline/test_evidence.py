"""Why no more images are expected: what suffices, and what does not."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset
from structlog.testing import capture_logs

from dicom_ai.domain.announcement import COMPLETED, IN_PROGRESS, Announcement
from dicom_ai.domain.destination import Destination
from dicom_ai.domain.received import ReceivedInstance
from dicom_ai.errors import PeerUnavailable
from dicom_ai.pipeline import evidence as looking
from dicom_ai.pipeline.evidence import Observer
from dicom_ai.storage import associations, audit, evidence, schema, studies
from dicom_ai.storage.database import Database
from dicom_ai.storage.evidence import LOOK_S, SETTLE_S
from dicom_ai.storage.files import FileStore
from tests import builders

STUDY, SERIES = "1.2.826.5", "1.2.826.5.1"


@dataclass
class Desk:
    """Reception and looking, with a clock that is turned by hand."""

    folder: Path
    at: float = 1_800_000_000.0
    database_url: str = ""

    def __post_init__(self) -> None:
        url = self.database_url or f"sqlite:///{self.folder / 'node.db'}"
        self.database = Database(url, clock=lambda: self.at)
        schema.upgrade(self.database)
        self.files = FileStore(self.folder / "data")
        self.observer = Observer(self.database, self.files.path, None, 600, 180)

    def send(self, datasets: Sequence[Dataset], *, ends: str = "released", sender: str = "MR1") -> str:
        """Send images over an association of their own, a tenth of a second each."""
        association = uuid.uuid4().hex
        names = {"listener": "L", "calling_ae_title": sender, "called_ae_title": "A", "peer_address": "127.0.0.1"}
        with self.database.write() as session:
            associations.opened(session, association, **names)
        for dataset in datasets:
            self.at += 0.1
            self._receive(dataset, association, sender)
        if ends != "open":
            with self.database.write() as session:
                associations.closed(session, association, released=ends == "released")
        return association

    def look(self, *, after_s: float = SETTLE_S) -> str:
        """Look at the study when it has been quiet for a while; return why its series is complete."""
        self.at += after_s
        while looking.run(self.observer):
            pass
        return self.said(SERIES)

    def said(self, series_uid: str = "") -> str:
        """Why a series, or the study, is complete."""
        with self.database.read() as session:
            return next(item.evidence for item in evidence.shown(session, STUDY) if item.series_uid == series_uid)

    def announce(self, said: Announcement) -> None:
        with self.database.write() as session:
            evidence.announce(session, said)

    def habits(self, sizes: Sequence[int], *, associations_each: int = 1) -> None:
        """Let the sender show how it sends: other studies, some time ago."""
        for size in sizes:
            datasets = images(size, study=f"{STUDY}.{uuid.uuid4().int % 10**9}", series="")
            for number in range(associations_each):
                self.send(datasets[number::associations_each])
        self.at += 90_000  # over a day ago: nobody looks at them any more

    def _receive(self, dataset: Dataset, association: str, sender: str) -> None:
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        digest = sha256(buffer.getvalue()).hexdigest()
        self.files.save(buffer.getvalue(), f"received/{digest}.dcm")
        image = ReceivedInstance(
            study_uid=dataset.StudyInstanceUID,
            series_uid=dataset.SeriesInstanceUID,
            sop_instance_uid=dataset.SOPInstanceUID,
            sop_class_uid=dataset.SOPClassUID,
            transfer_syntax_uid=dataset.file_meta.TransferSyntaxUID,
            sha256=digest,
            size_bytes=1,
            path=f"received/{digest}.dcm",
            received_at=self.at,
            calling_ae_title=sender,
            association_id=association,
        )
        with self.database.write() as session:
            studies.record_instance(session, image)
            associations.delivered(session, association, image.study_uid)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.database.close()


def images(number: int = 8, *, study: str = STUDY, series: str = SERIES, **attributes: object) -> list[Dataset]:
    return builders.mr_series(builders.ramp((number, 8, 8)), study_uid=study, series_uid=series, **attributes)


def uids(datasets: Sequence[Dataset]) -> tuple[str, ...]:
    return tuple(dataset.SOPInstanceUID for dataset in datasets)


def test_a_stack_from_a_sender_with_the_habit_is_complete_when_its_association_is_over(desk: Desk) -> None:
    desk.habits([8, 9, 10, 11, 12])
    desk.send(images())

    assert desk.look() == (
        "8 slices without a gap have come over one association, which is over; so did the sender's last 5 series"
    )
    assert desk.said() == ""  # of the study nothing is known: another series may come


def test_routing_need_not_wait_for_a_series_that_is_complete(desk: Desk) -> None:
    desk.habits([8, 8, 8, 8, 8])
    desk.send(images())
    desk.look()

    with desk.database.read() as session:
        assert STUDY in studies.unrouted(session, quiet_s=30)


@pytest.mark.parametrize(
    ("why", "habit", "associations_each", "sent", "ends"),
    [
        ("a sender nobody knows", [], 1, slice(None), "released"),
        ("a sender that splits its series", [8, 9, 10, 11, 12], 2, slice(None), "released"),
        ("more images than it ever sent together", [4, 5, 6, 7, 7], 1, slice(None), "released"),
        ("a slice is missing", [8, 9, 10, 11, 12], 1, slice(None, None, 3), "released"),
        ("an association that broke", [8, 9, 10, 11, 12], 1, slice(0, 6), "aborted"),
        ("an association that goes on", [8, 9, 10, 11, 12], 1, slice(0, 6), "open"),
    ],
)
def test_a_stack_without_a_gap_does_not_suffice(
    desk: Desk, why: str, habit: list[int], associations_each: int, sent: slice, ends: str
) -> None:
    desk.habits(habit, associations_each=associations_each)
    desk.send(images()[sent], ends=ends)

    assert desk.look() == "", why


def test_one_association_per_image_is_never_judged_by_geometry(desk: Desk) -> None:
    desk.habits([8, 9, 10, 11, 12])
    for image in images()[:6]:
        desk.send([image])

    assert desk.look() == ""


def test_the_senders_own_count_suffices_without_a_habit(desk: Desk) -> None:
    desk.send(images(ImagesInAcquisition=8))

    assert desk.look() == "8 slices without a gap have come, as many as the sender counts, and the association is over"


def test_fewer_images_than_the_sender_counts_do_not_suffice(desk: Desk) -> None:
    desk.send(images(ImagesInAcquisition=8)[:6])

    assert desk.look() == ""


def test_what_an_ian_names_is_complete_when_it_has_come_and_not_before(desk: Desk) -> None:
    sent = images()
    desk.send(sent[:5], ends="aborted")
    desk.announce(Announcement(STUDY, series={SERIES: uids(sent)}))
    before = desk.look()
    desk.send(sent[5:], ends="aborted")

    assert (before, desk.look()) == ("", "all 8 images that IAN or MPPS names have come")
    assert desk.said() == "everything that IAN or MPPS names has come: 1 series"


def test_a_series_that_the_ian_names_and_that_has_not_come_keeps_the_study_open(desk: Desk) -> None:
    sent = images()
    desk.send(sent, ends="aborted")
    desk.announce(Announcement(STUDY, series={SERIES: uids(sent), f"{SERIES}.2": ("1.2.3",)}))

    assert desk.look().startswith("all 8 images")
    assert desk.said() == ""


def test_a_procedure_step_counts_when_it_is_completed(desk: Desk) -> None:
    sent = images()
    desk.send(sent, ends="aborted")
    desk.announce(Announcement(STUDY, step="1.9", state=IN_PROGRESS))
    before = desk.look()
    desk.announce(Announcement("", step="1.9", state=COMPLETED, series={SERIES: uids(sent)}))

    assert (before, desk.look()) == ("", "all 8 images that IAN or MPPS names have come")
    with desk.database.read() as session:
        assert desk.said().startswith("everything that IAN or MPPS names")
        assert STUDY in studies.unrouted(session, quiet_s=30)


def test_a_second_step_in_progress_keeps_the_study_open(desk: Desk) -> None:
    sent = images()
    desk.send(sent, ends="aborted")
    desk.announce(Announcement(STUDY, step="1.8", state=IN_PROGRESS))
    desk.announce(Announcement(STUDY, step="1.9", state=COMPLETED, series={SERIES: uids(sent)}))

    assert desk.look().startswith("all 8 images")
    assert desk.said() == ""


def test_an_image_that_comes_afterwards_ends_the_evidence(desk: Desk) -> None:
    desk.habits([9, 9, 9, 9, 9])
    sent = images(9)
    desk.send(sent[:8])
    before = desk.look()
    desk.send(sent[8:])

    assert before.startswith("8 slices")
    assert desk.said(SERIES) == ""


def test_a_report_waits_for_images_that_are_known_to_be_missing_but_not_for_ever(desk: Desk) -> None:
    sent = images()
    desk.send(sent[:5], ends="aborted")
    desk.announce(Announcement(STUDY, series={SERIES: uids(sent)}))
    with desk.database.write() as session:
        for one in studies.series_of(session, STUDY):
            studies.mark_routed(session, one, facts=None)
    found = []
    for after_s in (601, 3600):
        desk.at += after_s
        with desk.database.read() as session:
            found.append(studies.is_quiet(session, STUDY, quiet_s=600, stale_s=180, limit_s=3600))

    assert found == [False, True]


def test_looks_come_less_and_less_often(desk: Desk) -> None:
    desk.send(images(), ends="open")
    looks = 0
    for _ in range(600):
        desk.at += 1
        looks += looking.run(desk.observer) is not None

    assert 6 <= looks <= 14
    assert looks * LOOK_S < 150


def test_that_the_archive_does_not_count_stands_in_the_log_and_that_it_was_asked_in_the_trail(desk: Desk) -> None:
    answers: list[Mapping[str, int] | PeerUnavailable] = [PeerUnavailable("PACS: no association"), {SERIES: 9}]

    def count(_: str) -> Mapping[str, int]:
        answer = answers.pop(0)
        if isinstance(answer, PeerUnavailable):
            raise answer
        return answer

    desk.send(images(ContentDate="20260110", ContentTime="120000"), ends="aborted")
    desk.observer = replace(desk.observer, count=count, archive=Destination("pacs", "c_store"))
    with capture_logs() as logs:
        desk.look()
    desk.look(after_s=10 * LOOK_S)

    assert [(line["event"], line["reason"]) for line in logs] == [
        ("the archive was not asked for its count", "PACS: no association")
    ]
    with desk.database.read() as session:
        told = [event.detail for event in audit.events(session) if event.action == "queried"]
    assert told == [{"destination": "pacs", "kind": "c_store", "purpose": "number of its images"}]
