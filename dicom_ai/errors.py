"""The tree of errors. The class says who must act; the message names the thing and the numbers.

DicomAiError
├── RejectedInput      the images: never retried, the reason goes to the reader
│   ├── NotDicom           the bytes are not a DICOM object that can be parsed
│   ├── MissingIdentity    a UID that names the study, series or instance is absent or malformed
│   ├── UnreadablePixels   no pixels, or a transfer syntax that cannot be decoded
│   ├── UnsuitableGeometry the slices do not form one regular volume
│   └── UnsuitableImage    the image is not what the model was made for
├── ConfigError        an administrator: settings, rules, model folders
│   ├── RuleError          a routing rule is malformed; names the place
│   └── ModelError         a model folder is incomplete, or its digest is wrong
└── Unavailable        the world: disk, database, broker or peer; retried later, and uses up no tries
    ├── StorageFull        free space is below the reserve
    ├── DeviceFull         the memory of the GPU (or of the machine) does not suffice for a model: tries are counted
    ├── WorkerLost         the process that ran a model ended, or had to be ended: losses are counted
    ├── PeerUnavailable    a destination did not answer, or answered "later"
    └── DeliveryUnknown    a destination took the object but its answer was lost
PermanentRefusal       a destination refused an object for good; a person must look (DicomAiError)
├── AssociationRejected    a destination takes no association from this node; objects wait until it does
├── SopClassRefused        a destination takes no object of this kind at all; another kind may say the same
└── TooLarge               an object is larger than a destination takes; a smaller form may say the same
"""


class DicomAiError(Exception):
    """Root of everything this product raises on purpose."""


class RejectedInput(DicomAiError):
    """The images cannot be used; retrying will not help."""


class NotDicom(RejectedInput):
    """The bytes are not a DICOM object that can be parsed."""


class MissingIdentity(RejectedInput):
    """A UID that names the study, series or instance is absent or malformed."""


class UnreadablePixels(RejectedInput):
    """The object has no pixels, or they are in a syntax that cannot be decoded."""


class UnsuitableGeometry(RejectedInput):
    """The slices do not form one regular volume."""


class UnsuitableImage(RejectedInput):
    """The image is not what the model was made for."""


class ConfigError(DicomAiError):
    """An administrator must mend the settings before this can run."""


class RuleError(ConfigError):
    """A routing rule is malformed."""


class ModelError(ConfigError):
    """A model folder is incomplete, its digest is wrong, or it does not load."""


class Unavailable(DicomAiError):
    """Something outside did not answer; it is retried later."""


class StorageFull(Unavailable):
    """Free disk space is below the reserve."""


class DeviceFull(Unavailable):
    """The memory of the device does not suffice for a model; less of it, or another device, may do."""


class WorkerLost(Unavailable):
    """The process that ran a model ended, or had to be ended; what it worked on may be the cause."""


class PeerUnavailable(Unavailable):
    """A destination did not answer, or asked to be tried later."""


class DeliveryUnknown(Unavailable):
    """The answer to a delivery was lost: it must be sent again to be sure."""


class PermanentRefusal(DicomAiError):
    """A destination refused an object for good; a person must look."""


class AssociationRejected(PermanentRefusal):
    """A destination takes no association from this node, until somebody changes its settings or ours."""


class SopClassRefused(PermanentRefusal):
    """A destination takes no object of this kind at all; another kind may say the same."""


class TooLarge(PermanentRefusal):
    """An object is larger than a destination takes; a smaller form may say the same."""
