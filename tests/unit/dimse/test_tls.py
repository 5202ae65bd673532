"""TLS in and out begins with 1.2, and a file that cannot be used is named."""

import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_ai.dimse.tls import _why, client_context, server_context
from dicom_ai.errors import ConfigError
from tests.integration.certificates import Certificates, make_certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certificates]:
    yield make_certificates(tmp_path_factory.mktemp("tls"))


def test_both_ways_begin_with_tls_1_2(certificates: Certificates) -> None:
    inward = server_context(certificates.node, certificates.node_key)
    outward = client_context(authorities=certificates.authority)

    assert {inward.minimum_version, outward.minimum_version} == {ssl.TLSVersion.TLSv1_2}
    assert client_context().minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_peer_must_show_a_certificate_only_where_authorities_are_set(certificates: Certificates) -> None:
    anybody = server_context(certificates.node, certificates.node_key)
    known = server_context(certificates.node, certificates.node_key, authorities=certificates.authority)

    assert (anybody.verify_mode, known.verify_mode) == (ssl.CERT_NONE, ssl.CERT_REQUIRED)


def test_the_certificate_and_the_name_of_a_destination_are_checked(certificates: Certificates) -> None:
    context = client_context(authorities=certificates.authority)

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_file_that_cannot_be_used_is_named(certificates: Certificates, tmp_path: Path) -> None:
    torn = tmp_path / "torn.pem"
    torn.write_text("no certificate")
    said = re.escape(f"TLS files cannot be used ({torn}, {certificates.node_key}): ")

    with pytest.raises(ConfigError, match=f"^{said}"):
        server_context(torn, certificates.node_key)


def test_a_handshake_that_failed_without_a_reason_is_said_to_be_no_tls() -> None:
    """OpenSSL names a reason for whatever a peer sends; Python does not always pass one on."""
    assert _why(ssl.SSLError(1, "A failure in the SSL library occurred")) == "not TLS"
