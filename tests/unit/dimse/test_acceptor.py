"""What the reader of an association refuses before it is a message."""

import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import P_DATA

from dicom_ai.dimse.acceptor import LARGEST_MESSAGE, SpoolingProvider


def test_a_message_that_would_fill_the_memory_ends_its_association() -> None:
    """Command fragments that never end: nobody but the peer learns of it, by an abort (PS3.8 9.2, event 19)."""
    association = Association(AE(), "acceptor")
    provider = SpoolingProvider(association, lambda *_: pytest.fail("this is no C-STORE"))
    fragment = P_DATA()
    fragment.presentation_data_value_list = [[1, b"\x01" + bytes(LARGEST_MESSAGE)]]

    with pytest.raises(ValueError, match=r"^a message of more than 1048576 bytes that is no C-STORE data set$"):
        provider._take(fragment)
    provider.receive_primitive(fragment)

    assert association.dul.event_queue.get_nowait() == "Evt19"
