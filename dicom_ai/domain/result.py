"""What the node makes: identities saved before anything is written, and the objects themselves."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

MANUFACTURER = "dicom_ai"
"""Manufacturer (0008,0070) of everything this product makes: by it the node knows its own objects when they return."""


class ResultKind(StrEnum):
    """The kinds of object a run can send."""

    SEG = "seg"
    SR = "sr"
    PDF = "pdf"
    SC = "sc"
    KO = "ko"


@dataclass(frozen=True, slots=True)
class ResultIdentity:
    """The UIDs of one result object of one run; new for every run, stored before the object is written.

    run: 1, 2, ... within the study. created_at: aware datetime. predecessor: (study, series, SOP instance) of the
    object this one replaces, or None. slot: what the object is within its run, the same in every run and on every
    retry: "sr", "sr:comprehensive" (the report for archives that take no "sr"), "seg:<model>:<source series UID>",
    "pdf", "sc", or "ko:<slot>" (the note that rejects what an earlier run sent in a slot).
    """

    kind: ResultKind
    series_uid: str
    sop_instance_uid: str
    series_number: int
    run: int
    created_at: datetime
    predecessor: tuple[str, str, str] | None = None
    slot: str = ""


@dataclass(frozen=True, slots=True)
class ResultObject:
    """A written result: what it is and where its bytes lie. source_series_uid: the segmented series; "" for an SR."""

    identity: ResultIdentity
    sop_class_uid: str
    study_uid: str
    source_series_uid: str
    path: Path
