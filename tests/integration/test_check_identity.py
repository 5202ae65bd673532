"""Just before sending, real archives are asked whether they know the study as the node does."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicom_ai.domain.destination import Destination
from dicom_ai.pipeline import send
from dicom_ai.storage import deliveries, holds, outbox
from dicom_ai.storage.holds import HELD_AGAIN_S, Decision, Hold
from dicom_ai.storage.outbox import OutboxState
from tests import builders
from tests.acceptance.archives import DCMTK_AE_TITLE, ORTHANC_AE_TITLE, Orthanc, dcmqrscp, orthanc
from tests.integration.test_destinations import archive as storage_only
from tests.peers import free_port, need_program
from tests.unit.pipeline.lab import SERIES, STUDY, Lab
from tests.unit.pipeline.test_report import analysed, reported


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A SEG and an SR of patient SYN001, born 19700101, accession ACC0001, wait for destination pacs."""
    lab = Lab(tmp_path)
    analysed(lab)
    reported(lab)
    yield lab
    lab.database.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with orthanc(tmp_path_factory.mktemp("orthanc"), node_port=free_port()) as archive:
        yield archive


@contextmanager
def knowing(archive: Orthanc, folder: Path, **attributes: object) -> Iterator[None]:
    """Let an archive have an image of the study meanwhile."""
    archive.upload(study(folder, **attributes))
    try:
        yield
    finally:
        for item in archive.find(StudyInstanceUID=STUDY):
            archive.delete(item["ID"])


def study(folder: Path, **attributes: object) -> list[Path]:
    dataset = builders.mr_series(study_uid=STUDY, series_uid=SERIES, **attributes)[0]
    return builders.write(dataset, folder)


def by_c_store(archive: Orthanc, **parameters: str) -> Destination:
    who = {"host": "127.0.0.1", "port": archive.port, "called_ae_title": ORTHANC_AE_TITLE}
    return Destination("pacs", "c_store", {**who, **parameters})


def by_stow(archive: Orthanc) -> Destination:
    return Destination("pacs", "stow_rs", {"url": f"{archive.url}/dicom-web"})


def turn(lab: Lab, destination: Destination) -> int | None:
    """Take a turn and send; return how many objects arrived, or None when nothing was due."""
    sender = lab.sender(destination)
    claimed = send.claim(sender, "sender", 60)
    return None if claimed is None else send.run(sender, claimed)


def held(lab: Lab) -> list[Hold]:
    return list(lab.look(holds.open_now))


@pytest.mark.parametrize("kind", [by_c_store, by_stow])
def test_a_study_the_archive_knows_gets_its_results(lab: Lab, running: Orthanc, tmp_path: Path, kind) -> None:
    with knowing(running, tmp_path / "in"):
        assert turn(lab, kind(running)) == 2

    assert {item.checked for item in lab.look(deliveries.of_study, STUDY)} == {"patient and study agree"}
    assert [item.checked for item in lab.look(outbox.statuses)] == ["asked before every sending"]


@pytest.mark.parametrize("kind", [by_c_store, by_stow])
def test_a_study_the_archive_does_not_know_is_held(lab: Lab, running: Orthanc, kind) -> None:
    assert turn(lab, kind(running)) == 0

    (hold,) = held(lab)
    assert (hold.reason, hold.destination, hold.held) == ("the study is unknown there", "pacs", 2)
    assert turn(lab, kind(running)) is None
    assert running.find(StudyInstanceUID=STUDY) == []
    assert lab.look(outbox.counts) == {OutboxState.WAITING: 2}


@pytest.mark.parametrize("kind", [by_c_store, by_stow])
@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"PatientID": "OTHER"}, "the study is there with another PatientID"),
        ({"PatientBirthDate": "19800101"}, "the study is there with another PatientBirthDate"),
        ({"AccessionNumber": "A2", "PatientID": "OTHER"}, "the study is there with another PatientID, AccessionNumber"),
    ],
)
def test_a_study_the_archive_knows_otherwise_is_held(
    lab: Lab, running: Orthanc, tmp_path: Path, kind, attributes: dict[str, str], reason: str
) -> None:
    with knowing(running, tmp_path / "in", **attributes):
        assert turn(lab, kind(running)) == 0

    (hold,) = held(lab)
    assert hold.reason == reason
    assert hold.detail["here"]["PatientID"] == "SYN001"


