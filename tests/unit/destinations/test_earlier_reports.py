"""An archive that says that it sent a report is believed when the report is there."""

from collections.abc import Iterator
from typing import Any

import pytest
from pynetdicom import evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove  # type: ignore[attr-defined]

from dicom_ai.destinations.earlier_reports import ARCHIVES, Means, Retrieve
from dicom_ai.domain.destination import Destination
from dicom_ai.errors import PermanentRefusal
from tests.answering import answering


def to_nobody(event: evt.Event) -> Iterator[Any]:
    yield "127.0.0.1", 104
    yield 0  # sub-operations


def test_a_c_move_that_succeeds_and_brings_nothing_is_a_refusal() -> None:
    means = Means(Retrieve.C_MOVE, "DICOM_AI", lambda uid: None, 5)
    with answering([StudyRootQueryRetrieveInformationModelMove], (evt.EVT_C_MOVE, to_nobody)) as peer:
        place = {"host": peer.host, "port": peer.port, "called_ae_title": peer.called_ae_title}
        archive = ARCHIVES["c_store"](Destination("pacs", "c_store", place), means)
        with pytest.raises(PermanentRefusal, match=r"^ARCHIVE: C-MOVE succeeded, and nothing came to DICOM_AI$"):
            archive.fetch(("1.2", "1.2.1", "1.2.1.1"))
