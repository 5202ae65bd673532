"""What is fuzzed: functions of bytes that must end and raise nothing; each returns what became of them."""

import traceback
from collections.abc import Callable
from types import SimpleNamespace

import pydicom.uid
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA

from dicom_ai.dicom.headers import read_instance
from dicom_ai.dicom.pixels import read_frames
from dicom_ai.dimse.acceptor import SpoolingProvider
from dicom_ai.dimse.contexts import TRANSFER_SYNTAXES
from dicom_ai.dimse.datastream import identify
from dicom_ai.dimse.scp import Caller
from dicom_ai.errors import RejectedInput
from dicom_ai.pipeline import receive
from dicom_ai.storage.files import FileStore
from tests.fuzz.corpus import hostile

CALLER = Caller("id", "FUZZ", "DICOM_AI", "127.0.0.1")
INVALID_PDU = "Evt19"
"""The event that ends an association: PS3.8 9.2."""

LARGEST_SEED = 4096


def data_set(files: FileStore, data: bytes) -> str:
    """Read a data set as receiving, routing and analysing do. The first byte chooses the transfer syntax."""
    syntax = TRANSFER_SYNTAXES[data[0] % len(TRANSFER_SYNTAXES)] if data else TRANSFER_SYNTAXES[0]
    part = receive.open_part(files, CALLER, "1.2.840.10008.5.1.4.1.1.4", "1.2.3", syntax)
    part.write(memoryview(data)[1:])
    try:
        identify(part.path, start=part.header_bytes, transfer_syntax_uid=syntax)
        read_frames(read_instance(part.path))
    except RejectedInput as error:
        return type(error).__name__
    finally:
        part.discard()
    return "read"


class _Part:
    """A part that takes everything."""

    def write(self, data: memoryview) -> None:
        pass

    def discard(self) -> None:
        pass


def messages(files: FileStore, data: bytes) -> str:
    """Take fragments of messages as an association does. Each begins with its context, control byte and length."""
    context = SimpleNamespace(transfer_syntax=[pydicom.uid.ExplicitVRLittleEndian])
    seen: list[str] = []
    events = SimpleNamespace(put=seen.append)
    association = SimpleNamespace(_accepted_cx={1: context}, dul=SimpleNamespace(event_queue=events), is_acceptor=True)
    association.get_handlers = association._get_handlers = lambda *arguments: []
    provider = SpoolingProvider(association, lambda *arguments: _Part())  # type: ignore[arg-type]
    while len(data) > 3:
        length = data[2] * 4
        primitive = P_DATA()
        primitive.presentation_data_value_list = [[data[0] % 3 + 1, data[1:2] + data[3 : 3 + length]]]
        provider.receive_primitive(primitive)
        data = data[3 + length :]
    while not provider.msg_queue.empty():
        _, message = provider.msg_queue.get()
        if isinstance(message, C_STORE):
            str(message.AffectedSOPInstanceUID)
    return "aborted" if INVALID_PDU in seen else "taken"


def reporting(target: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """Return a target whose exceptions have a traceback.

    One that was raised before any Python frame (or when there was no memory for a traceback) has none, and atheris
    reports it as its own: "Unable to convert call argument '0' of type 'object' to Python object".
    """

    def run(data: bytes) -> None:
        try:
            target(data)
        except Exception as error:
            traceback.print_exception(error)
            raise

    return run


TARGETS: dict[str, Callable[[FileStore, bytes], str]] = {"data_set": data_set, "messages": messages}


def seeds(target: str) -> list[bytes]:
    """Return what a fuzzer begins with."""
    if target == "data_set":
        small = [one for one in hostile() if len(one.data) <= LARGEST_SEED]
        return [bytes([TRANSFER_SYNTAXES.index(one.transfer_syntax_uid)]) + one.data for one in small]
    # PS3.7 9.3.1.1: a C-STORE-RQ without and with a data set behind it, and a C-ECHO-RQ
    command = bytes.fromhex(
        "00000000040000000000000000000200120000003100322e3834302e31303030382e3100000000010200000001000000"
        "100102000000070000000007020000000000000000080200000001000000001006000000312e322e3300"
    )
    fragment = bytes([0, 3, (len(command) + 3) // 4]) + command.ljust((len(command) + 3) // 4 * 4, b"\0")
    return [
        fragment,
        fragment + bytes([0, 2, 8]) + bytes(32),
        fragment.replace(b"\0\1\2\0\0\0\1\0", b"\0\1\2\0\0\0\x30\0"),
    ]
