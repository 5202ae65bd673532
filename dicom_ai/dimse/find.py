"""Questions to an archive by C-FIND (PS3.4 C.4.1), Study Root: what it knows of a study, its series and its objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydicom import Dataset
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from dicom_ai.dimse.contexts import UNCOMPRESSED
from dicom_ai.dimse.scu import RemoteAe, Timeouts, associated
from dicom_ai.errors import PeerUnavailable, PermanentRefusal, SopClassRefused

SUCCESS = 0x0000
PENDING = (0xFF00, 0xFF01)
OUT_OF_RESOURCES = 0xA700

Match = Mapping[str, str]
"""Keyword -> value as trimmed text, "" where the archive returned none; the keywords of the question."""


class Level(StrEnum):
    """Query/Retrieve Level (0008,0052)."""

    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask. keys: keyword -> value to match; "" is only asked to be returned (universal matching)."""

    level: Level
    keys: Mapping[str, str]


def ask(peer: RemoteAe, questions: Sequence[Question], *, timeouts: Timeouts | None = None) -> tuple[list[Match], ...]:
    """Ask several questions over one association; return the matches of each, in order.

    Raises PeerUnavailable where the peer does not answer, or has no resources now; SopClassRefused where it offers no
    C-FIND; PermanentRefusal where it rejects us or answers with a failure.
    """
    model = StudyRootQueryRetrieveInformationModelFind
    # Verification is asked for too, because a peer that accepts nothing at all would end the association.
    wanted = [build_context(sop_class, list(UNCOMPRESSED)) for sop_class in (model, Verification)]
    with associated(peer, wanted, timeouts or Timeouts()) as association:
        if not any(context.abstract_syntax == model for context in association.accepted_contexts):
            raise SopClassRefused(f"{peer.called_ae_title}: offers no C-FIND")
        return tuple(_matches(association, question, peer.called_ae_title) for question in questions)


def _matches(association: Association, question: Question, name: str) -> list[Match]:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = question.level.value
    for keyword, value in question.keys.items():
        setattr(identifier, keyword, value)
    matches: list[Match] = []
    for status, answer in association.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind):
        if "Status" not in status:
            raise PeerUnavailable(f"{name}: the answer to C-FIND was lost")
        if status.Status in PENDING:
            matches.append(_match(answer, question.keys))
        elif status.Status == OUT_OF_RESOURCES:
            raise PeerUnavailable(f"{name}: C-FIND not now (0x{status.Status:04X})")
        elif status.Status != SUCCESS:
            raise PermanentRefusal(f"{name}: C-FIND was answered with 0x{status.Status:04X}")
    return matches


def _match(answer: Dataset | None, keys: Mapping[str, str]) -> Match:
    if answer is None:  # the library could not decode it
        return dict.fromkeys(keys, "")
    return {keyword: _text(answer, keyword) for keyword in keys}


def _text(answer: Dataset, keyword: str) -> str:
    try:
        value: Any = answer.get(keyword)
    except (ValueError, TypeError, LookupError):  # a malformed value says nothing
        return ""
    return "" if value is None else str(value).strip(" \0")
