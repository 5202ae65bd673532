"""What another system says of a study: which images its series have, or how far a procedure step has come."""

from collections.abc import Mapping
from dataclasses import dataclass, field

IN_PROGRESS, COMPLETED, DISCONTINUED = "IN PROGRESS", "COMPLETED", "DISCONTINUED"
"""Performed Procedure Step Status (0040,0252)."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """An Instance Availability Notification, or a change of a Modality Performed Procedure Step.

    step: SOP instance UID of the MPPS; "" for an IAN. state: of the step; "" for an IAN. study_uid: "" where the
    message does not name it. series: series instance UID -> SOP instance UIDs.
    """

    study_uid: str
    step: str = ""
    state: str = ""
    series: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
