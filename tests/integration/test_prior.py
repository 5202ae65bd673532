"""The earlier report of a patient, from real archives by every means, and from archives that do not answer."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_ai.destinations.earlier_reports import Retrieve, readiness
from dicom_ai.domain.destination import Destination
from dicom_ai.domain.prior import Examination, Person
from dicom_ai.domain.result import ResultKind
from dicom_ai.pipeline import prior, retain
from dicom_ai.pipeline.prior import NONE_THERE, Asker
from dicom_ai.sections import PriorSettings
from dicom_ai.settings import DestinationSettings, Node, Peer
from dicom_ai.storage.retention import Limits
from dicom_ai.storage.tables import StudyRow
from tests import builders
from tests.acceptance.archives import DCMTK_AE_TITLE, ORTHANC_AE_TITLE, Orthanc, dcmqrscp, orthanc
from tests.integration.listening import CALLED, Running, associated, listening, mr_files
from tests.peers import free_port, need_program
from tests.unit.dicom import results

ANNA = Person("P1", "CLINIC", "19700101", "F")
NOW = Examination(ANNA, "1.2.826.9", "20260110")
PEERS = (ORTHANC_AE_TITLE, DCMTK_AE_TITLE, "PACS")
DATES = ("20240105", "20250110", "20260201")
"""Of the examinations of the patient in the archive: the last is later than NOW."""


def report_of(folder: Path, person: Person, date: str, *, run: int = 1, study_uid: str = "") -> Path:
    """Write a report of one level of a patient into a folder, made at an examination on a date."""
    name = f"{person.patient_id}-{person.birth_date}-{person.sex}-{date}-{run}"
    image = results.read(
        builders.mr_series(
            study_uid=study_uid or f"1.2.826.{date}.{abs(hash(person)) % 10**8}",
            PatientID=person.patient_id,
            IssuerOfPatientID=person.issuer or None,
            PatientBirthDate=person.birth_date,
            PatientSex=person.sex,
            PatientName="Same^Name",
            StudyDate=date,
        ),
        folder / "images" / name,
    )
    written = results.report(
        image, results.finding(image, "C3", "C3"), identity=results.identity(ResultKind.SR, run=run)
    )
    path = folder / f"{name}.dcm"
    written.save_as(path, enforce_file_format=True)
    return path


@dataclass(frozen=True)
class Site:
    """An archive that holds reports, and a listener that it knows."""

    archive: Orthanc
    running: Running
    reports: dict[str, Path]

    def asker(self, way: str, *, limit_s: float = 20) -> Asker:
        web = Destination("web", "stow_rs", {"url": f"{self.archive.url}/dicom-web"})
        place = {"host": "127.0.0.1", "port": self.archive.port, "called_ae_title": ORTHANC_AE_TITLE}
        return Asker(
            database=self.running.database,
            path=self.running.files.path,
            archive=web if way == "web" else Destination("pacs", "c_store", place),
            ae_title=CALLED,
            retrieve=Retrieve.AUTO if way == "web" else Retrieve(way),
            limit_s=limit_s,
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("prior")
    port = free_port()
    sections = {
        "node": Node(ae_title=CALLED, address="127.0.0.1", port=port),
        "destinations": (
            DestinationSettings(
                name="pacs",
                kind="c_store",
                parameters={"host": "127.0.0.1", "port": 104, "called_ae_title": ORTHANC_AE_TITLE},
            ),
        ),
        "prior": PriorSettings(archive="pacs"),
    }
    with (
        orthanc(folder / "orthanc", node_port=port, forwards=False) as archive,
        listening(folder / "node", peers=[Peer(ae_title=title) for title in PEERS], **sections) as running,
    ):
        reports = {date: report_of(folder, ANNA, date) for date in DATES}
        others = [
            report_of(folder, Person("P2", "CLINIC", "19700102", "F"), "20250101"),
            report_of(folder, Person("P3", "", "19700101", "F"), "20250101"),
            report_of(folder, Person("P4", "CLINIC", "19700101", "F"), "20250101", study_uid="1.2.826.4"),
            report_of(folder, Person("P4", "CLINIC", "19700101", "F"), "20250101", run=2, study_uid="1.2.826.4"),
        ]
        archive.upload([*reports.values(), *others])
        yield Site(archive, running, reports)


def uid_of(path: Path) -> str:
    return str(dcmread(path).SOPInstanceUID)


@pytest.mark.parametrize("way", ["auto", "c_get", "c_move", "web"])
def test_the_newest_earlier_report_is_found_and_fetched(site: Site, way: str) -> None:
    found = prior.find(site.asker(way), NOW)

    assert (found.reason, found.failed) == ("", False)
    assert found.report is not None
    assert found.report.sop_instance_uid == uid_of(site.reports["20250110"])
    assert found.report.study_date == "20250110"
    assert [item.value for item in found.report.findings[0].quantities if item.key == "csa_mean"] == [67.4]


def test_what_was_asked_for_is_stored_read_and_let_go_and_opens_nothing(site: Site) -> None:
    prior.find(site.asker("c_move"), NOW)

    (row,) = [one for one in site.running.instances() if one.sop_instance_uid == uid_of(site.reports["20250110"])]
    assert row.standing == "deleting"
    retain.run(site.running.database, site.running.files, Limits(3600, 3600, 3600))
    (row,) = [one for one in site.running.instances() if one.id == row.id]
    assert row.standing == "deleted"
    assert not site.running.files.path(row.path).exists()
    with site.running.database.read() as session:
        assert session.get(StudyRow, row.study_uid) is None


@pytest.mark.parametrize("way", ["c_get", "web"])
@pytest.mark.parametrize(
    "person",
    [
        Person("P2", "CLINIC", "19700101", "F"),  # the archive's was born a day later
        Person("P3", "CLINIC", "19700101", "F"),  # the archive's names no issuer
        Person("P1", "CLINIC", "19700101", "M"),
        Person("P1", "OTHER", "19700101", "F"),
        Person("P9", "CLINIC", "19700101", "F"),
    ],
)
def test_another_person_is_no_prior(site: Site, way: str, person: Person) -> None:
    found = prior.find(site.asker(way), Examination(person, "1.2.826.9", "20260110"))

    assert (found.report, found.reason, found.failed) == (None, NONE_THERE, False)


@pytest.mark.parametrize("way", ["c_get", "web"])
def test_neither_the_same_study_nor_a_later_one_is_a_prior(site: Site, way: str) -> None:
    first = dcmread(site.reports["20240105"])
    found = prior.find(site.asker(way), Examination(ANNA, str(first.StudyInstanceUID), "20240105"))

    assert found.reason == NONE_THERE


def test_the_newest_run_of_a_study_counts(site: Site) -> None:
    found = prior.find(
        site.asker("auto"), Examination(Person("P4", "CLINIC", "19700101", "F"), "1.2.826.9", "20260110")
    )

    assert found.report is not None and found.report.run == 2


@pytest.mark.parametrize("person", [Person("", "", "19700101", "F"), Person("P1", "CLINIC", "", "F")])
def test_who_is_not_known_has_no_prior(site: Site, person: Person) -> None:
    found = prior.find(site.asker("auto", limit_s=0.001), Examination(person, "1.2.826.9", "20260110"))

    assert (found.reason, found.failed) == (prior.NOT_KNOWN_WHO, False)


def test_images_that_come_because_the_node_asked_are_refused(site: Site, tmp_path: Path) -> None:
    (image,) = mr_files(tmp_path, 1)
    with associated(site.running.port) as association:
        status = association.send_c_store(image, originator_aet=CALLED, originator_id=1)

    assert status.Status == 0xC000
    assert uid_of(image) not in [row.sop_instance_uid for row in site.running.instances()]


def test_images_that_somebody_else_asked_for_are_received(site: Site, tmp_path: Path) -> None:
    (image,) = mr_files(tmp_path, 1)
    with associated(site.running.port) as association:
        status = association.send_c_store(image, originator_aet="CONSOLE", originator_id=1)
    (row,) = [one for one in site.running.instances() if one.sop_instance_uid == uid_of(image)]

    assert (status.Status, row.standing) == (0x0000, "kept")


@pytest.mark.parametrize("retrieve", [Retrieve.C_GET, Retrieve.C_MOVE])
def test_dcmtks_archive_gives_the_report_too(site: Site, tmp_path: Path, retrieve: Retrieve) -> None:
    with dcmqrscp(tmp_path, node_port=site.running.port) as port:
        names = ["-aet", "DICOM_AI", "-aec", DCMTK_AE_TITLE, "127.0.0.1", str(port)]
        sent = [need_program("dcmsend", package="dcmtk"), *names, *site.reports.values()]
        subprocess.run(sent, check=True, timeout=60, capture_output=True)
        place = {"host": "127.0.0.1", "port": port, "called_ae_title": DCMTK_AE_TITLE}
        archive = Destination("dcmtk", "c_store", place)
        asker = Asker(site.running.database, site.running.files.path, archive, CALLED, retrieve, 20)
        found = prior.find(asker, NOW)

    assert (found.reason, found.report and found.report.study_date) == ("", "20250110")


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ("auto", "for earlier reports it offers C-FIND, C-GET, C-MOVE"),
        ("web", "it answers QIDO-RS: earlier reports will be looked for there"),
    ],
)
def test_doctor_says_beforehand_what_the_archive_offers(site: Site, way: str, says: str) -> None:
    asker = site.asker(way)

    assert readiness(asker.archive, asker.retrieve) == (True, says)


@contextmanager
def silent() -> Iterator[int]:
    """A peer that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []
        stopped = threading.Event()

        def take() -> None:
            server.settimeout(0.05)
            while not stopped.is_set():
                try:
                    taken.append(server.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=take)
        thread.start()
        yield server.getsockname()[1]
        stopped.set()
        thread.join()
        for connection in taken:
            connection.close()


