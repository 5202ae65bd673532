"""Messages that say what a study has: Instance Availability Notification (PS3.4 R), and MPPS (PS3.4 F.7)."""

from collections.abc import Iterable

from pydicom import Dataset
from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
)

from dicom_ai.dimse.contexts import UNCOMPRESSED
from dicom_ai.dimse.datastream import is_uid
from dicom_ai.domain.announcement import Announcement
from dicom_ai.errors import MissingIdentity

UNAVAILABLE = "UNAVAILABLE"
"""Instance Availability (0008,0056) of what the sender does not have, or not any more."""


def announcement_contexts() -> list[PresentationContext]:
    """Return the contexts of both services, as SCP."""
    return [
        build_context(service, list(UNCOMPRESSED))
        for service in (InstanceAvailabilityNotification, ModalityPerformedProcedureStep)
    ]


def announcement(sop_class_uid: str, sop_instance_uid: str, content: Dataset) -> Announcement:
    """Return what the data set of an N-CREATE or N-SET says. Raises MissingIdentity where it names no study or step."""
    if sop_class_uid == InstanceAvailabilityNotification:
        return _availability(content)
    if not is_uid(sop_instance_uid):
        raise MissingIdentity("the procedure step has no UID")
    return _step(sop_instance_uid, content)


def _availability(content: Dataset) -> Announcement:
    study_uid = str(content.get("StudyInstanceUID") or "")
    if not is_uid(study_uid):
        raise MissingIdentity("the notification names no study")
    series = {
        str(item.get("SeriesInstanceUID") or ""): tuple(
            str(reference.get("ReferencedSOPInstanceUID") or "")
            for reference in item.get("ReferencedSOPSequence") or ()
            if reference.get("InstanceAvailability") != UNAVAILABLE
        )
        for item in content.get("ReferencedSeriesSequence") or ()
    }
    return Announcement(study_uid, series=_named(series.items()))


def _step(uid: str, content: Dataset) -> Announcement:
    scheduled = content.get("ScheduledStepAttributesSequence") or ()
    study_uid = next((str(item.StudyInstanceUID) for item in scheduled if "StudyInstanceUID" in item), "")
    kinds = ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")
    series = (
        (
            str(item.get("SeriesInstanceUID") or ""),
            tuple(str(one.get("ReferencedSOPInstanceUID") or "") for kind in kinds for one in item.get(kind) or ()),
        )
        for item in content.get("PerformedSeriesSequence") or ()
    )
    return Announcement(
        study_uid if is_uid(study_uid) else "",
        step=uid,
        state=str(content.get("PerformedProcedureStepStatus") or ""),
        series=_named(series),
    )


def _named(series: Iterable[tuple[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    """Leave out series without a UID, and those of which no object is named: they say nothing of completeness."""
    return {uid: images for uid, images in series if is_uid(uid) and images and all(is_uid(one) for one in images)}
