"""The node as retrieving SCU (PS3.4 C.4.2, C.4.3): one object by C-GET into memory, or by C-MOVE to the listener.

Only ever one object, named by its three UIDs: what else an archive would send is refused here, and by the listener.
"""

from collections.abc import Iterator

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage
from pynetdicom import build_context, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from dicom_ai.dimse.contexts import UNCOMPRESSED
from dicom_ai.dimse.find import Level
from dicom_ai.dimse.scu import RemoteAe, Timeouts, associated
from dicom_ai.errors import PeerUnavailable, PermanentRefusal, SopClassRefused

SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700
SUBOPERATIONS_NOT_POSSIBLE = 0xA702
NOT_AUTHORISED = 0x0124
PENDING = 0xFF00

Uids = tuple[str, str, str]
"""Study, series and SOP instance UID."""


def c_get_report(peer: RemoteAe, uids: Uids, *, timeouts: Timeouts | None = None) -> Dataset:
    """Return a report, fetched on our own association.

    Raises SopClassRefused where the peer offers no C-GET, PermanentRefusal where it fails or sends nothing,
    PeerUnavailable where it does not answer, or has no resources now.
    """
    model = StudyRootQueryRetrieveInformationModelGet
    arrived: list[Dataset] = []

    def stored(event: evt.Event) -> int:
        if str(event.request.AffectedSOPInstanceUID) != uids[2]:  # type: ignore[union-attr]
            return NOT_AUTHORISED
        received = event.dataset
        received.file_meta = event.file_meta
        arrived.append(received)
        return SUCCESS

    classes = (model, Comprehensive3DSRStorage, ComprehensiveSRStorage, Verification)
    wanted = [build_context(sop_class, list(UNCOMPRESSED)) for sop_class in classes]
    with associated(peer, wanted, timeouts or Timeouts(), stored=stored) as association:
        if not any(context.abstract_syntax == model for context in association.accepted_contexts):
            raise SopClassRefused(f"{peer.called_ae_title}: offers no C-GET")
        _follow(association.send_c_get(_identifier(uids), model), f"{peer.called_ae_title}: C-GET")
    if not arrived:
        raise PermanentRefusal(f"{peer.called_ae_title}: C-GET brought nothing")
    return arrived[0]


def c_move(peer: RemoteAe, uids: Uids, *, to: str, timeouts: Timeouts | None = None) -> None:
    """Have one object sent to an AE title; it has arrived there when this returns. Raises as c_get_report."""
    model = StudyRootQueryRetrieveInformationModelMove
    wanted = [build_context(sop_class, list(UNCOMPRESSED)) for sop_class in (model, Verification)]
    with associated(peer, wanted, timeouts or Timeouts()) as association:
        if not any(context.abstract_syntax == model for context in association.accepted_contexts):
            raise SopClassRefused(f"{peer.called_ae_title}: offers no C-MOVE")
        _follow(association.send_c_move(_identifier(uids), to, model), f"{peer.called_ae_title}: C-MOVE")


def _identifier(uids: Uids) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = Level.IMAGE.value
    identifier.StudyInstanceUID, identifier.SeriesInstanceUID, identifier.SOPInstanceUID = uids
    return identifier


def _follow(answers: Iterator[tuple[Dataset, Dataset | None]], what: str) -> None:
    """Wait for the final answer, and raise unless it is success."""
    for status, _ in answers:
        if "Status" not in status:
            raise PeerUnavailable(f"{what}: no answer")
        code = int(status.Status)
        if code == PENDING:
            continue
        if code in (OUT_OF_RESOURCES, SUBOPERATIONS_NOT_POSSIBLE):
            raise PeerUnavailable(f"{what} not now (0x{code:04X})")
        if code != SUCCESS:
            raise PermanentRefusal(f"{what} was answered with 0x{code:04X}")