@pytest.mark.parametrize("kind", ["c_store", "stow_rs"])
def test_a_silent_archive_is_not_waited_for(site: Site, kind: str) -> None:
    with silent() as port:
        parameters: dict[str, dict[str, str | int]] = {
            "c_store": {"host": "127.0.0.1", "port": port, "called_ae_title": "SILENT"},
            "stow_rs": {"url": f"http://127.0.0.1:{port}/dicom-web"},
        }
        archive = Destination("silent", kind, parameters[kind])
        asker = Asker(site.running.database, site.running.files.path, archive, CALLED, Retrieve.AUTO, 0.5)
        found = prior.find(asker, NOW)

    assert found.failed
    assert found.report is None
    assert "silent" in found.reason.lower()


def test_an_archive_that_is_not_there_is_said_so(site: Site) -> None:
    place = {"host": "127.0.0.1", "port": free_port(), "called_ae_title": "GONE"}
    archive = Destination("gone", "c_store", place)
    found = prior.find(Asker(site.running.database, site.running.files.path, archive, CALLED, Retrieve.AUTO, 5), NOW)

    assert found.failed
    assert found.reason.startswith("GONE at 127.0.0.1:")


def test_a_folder_cannot_be_asked(site: Site, tmp_path: Path) -> None:
    archive = Destination("folder", "folder", {"folder": str(tmp_path)})
    found = prior.find(Asker(site.running.database, site.running.files.path, archive, CALLED, Retrieve.AUTO, 5), NOW)

    assert (found.failed, found.reason) == (
        True,
        "destination folder: a folder cannot be asked for earlier reports",
    )
