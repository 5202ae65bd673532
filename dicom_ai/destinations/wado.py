"""One object from a DICOMweb archive by WADO-RS (PS3.18 10.4)."""

import io
import urllib.error
import urllib.request
from email.message import Message

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from dicom_ai.destinations import qido
from dicom_ai.destinations.delivery import number, text
from dicom_ai.domain.destination import Destination
from dicom_ai.errors import PeerUnavailable, PermanentRefusal

LARGEST_BYTES = 64 << 20
ACCEPTED = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def get_instance(destination: Destination, study_uid: str, series_uid: str, sop_instance_uid: str) -> Dataset:
    """Return an object.

    Raises PeerUnavailable where the archive does not answer now, PermanentRefusal where it does not give the object, or
    sends what is none.
    """
    base = text(destination, "url").rstrip("/")
    url = f"{base}/studies/{study_uid}/series/{series_uid}/instances/{sop_instance_uid}"
    headers = qido.headers(destination, accept=ACCEPTED)
    request = urllib.request.Request(url, headers=headers)
    timeout_s = number(destination, "timeout_s", 120)
    try:
        with urllib.request.urlopen(request, timeout=timeout_s, context=qido.tls(destination)) as answer:
            body, kind = answer.read(LARGEST_BYTES), answer.headers
    except urllib.error.HTTPError as error:
        error.close()
        refusal = PermanentRefusal if error.code < 500 else PeerUnavailable
        raise refusal(f"{destination.name}: WADO-RS was answered with HTTP {error.code}") from error
    except (OSError, ValueError) as error:
        raise PeerUnavailable(f"{destination.name}: WADO-RS: {type(error).__name__}") from error
    try:
        return dcmread(io.BytesIO(first_part(body, kind)))
    except InvalidDicomError as error:
        raise PermanentRefusal(f"{destination.name}: WADO-RS sent no DICOM object") from error


def first_part(body: bytes, kind: Message) -> bytes:
    """Return the first part of a multipart body, or the body where it has no parts (RFC 2046 5.1)."""
    boundary = kind.get_param("boundary")
    if kind.get_content_maintype() != "multipart" or not isinstance(boundary, str):
        return body
    separator = b"--" + boundary.encode()
    _, _, rest = body.partition(separator)
    _, _, content = rest.partition(b"\r\n\r\n")
    return content.partition(b"\r\n" + separator)[0]
