"""A listener on loopback for tests, and a sender of whatever bytes a test wants to send."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from pydicom import Dataset, dcmread
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom.association import Association
from pynetdicom.dsutils import create_file_meta, split_dataset

from dicom_ai.dimse import library
from dicom_ai.dimse.scu import CallingAe
from dicom_ai.listener import Listener
from dicom_ai.settings import Node, Peer, Settings, Storage
from dicom_ai.storage import schema
from dicom_ai.storage.database import Database
from dicom_ai.storage.files import FileStore, free_bytes
from dicom_ai.storage.tables import InstanceRow
from tests import builders

CALLING = "PACS"
CALLED = "DICOM_AI"


@dataclass(frozen=True)
class Running:
    """A listener that runs, and its parts."""

    listener: Listener
    database: Database
    files: FileStore

    @property
    def port(self) -> int:
        return self.listener.port

    def instances(self) -> list[InstanceRow]:
        """Return the rows of received objects."""
        with self.database.read() as session:
            return list(session.scalars(sa.select(InstanceRow).order_by(InstanceRow.id)))

    def kept(self) -> list[str]:
        """Return the relative paths of received files."""
        return sorted(self.files.kept("received"))

    def parts(self) -> list[Path]:
        """Return unfinished files."""
        return list((self.files.root / "parts").iterdir())


@contextmanager
def listening(
    folder: Path,
    *,
    peers: Sequence[Peer] = (Peer(ae_title=CALLING),),
    free: Callable[[Path], int] = free_bytes,
    reserve_bytes: int = 0,
    **sections: object,
) -> Iterator[Running]:
    """Run a listener with its data in a folder. sections: other tables of the settings."""
    usual = {
        "node": Node(ae_title=CALLED, address="127.0.0.1", port=0),
        "storage": Storage(data_dir=folder, reserve_bytes=reserve_bytes),
        "peers": tuple(peers),
    }
    settings = Settings(**{**usual, **sections})
    files = FileStore(folder, reserve_bytes=reserve_bytes, free=free)
    database = Database(settings.database_url)
    schema.upgrade(database)
    listener = Listener(settings, database, files)
    listener.start()
    try:
        yield Running(listener, database, files)
    finally:
        listener.stop(grace_s=5)
        database.close()


@contextmanager
def associated(
    port: int, *, calling: str = CALLING, sop_classes: Sequence[str] = (MRImageStorage,)
) -> Iterator[Association]:
    """Open an association as a PACS does; explicit VR little endian only."""
    library.configure()
    ae = CallingAe(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = 20
    for sop_class in sop_classes:
        ae.add_requested_context(sop_class, ExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", port, ae_title=CALLED)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def store(port: int, *paths: Path) -> list[Dataset]:
    """Send files over one association; return the statuses."""
    with associated(port) as association:
        assert association.is_established
        return [association.send_c_store(path) for path in paths]


def as_sent(path: Path) -> bytes:
    """Return the bytes of a file's data set, as they go over the wire."""
    _, offset = split_dataset(path)
    return path.read_bytes()[offset:]


def file_of(
    path: Path,
    data_set: bytes,
    *,
    sop_instance_uid: str,
    sop_class_uid: str = MRImageStorage,
    transfer_syntax_uid: str = ExplicitVRLittleEndian,
) -> Path:
    """Write a file whose group 2 says one thing and whose data set may be any bytes."""
    meta = create_file_meta(
        sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid, transfer_syntax=UID(transfer_syntax_uid)
    )
    with path.open("wb") as file:
        file.write(b"\0" * 128 + b"DICM")
        write_file_meta_info(file, meta)
        file.write(data_set)
    return path


def mr_files(folder: Path, count: int, **attributes: object) -> list[Path]:
    """Write one series of small MR images."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, dataset in enumerate(builders.mr_series(builders.ramp((count, 16, 16)), **attributes)):
        path = folder / f"{number:04}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def same_bytes(running: Running, path: Path) -> bool:
    """Whether the data set of a file is kept, byte for byte, under its UID."""
    uid = dcmread(path, stop_before_pixels=True).SOPInstanceUID
    rows = [row for row in running.instances() if row.sop_instance_uid == uid]
    return any(as_sent(running.files.path(row.path)) == as_sent(path) for row in rows)
