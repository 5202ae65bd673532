"""Unique identifiers (PS3.5 9.1, annex B.2)."""

import re
from uuid import uuid4

LABEL_MAP_SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
"""PS3.4 B.5 since 2024d; pydicom 3.0 has no name for it."""

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST = 64


def new_uid() -> str:
    """Return a new UID under the UUID root (PS3.5 B.2)."""
    return f"2.25.{uuid4().int}"


def is_valid_uid(text: str) -> bool:
    """Tell whether text is digits in dotted groups, at most 64 characters.

    Leading zeros in a group break PS3.5 9.1 but are in real archives; they are let pass. Nothing that could name a
    place on a disk is.
    """
    return len(text) <= _LONGEST and _UID.fullmatch(text) is not None
