"""Whether a destination knows a study as the node does: the same patient, accession and study, or none at all.

Asked just before sending, so that a result never makes a second patient or study. To add a kind of destination: write
a function as AskIdentity and name it in IDENTITY; what is not named there cannot be asked, and is said to be unchecked.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from dicom_ai.destinations import c_store, qido
from dicom_ai.destinations.delivery import text
from dicom_ai.dimse.find import Level, Match, Question, ask
from dicom_ai.domain.destination import Destination
from dicom_ai.errors import ConfigError

COMPARED = ("PatientID", "IssuerOfPatientID", "PatientBirthDate", "AccessionNumber", "StudyInstanceUID")
ALWAYS = frozenset({"PatientID", "StudyInstanceUID"})
"""Compared even where one side has no value; the others only where both have: many archives do not return them."""

UNKNOWN = "the study is unknown there"


class Check(StrEnum):
    """Parameter check_identity of a destination. required: it must know the study, and as we do. if_known: it need not
    know it. off: it is not asked."""

    REQUIRED = "required"
    IF_KNOWN = "if_known"
    OFF = "off"


class AskIdentity(Protocol):
    """A way to ask."""

    def __call__(self, study_uids: Sequence[str], destination: Destination) -> tuple[Sequence[Match], ...]:
        """Return, per study, what the destination says of it: none where it does not know the study.

        Raises PeerUnavailable where it does not answer now, PermanentRefusal where it cannot be asked.
        """


def check_of(destination: Destination) -> Check:
    """Return how a destination is to be asked. Raises ConfigError for another word."""
    word = text(destination, "check_identity", Check.REQUIRED)
    if word not in set(Check):
        raise ConfigError(f"destination {destination.name}: check_identity is one of {', '.join(Check)}")
    return Check(word) if destination.kind in IDENTITY else Check.OFF


def by_c_find(study_uids: Sequence[str], destination: Destination) -> tuple[Sequence[Match], ...]:
    """Ask by C-FIND at the level of studies, over one association."""
    questions = [Question(Level.STUDY, _keys(study_uid)) for study_uid in study_uids]
    answers = ask(c_store.remote_ae(destination), questions, timeouts=c_store.timeouts(destination))
    return tuple(_of(study_uid, matches) for study_uid, matches in zip(study_uids, answers, strict=True))


def by_qido(study_uids: Sequence[str], destination: Destination) -> tuple[Sequence[Match], ...]:
    """Ask by QIDO-RS, one request per study."""
    return tuple(_of(study_uid, qido.ask(destination, "studies", _keys(study_uid))) for study_uid in study_uids)


IDENTITY: dict[str, AskIdentity] = {"c_store": by_c_find, "stow_rs": by_qido}
"""Kind of destination -> how it is asked."""


def disagreement(here: Mapping[str, str], there: Sequence[Match], check: Check) -> str:
    """Return why a result must not go there, without any value; "" where it may.

    A destination that knows the study of several patients is in doubt itself: all must agree.
    """
    if not there:
        return UNKNOWN if check is Check.REQUIRED else ""
    differing = [key for key in COMPARED if any(_differ(key, here.get(key, ""), match[key]) for match in there)]
    if differing and any(not _differ(key, here.get(key, ""), match[key]) for match in there for key in differing):
        return f"the study is there {len(there)} times, also with another {', '.join(differing)}"
    return f"the study is there with another {', '.join(differing)}" if differing else ""


def _keys(study_uid: str) -> dict[str, str]:
    return {**dict.fromkeys(COMPARED, ""), "StudyInstanceUID": study_uid}


def _of(study_uid: str, matches: Sequence[Match]) -> Sequence[Match]:
    """Leave out what an archive that ignores the key returns beside."""
    return tuple(match for match in matches if match["StudyInstanceUID"] == study_uid)


def _differ(keyword: str, here: str, there: str) -> bool:
    one, other = (value.replace(".", "") if keyword == "PatientBirthDate" else value.strip() for value in (here, there))
    if keyword not in ALWAYS and not (one and other):
        return False
    return one != other
