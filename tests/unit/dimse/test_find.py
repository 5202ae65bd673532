"""An answer to C-FIND that does not come is no answer."""

from collections.abc import Iterator

import pytest
from pynetdicom import evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from dicom_ai.dimse.find import Level, Question, ask
from dicom_ai.errors import PeerUnavailable
from tests.answering import answering


def abort(event: evt.Event) -> Iterator[tuple[int, None]]:
    event.assoc.abort()
    yield 0x0000, None


def test_an_archive_that_goes_away_while_it_answers_is_asked_again_later() -> None:
    asked = Question(Level.STUDY, {"StudyInstanceUID": "1.2"})
    with (
        answering([StudyRootQueryRetrieveInformationModelFind], (evt.EVT_C_FIND, abort)) as peer,
        pytest.raises(PeerUnavailable, match=r"^ARCHIVE: the answer to C-FIND was lost$"),
    ):
        ask(peer, [asked])
