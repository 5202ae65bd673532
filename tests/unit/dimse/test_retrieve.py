"""What an archive that does not give an object is said to do."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pynetdicom import evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from dicom_ai.dimse.retrieve import c_get_report, c_move
from dicom_ai.dimse.scu import RemoteAe
from dicom_ai.errors import PeerUnavailable, PermanentRefusal, SopClassRefused
from tests.answering import answering

UIDS = ("1.2", "1.2.1", "1.2.1.1")


def get(peer: RemoteAe) -> None:
    c_get_report(peer, UIDS)


def move(peer: RemoteAe) -> None:
    c_move(peer, UIDS, to="DICOM_AI")


def nothing(event: evt.Event) -> Iterator[Any]:
    yield 0  # sub-operations


def abort(event: evt.Event) -> Iterator[Any]:
    event.assoc.abort()
    yield 0


@pytest.mark.parametrize(
    ("offered", "answer", "call", "kind", "said"),
    [
        ([], nothing, get, SopClassRefused, "ARCHIVE: offers no C-GET"),
        ([], nothing, move, SopClassRefused, "ARCHIVE: offers no C-MOVE"),
        ([StudyRootQueryRetrieveInformationModelGet], nothing, get, PermanentRefusal, "ARCHIVE: C-GET brought nothing"),
        ([StudyRootQueryRetrieveInformationModelGet], abort, get, PeerUnavailable, "ARCHIVE: C-GET: no answer"),
        ([StudyRootQueryRetrieveInformationModelMove], abort, move, PeerUnavailable, "ARCHIVE: C-MOVE: no answer"),
    ],
)
def test_an_archive_that_does_not_give_an_object_says_who_must_act(
    offered: list[str], answer: Callable[[evt.Event], Iterator[Any]], call: Callable, kind: type, said: str
) -> None:
    answers = ((evt.EVT_C_GET, answer), (evt.EVT_C_MOVE, answer))
    with answering([Verification, *offered], *answers) as peer, pytest.raises(kind, match=f"^{said}$"):
        call(peer)
