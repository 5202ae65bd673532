"""What a peer accepts is found out by asking, or it is said that it cannot be."""

import re
from dataclasses import replace

import pytest
from pydicom.uid import MRImageStorage
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from dicom_ai.dimse.offer import accepted
from dicom_ai.errors import PeerUnavailable
from tests.answering import answering


def test_what_a_peer_accepts_is_told_and_nothing_of_one_that_lets_nobody_in() -> None:
    asked = [MRImageStorage, "1.2.840.10008.5.1.4.1.1.66.4"]
    with answering([Verification, MRImageStorage]) as peer:
        takes = accepted(asked, peer)
        said = re.escape(f"OTHER at 127.0.0.1:{peer.port}: no association")
        with pytest.raises(PeerUnavailable, match=f"^{said}$"):
            accepted(asked, replace(peer, called_ae_title="OTHER"))

    assert takes == {MRImageStorage}
