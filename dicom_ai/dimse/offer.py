"""Which SOP classes a peer accepts, found out by negotiating an association that sends nothing."""

from collections.abc import Sequence

from pydicom.uid import UID
from pynetdicom import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from dicom_ai.dimse import library
from dicom_ai.dimse.contexts import UNCOMPRESSED
from dicom_ai.dimse.scu import CallingAe, RemoteAe, Timeouts
from dicom_ai.errors import PeerUnavailable


def accepted(sop_classes: Sequence[str], peer: RemoteAe, *, timeouts: Timeouts | None = None) -> frozenset[str]:
    """Return those of some SOP classes that a peer accepts in a syntax the node sends.

    Raises PeerUnavailable where no association comes about.
    """
    library.configure()
    wait = timeouts or Timeouts()
    ae = CallingAe(ae_title=peer.calling_ae_title)
    ae.connection_timeout, ae.acse_timeout = wait.connect_s, wait.acse_s
    ae.dimse_timeout, ae.network_timeout = wait.dimse_s, wait.network_s
    syntaxes: list[str | UID] = list(UNCOMPRESSED)
    # Verification is asked for too, because a peer that accepts nothing at all would end the association.
    ae.requested_contexts = [build_context(sop_class, syntaxes) for sop_class in (Verification, *sop_classes)]
    tls = (peer.tls, peer.host) if peer.tls else None
    place = f"{peer.called_ae_title} at {peer.host}:{peer.port}"
    try:
        association = ae.associate(peer.host, peer.port, ae_title=peer.called_ae_title, tls_args=tls)
    except OSError as error:
        raise PeerUnavailable(f"{place}: {error.strerror}") from error
    if not association.is_established:
        association.abort()
        raise PeerUnavailable(f"{place}: no association")
    found = {str(context.abstract_syntax) for context in association.accepted_contexts}
    association.release()
    return frozenset(found & set(sop_classes))
