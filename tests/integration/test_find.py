"""C-FIND against real archives, and against peers that will not answer."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import MRImageStorage, StudyRootQueryRetrieveInformationModelFind, Verification

from dicom_ai.dimse.find import Level, Question, ask
from dicom_ai.dimse.scu import RemoteAe
from dicom_ai.errors import PeerUnavailable, PermanentRefusal, SopClassRefused
from tests import builders
from tests.acceptance.archives import DCMTK_AE_TITLE, ORTHANC_AE_TITLE, dcmqrscp, orthanc
from tests.peers import free_port, need_program

STUDY, SERIES = "1.2.826.7", "1.2.826.7.1"
WHO = ("PatientID", "PatientBirthDate", "AccessionNumber", "StudyInstanceUID")


def study(folder: Path) -> list[Path]:
    return builders.write(
        builders.mr_series(study_uid=STUDY, series_uid=SERIES, PatientID="P7", AccessionNumber="A7"), folder
    )


def questions() -> list[Question]:
    who = Question(Level.STUDY, {**dict.fromkeys(WHO, ""), "StudyInstanceUID": STUDY})
    counts = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": "", "NumberOfSeriesRelatedInstances": ""}
    unknown = Question(Level.STUDY, {"PatientID": "", "StudyInstanceUID": "1.2.826.8"})
    return [who, Question(Level.SERIES, counts), unknown]


def assert_right(answers: tuple[list, ...]) -> None:
    (who,), (series,), unknown = answers
    assert who == {
        "PatientID": "P7",
        "PatientBirthDate": "19700101",
        "AccessionNumber": "A7",
        "StudyInstanceUID": STUDY,
    }
    assert series["SeriesInstanceUID"] == SERIES
    assert unknown == []


def test_orthanc_tells_patient_and_counts(tmp_path: Path) -> None:
    with orthanc(tmp_path, node_port=free_port()) as archive:
        archive.upload(study(tmp_path / "in"))
        peer = RemoteAe("127.0.0.1", archive.port, ORTHANC_AE_TITLE, "DICOM_AI")
        answers = ask(peer, questions())

    assert_right(answers)
    assert answers[1][0]["NumberOfSeriesRelatedInstances"] == "5"


def test_dcmqrscp_tells_the_patient_and_no_counts(tmp_path: Path) -> None:
    files = study(tmp_path / "in")
    with dcmqrscp(tmp_path, node_port=free_port()) as port:
        names = ["-aet", "DICOM_AI", "-aec", DCMTK_AE_TITLE, "127.0.0.1", str(port)]
        subprocess.run([need_program("storescu", package="dcmtk"), *names, *files], check=True, timeout=60)
        answers = ask(RemoteAe("127.0.0.1", port, DCMTK_AE_TITLE, "DICOM_AI"), questions())

    assert_right(answers)
    assert answers[1][0]["NumberOfSeriesRelatedInstances"] == ""


@contextmanager
def answering(status: int | None) -> Iterator[RemoteAe]:
    """A peer whose C-FIND ends with a status; None: it offers no C-FIND."""
    ae = AE(ae_title="ARCHIVE")
    ae.add_supported_context(MRImageStorage)
    ae.add_supported_context(Verification)
    if status is not None:
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        yield status or 0, None

    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, find)])
    try:
        yield RemoteAe("127.0.0.1", server.socket.getsockname()[1], "ARCHIVE", "DICOM_AI")
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (None, SopClassRefused, "ARCHIVE: offers no C-FIND"),
        (0xA700, PeerUnavailable, "ARCHIVE: C-FIND not now (0xA700)"),
        (0xC001, PermanentRefusal, "ARCHIVE: C-FIND was answered with 0xC001"),
    ],
)
def test_a_peer_that_will_not_answer_says_who_must_act(status: int | None, kind: type, said: str) -> None:
    with answering(status) as peer, pytest.raises(kind, match=f"^{re.escape(said)}$"):
        ask(peer, questions())


def test_a_peer_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(PeerUnavailable):
        ask(RemoteAe("127.0.0.1", free_port(), "ARCHIVE", "DICOM_AI"), questions())
