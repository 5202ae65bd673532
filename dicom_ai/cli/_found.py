"""What a check of `dicom-ai doctor` found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found. ok: False where something does not work; True with a note where a person should know more."""

    check: str
    ok: bool
    says: str
