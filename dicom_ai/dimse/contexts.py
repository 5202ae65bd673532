"""What the node negotiates. To accept a SOP class or transfer syntax: change a table here, and docs/conformance.md."""

from collections.abc import Iterable

from pydicom import uid
from pynetdicom import AllStoragePresentationContexts, build_context
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]

STORAGE_SOP_CLASSES: tuple[str, ...] = tuple(
    sorted({str(context.abstract_syntax) for context in AllStoragePresentationContexts})
)
"""Every storage SOP class the library knows (170): one class missing here would end a peer's whole C-MOVE."""

UNCOMPRESSED = (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian)

TRANSFER_SYNTAXES: tuple[str, ...] = (
    # Explicit first: the acceptor chooses by this order, and implicit VR loses the VR of private elements.
    *UNCOMPRESSED,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.JPEGLosslessSV1,
    uid.JPEGLossless,
    uid.RLELossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000,
    uid.HTJ2K,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
)
"""What the node can decode; no video. Lossless before lossy, should a peer offer both."""

MOST_CONTEXTS = 128
"""An association carries at most 128 presentation contexts (PS3.8 9.3.2.2: odd numbers 1 to 255)."""


def acceptor_contexts() -> list[PresentationContext]:
    """Return the contexts the SCP supports: storage, verification, and storage commitment in the reversed role."""
    storage = [build_context(sop_class, list(TRANSFER_SYNTAXES)) for sop_class in STORAGE_SOP_CLASSES]
    # The archive that commits opens an association to us and keeps the SCP role on it (PS3.4 J.3.3).
    commitment = build_context(StorageCommitmentPushModel, list(UNCOMPRESSED))
    commitment.scu_role, commitment.scp_role = True, True
    return [*storage, *verification_contexts(), commitment]


def verification_contexts() -> list[PresentationContext]:
    """Return the context of C-ECHO."""
    return [build_context(Verification, list(UNCOMPRESSED))]


def requestor_contexts(kinds: Iterable[tuple[str, str]]) -> list[PresentationContext]:
    """Return the contexts to propose for objects given as (SOP class UID, transfer syntax UID).

    One transfer syntax a context, so that the answer says which is accepted. An explicit VR object is also offered in
    implicit VR: it can be converted without loss of content. A compressed object is never transcoded.
    Raises ValueError where more than 128 would be needed.
    """
    wanted: dict[tuple[str, str], None] = {}
    for sop_class, transfer_syntax in kinds:
        wanted[sop_class, transfer_syntax] = None
        if transfer_syntax == uid.ExplicitVRLittleEndian:
            wanted[sop_class, uid.ImplicitVRLittleEndian] = None
    if len(wanted) > MOST_CONTEXTS:
        raise ValueError(f"{len(wanted)} presentation contexts are needed and an association has {MOST_CONTEXTS}")
    return [build_context(sop_class, transfer_syntax) for sop_class, transfer_syntax in wanted]
