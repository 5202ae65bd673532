"""What a C-STORE status means for a result, and what a peer that does not answer as it should is said to do."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import MRImageStorage
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]
from structlog.testing import capture_logs

from dicom_ai.dimse.scu import Outgoing, RemoteAe, c_echo, c_store, judge, request_commitment
from dicom_ai.errors import DeliveryUnknown, PeerUnavailable, PermanentRefusal, SopClassRefused
from tests.answering import abort, answering
from tests.integration.listening import mr_files
from tests.peers import free_port


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB006, 0xB007])
def test_success_and_warnings_mean_stored(status: int):
    assert judge(status, called="PACS") is None


@pytest.mark.parametrize("status", [0xA700, 0xA701, 0x0110, 0x0213])
def test_out_of_resources_is_tried_later(status: int):
    assert isinstance(judge(status, called="PACS"), PeerUnavailable)


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0xC123, 0x0122, 0x0124])
def test_a_refusal_stops_and_names_the_status(status: int):
    error = judge(status, called="PACS")

    assert isinstance(error, PermanentRefusal)
    assert f"0x{status:04X}" in str(error)


@pytest.mark.parametrize(
    ("status", "says"), [(0xA700, "PACS: not now (0xA700)"), (0xC123, "PACS: refused with 0xC123")]
)
def test_an_answer_is_told_with_who_gave_it(status: int, says: str):
    assert str(judge(status, called="PACS")) == says


def test_a_duplicate_counts_as_delivered_only_where_it_may_be_ours():
    assert judge(0x0111, called="PACS", sent_before=True) is None
    assert isinstance(judge(0x0111, called="PACS"), PermanentRefusal)


def test_a_kind_of_object_that_is_not_supported_is_told_apart():
    """Another kind may say the same (Comprehensive SR for Comprehensive 3D SR)."""
    assert isinstance(judge(0x0122, called="PACS"), SopClassRefused)
    assert not isinstance(judge(0x0124, called="PACS"), SopClassRefused)


def commit(peer: RemoteAe) -> None:
    request_commitment(peer, [(MRImageStorage, "1.2.3")], transaction_uid="1.2.4")


@pytest.mark.parametrize(
    ("event", "answer", "call", "kind", "said"),
    [
        (evt.EVT_C_ECHO, lambda event: 0x0211, c_echo, PermanentRefusal, "C-ECHO was answered with 0x0211"),
        (evt.EVT_C_ECHO, abort, c_echo, PeerUnavailable, "no answer to C-ECHO"),
        (evt.EVT_N_ACTION, abort, commit, PeerUnavailable, "no answer to the request for storage commitment"),
    ],
)
def test_a_peer_that_answers_otherwise_or_not_at_all_says_who_must_act(
    event: evt.EventType, answer: Callable[[evt.Event], Any], call: Callable, kind: type, said: str
) -> None:
    services = [Verification, StorageCommitmentPushModel]
    with answering(services, (event, answer)) as peer, pytest.raises(kind, match=f"^ARCHIVE: {said}$"):
        call(peer)


def sent(peer: RemoteAe, *paths: Path) -> list[tuple[type, str]]:
    """Send files; return what became of each that did not arrive."""
    outcomes = c_store(Sending(Outgoing(path) for path in paths), peer)
    return [(type(one.error), str(one.error)) for one in outcomes if one.error]


def test_nobody_there_and_nothing_accepted_are_told_apart(tmp_path: Path) -> None:
    [path] = mr_files(tmp_path, 1)
    nobody = RemoteAe("127.0.0.1", free_port(), "ARCHIVE", "DICOM_AI")
    accepts_none = "accepts none of the SOP classes and transfer syntaxes offered"

    assert sent(nobody, path) == [(PeerUnavailable, f"ARCHIVE at 127.0.0.1:{nobody.port}: no association")]
    with answering([Verification]) as peer:
        assert sent(peer, path) == [(SopClassRefused, f"ARCHIVE at 127.0.0.1:{peer.port}: {accepts_none}")]


def test_an_answer_that_is_lost_leaves_its_object_unknown_and_the_rest_waits(tmp_path: Path) -> None:
    with answering([MRImageStorage], (evt.EVT_C_STORE, abort)) as peer:
        assert sent(peer, *mr_files(tmp_path, 2)) == [
            (DeliveryUnknown, "ARCHIVE: the answer was lost"),
            (PeerUnavailable, "ARCHIVE: the association ended early"),
        ]


class Sending(list[Outgoing]):
    """Objects of which the next is begun only when an association that is about to end has ended."""

    ends = False

    def __iter__(self) -> Iterator[Outgoing]:
        for number, item in enumerate(super().__iter__()):
            while self.ends and number and _calling():
                threading.Event().wait(0.005)
            yield item


def _calling() -> bool:
    return any(
        isinstance(one, Association) and one.is_requestor and one.is_established for one in threading.enumerate()
    )


def test_a_peer_that_ends_the_association_between_two_objects_has_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(event: evt.Event) -> None:
        if isinstance(event.pdu, P_DATA_TF):
            threading.Thread(target=event.assoc.abort).start()

    monkeypatch.setattr(Sending, "ends", True)
    with (
        capture_logs() as logs,
        answering([MRImageStorage], (evt.EVT_C_STORE, lambda event: 0xB000), (evt.EVT_PDU_SENT, end)) as peer,
    ):
        failed = sent(peer, *mr_files(tmp_path, 2))

    assert failed == [(PeerUnavailable, "ARCHIVE: the association ended early")]
    (line,) = logs
    assert (line["event"], line["status"], line["stored"]) == ("C-STORE answered", "0xB000", True)


@pytest.mark.parametrize("content", [bytes(128) + b"DICM", b"no DICOM", b""], ids=["no-group-2", "other", "empty"])
def test_a_file_without_group_2_is_not_sent(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "torn.dcm").write_bytes(content)

    with pytest.raises(ValueError, match=r"^torn\.dcm is no complete DICOM file$"):
        c_store([Outgoing(tmp_path / "torn.dcm")], RemoteAe("127.0.0.1", 1, "ARCHIVE", "DICOM_AI"))
