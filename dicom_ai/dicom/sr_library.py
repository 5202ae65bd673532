"""The Image Library of a report (TID 1600): the images that carry an outline, in one group, as viewers look for them.

highdicom's own library needs plane and spacing in the root of each image, where Enhanced objects have none.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
    UIDRefContentItem,
)
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from dicom_ai.dicom import codes as our
from dicom_ai.dicom.sr_groups import frame_shape
from dicom_ai.domain.image import Radiograph, SourceFrame, SourceImage
from dicom_ai.domain.prior import Acquisition

_SOURCE = Code("260753009", "SCT", "Source")
_PIXELS = CodedConcept("{pixels}", "UCUM", "Pixels")
_MODALITIES = {
    "MR": Code("MR", "DCM", "Magnetic Resonance"),
    "CT": Code("CT", "DCM", "Computed Tomography"),
    "CR": Code("CR", "DCM", "Computed Radiography"),
    "DX": Code("DX", "DCM", "Digital Radiography"),
}
"""CID 29."""

_OTHER_MODALITY = Code("OT", "DCM", "Other Modality")
_CONTEXT = RelationshipTypeValues.HAS_ACQ_CONTEXT


def image_library(
    images: Sequence[tuple[SourceImage, int, str]], acquisitions: Mapping[str, Acquisition] = MappingProxyType({})
) -> ContainerContentItem:
    """Return the library; an object is listed once.

    images: (source, index of the frame, modality). acquisitions: series UID -> what a later report compares.
    """
    entries: dict[str, ImageContentItem] = {}
    for source, index, modality in images:
        frame = source.frames[index]
        made = acquisitions.get(source.series_uid, Acquisition())
        entries.setdefault(frame.sop_instance_uid, _entry(source, frame, modality, made))
    group = ContainerContentItem(codes.DCM.ImageLibraryGroup, relationship_type=RelationshipTypeValues.CONTAINS)
    group.ContentSequence = ContentSequence(list(entries.values()))
    library = ContainerContentItem(codes.DCM.ImageLibrary, relationship_type=RelationshipTypeValues.CONTAINS)
    library.ContentSequence = ContentSequence([group])
    return library


def _entry(source: SourceImage, frame: SourceFrame, modality: str, made: Acquisition) -> ImageContentItem:
    entry = ImageContentItem(
        _SOURCE, frame.sop_class_uid, frame.sop_instance_uid, relationship_type=RelationshipTypeValues.CONTAINS
    )
    rows, columns = frame_shape(source)
    entry.ContentSequence = ContentSequence(
        [
            CodeContentItem(codes.DCM.Modality, _MODALITIES.get(modality, _OTHER_MODALITY), _CONTEXT),
            *_frame_of_reference(source),
            NumContentItem(codes.DCM.PixelDataRows, rows, _PIXELS, relationship_type=_CONTEXT),
            NumContentItem(codes.DCM.PixelDataColumns, columns, _PIXELS, relationship_type=_CONTEXT),
            *_made_by(made),
        ]
    )
    return entry


def _frame_of_reference(source: SourceImage) -> list[UIDRefContentItem]:
    if isinstance(source.image, Radiograph) or not source.image.frame_of_reference_uid:
        return []
    return [UIDRefContentItem(codes.DCM.FrameOfReferenceUID, source.image.frame_of_reference_uid, _CONTEXT)]


def _made_by(made: Acquisition) -> list[TextContentItem]:
    said = ((our.SCANNER, made.scanner), (our.CONTRAST, made.contrast))
    return [TextContentItem(name, value, relationship_type=_CONTEXT) for name, value in said if value]
