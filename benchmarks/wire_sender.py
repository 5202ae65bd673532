"""A sender as lean as a wire allows: one socket, images encoded beforehand, and peers that behave badly on purpose."""

import hashlib
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from tests import builders

CALLING, CALLED = "LOAD", "DICOM_AI"
A_ASSOCIATE_RQ, A_ASSOCIATE_AC, P_DATA, A_RELEASE_RQ, A_ABORT = 1, 2, 4, 5, 7
TIMEOUT_S = 120.0
PDU_BYTES = 65_536
FIRST, FIRST_STUDY = 100, 1_000_000
"""Numbers begin so high that they have equally many digits."""


@dataclass(frozen=True)
class Image:
    """An encoded image."""

    sop_instance_uid: str
    data: bytes

    @property
    def digest(self) -> str:
        """The first half of the SHA-256 of its bytes."""
        return hashlib.sha256(self.data).hexdigest()[:32]


class Images:
    """Images of studies without end: one template, into which UIDs of equal length are put."""

    def __init__(self, sender: int, *, side: int) -> None:
        self._prefix = f"1.2.826.0.7.{sender + FIRST}"
        self._study = f"{self._prefix}.{FIRST_STUDY}"
        noise = np.random.default_rng(sender).integers(0, 4096, (1, side, side)).astype(np.uint16)
        (dataset,) = builders.mr_series(noise, study_uid=self._study, series_uid=f"{self._study}.1")
        dataset.SOPInstanceUID = UID(f"{self._study}.1.{FIRST}")
        dataset.PatientID = f"LOAD{sender}"
        del dataset.file_meta  # the data set alone goes over the wire
        buffer = BytesIO()
        dataset.save_as(buffer, implicit_vr=False, little_endian=True)
        self._template = buffer.getvalue()

    def study(self, number: int, images: int) -> Iterator[Image]:
        """Yield the images of a study."""
        study = f"{self._prefix}.{FIRST_STUDY + number}"
        of_study = self._template.replace(self._study.encode(), study.encode())
        for index in range(images):
            uid = f"{study}.1.{FIRST + index}"
            yield Image(uid, of_study.replace(f"{study}.1.{FIRST}".encode(), uid.encode(), 1))


class Connection:
    """One association, until close(). Raises OSError for whatever goes wrong."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._message = 0

    def associate(self) -> None:
        """Negotiate MR images in explicit VR little endian."""
        syntax = _item(0x30, MRImageStorage.encode()) + _item(0x40, ExplicitVRLittleEndian.encode())
        user = _item(0x51, struct.pack(">I", PDU_BYTES)) + _item(0x52, b"1.2.826.0.1.3680043.9.9999.1")
        body = struct.pack(">HH", 1, 0) + CALLED.encode().ljust(16) + CALLING.encode().ljust(16) + bytes(32)
        body += _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x20, struct.pack(">BBBB", 1, 0, 0, 0) + syntax)
        self._socket.sendall(_pdu(A_ASSOCIATE_RQ, body + _item(0x50, user)))
        kind, _ = self._answer()
        if kind != A_ASSOCIATE_AC:
            raise OSError(f"the association was answered with PDU {kind}")

    def store(self, image: Image) -> int:
        """Send an image; return the status it is answered with."""
        self._socket.sendall(self._encoded(image))
        kind, answer = self._answer()
        at = answer.find(struct.pack("<HHI", 0, 0x0900, 2))
        if kind != P_DATA or at < 0:
            raise OSError(f"an image was answered with PDU {kind}")
        return int(struct.unpack_from("<H", answer, at + 8)[0])

    def store_slowly(self, image: Image, *, bytes_per_s: int, until: float) -> None:
        """Send an image at a snail's pace."""
        message = self._encoded(image)
        step = max(bytes_per_s // 10, 1)
        for start in range(0, len(message), step):
            if time.monotonic() > until:
                return
            self._socket.sendall(message[start : start + step])
            time.sleep(0.1)

    def abort_within(self, image: Image, share: float) -> None:
        """Send a share of an image and abort."""
        message = self._encoded(image)
        self._socket.sendall(message[: int(len(message) * share)] + _pdu(A_ABORT, bytes(4)))
        self._socket.close()

    def close(self) -> None:
        """Release the association."""
        with self._socket:
            self._socket.sendall(_pdu(A_RELEASE_RQ, bytes(4)))
            self._answer()

    def _encoded(self, image: Image) -> bytes:
        self._message = self._message % 65_535 + 1
        elements = (
            (0x0002, MRImageStorage.encode()),
            (0x0100, struct.pack("<H", 1)),
            (0x0110, struct.pack("<H", self._message)),
            (0x0700, struct.pack("<H", 0)),
            (0x0800, struct.pack("<H", 1)),
            (0x1000, image.sop_instance_uid.encode()),
        )
        command = b"".join(_element(number, value) for number, value in elements)
        pieces = [_p_data(_element(0, struct.pack("<I", len(command))) + command, flags=3)]
        step = PDU_BYTES - 6
        for start in range(0, len(image.data), step):
            last = start + step >= len(image.data)
            pieces.append(_p_data(image.data[start : start + step], flags=2 if last else 0))
        return b"".join(pieces)

    def _answer(self) -> tuple[int, bytes]:
        kind, _, length = struct.unpack(">BBI", self._read(6))
        return kind, self._read(length)

    def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise OSError("the node closed the connection")
            data += more
        return bytes(data)


def send(port: int, sender: int, *, until: float, side: int, images_per_study: int, book: Path) -> None:
    """Send study after study, an association each, and write down every image that was acknowledged."""
    source, number = Images(sender, side=side), 0
    with book.open("a", buffering=1) as acknowledged:
        while time.monotonic() < until:
            number += 1
            connection = Connection(port)
            connection.associate()
            for image in source.study(number, images_per_study):
                status = connection.store(image)
                if status == 0:
                    acknowledged.write(f"{image.sop_instance_uid} {image.digest}\n")
                else:
                    acknowledged.write(f"! 0x{status:04X}\n")
            connection.close()


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def _pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBI", kind, 0, len(body)) + body


def _p_data(fragment: bytes, *, flags: int) -> bytes:
    return _pdu(P_DATA, struct.pack(">IBB", len(fragment) + 2, 1, flags) + fragment)


def _element(number: int, value: bytes) -> bytes:
    padded = value + b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, number, len(padded)) + padded
