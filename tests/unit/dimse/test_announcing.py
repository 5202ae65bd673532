"""Announcements that name nothing are refused in words."""

import pytest
from pydicom import Dataset
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
)

from dicom_ai.dimse.announcing import announcement
from dicom_ai.errors import MissingIdentity


@pytest.mark.parametrize(
    ("sop_class", "uid", "said"),
    [
        (InstanceAvailabilityNotification, "1.2.3", "the notification names no study"),
        (ModalityPerformedProcedureStep, "", "the procedure step has no UID"),
        (ModalityPerformedProcedureStep, "1.2/../3", "the procedure step has no UID"),
    ],
)
def test_an_announcement_of_nothing_is_refused(sop_class: str, uid: str, said: str) -> None:
    with pytest.raises(MissingIdentity, match=f"^{said}$"):
        announcement(sop_class, uid, Dataset())
