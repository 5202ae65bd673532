"""What the listener knows of an image it has just made durable."""

from dataclasses import dataclass
from enum import StrEnum


class Recorded(StrEnum):
    """What became of a received image.

    NEW: kept, and its series is open again. DUPLICATE: the same UID and the same bytes are already kept.
    AGAIN: the UID is known with other bytes; this one is kept beside the first until the two have been compared.
    OWN: the node made it; it is kept, but opens nothing and resets no timer. ASKED: the same, and it came because the
    node asked for it by C-MOVE; it goes when it has been read.
    """

    NEW = "new"
    DUPLICATE = "duplicate"
    AGAIN = "again"
    OWN = "own"
    ASKED = "asked"


@dataclass(frozen=True, slots=True)
class ReceivedInstance:
    """One SOP instance as it came over an association, after its bytes were made durable.

    sha256: hex digest of the data set without group 2. path: where the bytes lie, relative to the file store.
    received_at: seconds since 1970. association_id: the id given to storage.associations.opened; "" without one.
    marked_own: its header says that this product made it. asked_for: the node's own C-MOVE brought it.
    The last of the identity fields are trimmed text, empty where absent.
    """

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    sha256: str
    size_bytes: int
    path: str
    received_at: float
    calling_ae_title: str = ""
    called_ae_title: str = ""
    peer_address: str = ""
    association_id: str = ""
    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""
    accession: str = ""
    modality: str = ""
    study_date: str = ""
    patient_name: str = ""
    marked_own: bool = False
    asked_for: bool = False
