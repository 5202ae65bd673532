"""Who is a peer."""

import pytest

from dicom_ai.dimse.scp import Peer


@pytest.mark.parametrize(
    ("addresses", "address", "admitted"),
    [
        ((), "192.0.2.7", True),
        (("192.0.2.7",), "192.0.2.7", True),
        (("192.0.2.0/24",), "192.0.2.7", True),
        (("198.51.100.0/24", "192.0.2.7"), "192.0.2.7", True),
        (("192.0.2.8",), "192.0.2.7", False),
        (("2001:db8::/32",), "2001:db8::7", True),
        (("2001:db8::/32",), "192.0.2.7", False),
        (("no-such-host.invalid",), "192.0.2.7", False),
    ],
)
def test_a_peer_is_known_by_its_address(addresses: tuple[str, ...], address: str, admitted: bool):
    assert Peer("PACS", addresses).admits("PACS", address) is admitted


def test_ae_titles_are_compared_exactly():
    assert not Peer("PACS").admits("pacs", "192.0.2.7")
    assert not Peer("PACS").admits("PACS2", "192.0.2.7")
