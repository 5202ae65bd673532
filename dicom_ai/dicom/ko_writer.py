"""A rejection note: a Key Object Selection that says which of our results an archive shall no longer show.

IHE RAD TF-3 4.66 (Imaging Object Change Management): the title is the reason, the content names the rejected objects,
and the evidence lists them by series. The archive keeps or hides them as its administrator has set; nothing is deleted.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

import highdicom as hd
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import SecondaryCaptureImageStorage, SegmentationStorage

from dicom_ai.dicom.headers import PARSE_ERRORS
from dicom_ai.dicom.result_stamp import stamp, stated, without_name
from dicom_ai.dicom.source_headers import normalised
from dicom_ai.dicom.sr_observer import device_observer
from dicom_ai.dicom.uids import LABEL_MAP_SEGMENTATION_STORAGE
from dicom_ai.domain.result import ResultIdentity, ResultObject
from dicom_ai.errors import RejectedInput


class RejectionReason(StrEnum):
    """Why results are taken back. replaced: a newer run says it better. unsafe: nobody shall see them any more."""

    REPLACED = "replaced"
    UNSAFE = "unsafe"


TITLES: Mapping[RejectionReason, Code] = MappingProxyType(
    {
        RejectionReason.REPLACED: Code("113001", "DCM", "Rejected for Quality Reasons"),
        RejectionReason.UNSAFE: Code("113037", "DCM", "Rejected for Patient Safety Reasons"),
    }
)
"""CID 7010. Archives may go on showing what has the first title, marked; they must not show what has the second."""

_IMAGES = frozenset({SegmentationStorage, LABEL_MAP_SEGMENTATION_STORAGE, SecondaryCaptureImageStorage})
_LONGEST_TEXT = 1024


def write_rejection_note(
    rejected: Sequence[ResultObject],
    *,
    identity: ResultIdentity,
    reason: RejectionReason,
    text: str = "",
    beside: Sequence[ResultObject] = (),
) -> Dataset:
    """Return the note that rejects results of one study.

    rejected: results that an archive has; the file of one at least must be there, for patient and study, or that of
    another result of the study: beside.
    identity: a new one, of kind KO, saved before. text: a sentence for people, without patient data.
    Raises RejectedInput where no file can be read, and ValueError for results of several studies or for none.
    """
    if len({item.study_uid for item in rejected}) != 1:
        raise ValueError("a rejection note is about results of one study")
    header = _header([*rejected, *beside])
    references = [_reference(item, header) for item in rejected]
    note = hd.ko.KeyObjectSelectionDocument(
        evidence=references,
        content=hd.ko.KeyObjectSelection(
            document_title=TITLES[reason],
            referenced_objects=references,
            observer_device_context=device_observer(),
            description=text[:_LONGEST_TEXT] or None,
        ),
        **stated(identity, [], what="rejection note"),
    )
    stamp(note, header, identity)
    return note


def _header(results: Sequence[ResultObject]) -> Dataset:
    """Return patient and study as the first result that can still be read has them."""
    for item in results:
        try:
            return normalised(dcmread(item.path, stop_before_pixels=True))
        except (OSError, *PARSE_ERRORS):
            continue
    raise RejectedInput("no rejected result can be read; there is no patient to write the note for")


def _reference(item: ResultObject, header: Dataset) -> Dataset:
    """Return what highdicom takes for one object of the study: identity, class, patient; Rows where it is an image."""
    reference = without_name(header)
    names = {
        "SOPClassUID": item.sop_class_uid,
        "SOPInstanceUID": item.identity.sop_instance_uid,
        "SeriesInstanceUID": item.identity.series_uid,
    }
    for keyword, uid in names.items():
        reference.add_new(keyword, "UI", uid)  # assigning would change the element that all references share
    for keyword in ("Rows", "Columns"):
        reference.pop(keyword, None)
        if item.sop_class_uid in _IMAGES:
            reference.add_new(keyword, "US", 1)
    return reference
