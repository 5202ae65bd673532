"""Completeness by what others say: IAN and MPPS over the wire, and the count of a real archive."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom.sop_class import InstanceAvailabilityNotification, ModalityPerformedProcedureStep

from dicom_ai.domain.destination import Destination
from dicom_ai.pipeline import evidence as looking
from dicom_ai.storage import evidence
from dicom_ai.storage.evidence import LOOK_S
from tests import builders
from tests.acceptance.archives import DCMTK_AE_TITLE, ORTHANC_AE_TITLE, Orthanc, dcmqrscp, orthanc
from tests.integration.listening import associated, listening, mr_files, store
from tests.peers import free_port, need_program
from tests.unit.pipeline.test_evidence import SERIES, STUDY, Desk, images

LONG_AGO = {"AcquisitionDate": "20270101", "AcquisitionTime": "080000", "TimezoneOffsetFromUTC": "+0000"}
"""Some days before the clock of the tests, which stands at 2027-01-15."""


# IAN and MPPS


def item(**attributes: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def ian(study: str, series: str, instances: list[str]) -> Dataset:
    references = [
        item(ReferencedSOPInstanceUID=uid, InstanceAvailability="ONLINE", RetrieveAETitle="PACS") for uid in instances
    ]
    return item(
        StudyInstanceUID=study,
        ReferencedSeriesSequence=[item(SeriesInstanceUID=series, ReferencedSOPSequence=references)],
    )


def step(series: str, instances: list[str]) -> Dataset:
    references = [item(ReferencedSOPInstanceUID=uid) for uid in instances]
    return item(
        PerformedProcedureStepStatus="COMPLETED",
        PerformedSeriesSequence=[item(SeriesInstanceUID=series, ReferencedImageSequence=references)],
    )


def test_an_ian_and_a_completed_step_are_noted(tmp_path: Path) -> None:
    files = mr_files(tmp_path / "in", 2)
    with listening(tmp_path / "node") as running:
        store(running.port, *files)
        rows = running.instances()
        study, series, uids = rows[0].study_uid, rows[0].series_uid, [row.sop_instance_uid for row in rows]
        begun = item(
            PerformedProcedureStepStatus="IN PROGRESS", ScheduledStepAttributesSequence=[item(StudyInstanceUID=study)]
        )
        services = (InstanceAvailabilityNotification, ModalityPerformedProcedureStep)
        with associated(running.port, sop_classes=services) as association:
            said = [
                association.send_n_create(ian(study, series, uids), services[0], "1.2.3.1")[0].Status,
                association.send_n_create(begun, services[1], "1.2.3.2")[0].Status,
                association.send_n_set(step(series, uids), services[1], "1.2.3.2")[0].Status,
                association.send_n_create(item(StudyID="1"), services[0], "1.2.3.3")[0].Status,
            ]
        with running.database.read() as session:
            state = evidence.state_of(session, study, stale_s=180)

    assert said == [0x0000, 0x0000, 0x0000, 0x0106]
    assert state.announced == {series: frozenset(uids)}
    assert state.steps == {"1.2.3.2": "COMPLETED"}


@pytest.mark.parametrize(("ends", "released"), [("release", True), ("abort", False)])
def test_how_an_association_ended_is_kept(tmp_path: Path, ends: str, released: bool) -> None:
    (path,) = mr_files(tmp_path / "in", 1)
    with listening(tmp_path / "node") as running:
        with associated(running.port) as association:
            association.send_c_store(path)
            getattr(association, ends)()
        study, series = running.instances()[0].study_uid, running.instances()[0].series_uid
        running.listener.stop(grace_s=5)  # the end is noted in the thread of the association
        with running.database.read() as session:
            (one,) = evidence.state_of(session, study, stale_s=180).series

    assert (one.series_uid, one.one_released_association) == (series, released)


# The count of an archive


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.database.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with orthanc(tmp_path_factory.mktemp("orthanc"), node_port=free_port()) as archive:
        yield archive


def by_c_find(archive: Orthanc) -> Destination:
    who = {"host": "127.0.0.1", "port": archive.port, "called_ae_title": ORTHANC_AE_TITLE}
    return Destination("pacs", "c_store", who)


def by_qido(archive: Orthanc) -> Destination:
    return Destination("pacs", "stow_rs", {"url": f"{archive.url}/dicom-web"})


def two_looks(desk: Desk) -> str:
    desk.look()
    return desk.look(after_s=LOOK_S)


@pytest.mark.parametrize("kind", [by_c_find, by_qido])
def test_as_many_images_as_the_archive_counts_are_a_whole_study(
    desk: Desk, running: Orthanc, tmp_path: Path, kind
) -> None:
    sent = images(**LONG_AGO)
    desk.observer = replace(desk.observer, count=looking.counting(kind(running)))
    running.upload(builders.write(sent, tmp_path / "in"))
    desk.send(sent[:5], ends="aborted")
    before = two_looks(desk)
    desk.send(sent[5:], ends="aborted")
    once = desk.look()

    assert (before, once) == ("", "the archive counts 8 images, and all have come")  # it said 8 long before
    assert desk.said() == "the archive counts 8 images in 1 series, and all have come"


def test_a_series_that_only_the_archive_has_keeps_the_study_open(desk: Desk, running: Orthanc, tmp_path: Path) -> None:
    sent = images(**LONG_AGO)
    desk.observer = replace(desk.observer, count=looking.counting(by_c_find(running)))
    running.upload(builders.write([*sent, *images(3, series=f"{SERIES}.7", **LONG_AGO)], tmp_path / "in"))
    desk.send(sent, ends="aborted")

    assert two_looks(desk).startswith("the archive counts 8")
    assert desk.said() == ""


def test_the_count_of_a_study_that_is_being_made_says_nothing(desk: Desk, running: Orthanc, tmp_path: Path) -> None:
    """The archive has just as many, because it forwards image by image what it gets."""
    made = datetime.fromtimestamp(desk.at).astimezone() - timedelta(minutes=2)
    times = {"AcquisitionDate": made.strftime("%Y%m%d"), "AcquisitionTime": made.strftime("%H%M%S")}
    sent = images(TimezoneOffsetFromUTC=made.strftime("%z"), **times)
    desk.observer = replace(desk.observer, count=looking.counting(by_c_find(running)))
    running.upload(builders.write(sent[:5], tmp_path / "in"))
    desk.send(sent[:5], ends="aborted")

    assert two_looks(desk) == ""


def test_an_archive_that_does_not_count_is_no_evidence(desk: Desk, tmp_path: Path) -> None:
    sent = images(**LONG_AGO)
    with dcmqrscp(tmp_path, node_port=free_port()) as port:
        archive = Destination("pacs", "c_store", {"host": "127.0.0.1", "port": port, "called_ae_title": DCMTK_AE_TITLE})
        desk.observer = replace(desk.observer, count=looking.counting(archive))
        files = builders.write(sent, tmp_path / "in")
        names = ["-aec", DCMTK_AE_TITLE, "127.0.0.1", str(port)]
        subprocess.run([need_program("storescu", package="dcmtk"), *names, *files], check=True, timeout=60)
        desk.send(sent, ends="aborted")

        assert two_looks(desk) == ""


@pytest.fixture(autouse=True)
def forget(request: pytest.FixtureRequest) -> Iterator[None]:
    """Take out of the archive what a test has put there."""
    yield
    if "running" in request.fixturenames:
        archive: Orthanc = request.getfixturevalue("running")
        for found in archive.find(StudyInstanceUID=STUDY):
            archive.delete(found["ID"])
