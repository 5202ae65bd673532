"""Who observed what a content tree says (TID 1004): this device, in reports and in notes alike."""

from uuid import NAMESPACE_OID, uuid5

from highdicom.sr import DeviceObserverIdentifyingAttributes, ObserverContext
from pydicom.sr.codedict import codes

from dicom_ai.dicom.result_stamp import MODEL_NAME, SERIAL_NUMBER
from dicom_ai.domain.result import MANUFACTURER

OBSERVER_UID = f"2.25.{uuid5(NAMESPACE_OID, MANUFACTURER).int}"
"""Device Observer UID of every node."""


def device_observer() -> ObserverContext:
    """Return the node as observer."""
    return ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=OBSERVER_UID,
            name=MODEL_NAME,
            manufacturer_name=MANUFACTURER,
            model_name=MODEL_NAME,
            serial_number=SERIAL_NUMBER,
        ),
    )