def test_a_study_that_the_archive_has_of_two_patients_is_held(lab: Lab, running: Orthanc, tmp_path: Path) -> None:
    """Orthanc files by PatientID: after a correction it has the study of the old and of the new patient."""
    with knowing(running, tmp_path / "old", PatientID="OTHER"), knowing(running, tmp_path / "new"):
        assert turn(lab, by_c_store(running)) == 0

    assert [hold.reason for hold in held(lab)] == ["the study is there 2 times, also with another PatientID"]


def test_what_one_side_does_not_say_is_no_difference(lab: Lab, running: Orthanc, tmp_path: Path) -> None:
    with knowing(running, tmp_path / "in", PatientBirthDate="", AccessionNumber=""):
        assert turn(lab, by_c_store(running)) == 2


@pytest.mark.parametrize("setting", ["if_known", "off"])
def test_a_destination_need_not_know_the_study_where_its_setting_says_so(
    lab: Lab, running: Orthanc, setting: str
) -> None:
    assert turn(lab, by_c_store(running, check_identity=setting)) == 2
    for item in running.find(StudyInstanceUID=STUDY):
        running.delete(item["ID"])


def test_a_wrong_word_in_the_setting_waits_for_an_administrator(lab: Lab, running: Orthanc) -> None:
    assert turn(lab, by_c_store(running, check_identity="maybe")) == 0
    assert "check_identity is one of required, if_known, off" in lab.look(outbox.statuses)[0].last_error


def test_a_held_result_goes_when_the_archive_has_filed_the_study(lab: Lab, running: Orthanc, tmp_path: Path) -> None:
    sender = lab.sender(by_c_store(running))
    assert turn(lab, by_c_store(running)) == 0
    assert not send.ask_again(sender)
    with knowing(running, tmp_path / "in"):
        lab.advance(HELD_AGAIN_S)
        assert send.ask_again(sender)
        assert not send.ask_again(sender)
        assert turn(lab, by_c_store(running)) == 2

    assert held(lab) == []
    assert [hold.why for hold in lab.look(holds.of_study, STUDY)] == [
        "the destination knows the study as the node does"
    ]


def test_what_a_person_released_goes_although_the_study_is_unknown_there(lab: Lab, running: Orthanc) -> None:
    turn(lab, by_c_store(running))
    (hold,) = held(lab)
    with lab.database.write() as session:
        holds.decide(session, hold.id, Decision.RELEASE, who="anna", why="a new archive")

    assert turn(lab, by_c_store(running)) == 2
    for item in running.find(StudyInstanceUID=STUDY):
        running.delete(item["ID"])


def test_dcmqrscp_is_asked_too(lab: Lab, tmp_path: Path) -> None:
    files = study(tmp_path / "in")
    with dcmqrscp(tmp_path / "archive", node_port=free_port()) as port:
        who = {"host": "127.0.0.1", "port": port, "called_ae_title": DCMTK_AE_TITLE}
        pacs = Destination("pacs", "c_store", who)
        first = turn(lab, pacs)
        names = ["-aet", "DICOM_AI", "-aec", DCMTK_AE_TITLE, "127.0.0.1", str(port)]
        subprocess.run([need_program("storescu", package="dcmtk"), *names, *files], check=True, timeout=60)
        lab.advance(HELD_AGAIN_S)
        send.ask_again(lab.sender(pacs))

        assert (first, turn(lab, pacs)) == (0, 2)


def test_an_archive_that_cannot_be_asked_is_said_to_be_unchecked(lab: Lab) -> None:
    """It takes no SR either: what is looked at here is what was said of the check."""
    with storage_only(lambda event: 0x0000) as port:
        who = {"host": "127.0.0.1", "port": port, "called_ae_title": "ARCHIVE"}
        turn(lab, Destination("pacs", "c_store", who))

    (status,) = lab.look(outbox.statuses)
    assert status.checked.startswith("unchecked: ARCHIVE")
    assert held(lab) == []


def test_an_archive_that_is_away_delays_and_holds_nothing(lab: Lab) -> None:
    who = {"host": "127.0.0.1", "port": free_port(), "called_ae_title": "ARCHIVE"}

    assert turn(lab, Destination("pacs", "c_store", who)) == 0
    assert held(lab) == []
    assert lab.look(outbox.counts) == {OutboxState.WAITING: 2}


def test_a_folder_is_unchecked(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    assert turn(lab, Destination("pacs", "folder", {"folder": str(tmp_path / "out")})) == 2
    assert [item.checked for item in lab.look(outbox.statuses)] == ["unchecked: a folder cannot be asked"]
