"""What each action of the audit trail is in DICOM's words: PS3.15 A.5.3, codes of PS3.16 CID 400 and 401.

To add an action: a row in KINDS, or its name in OWN where DICOM has no event for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value as PS3.15 A.5.1 writes one."""

    value: str
    scheme: str
    meaning: str


class Act(StrEnum):
    """EventActionCode."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


class Outcome(StrEnum):
    """EventOutcomeIndicator."""

    SUCCESS = "0"
    MINOR_FAILURE = "4"
    SERIOUS_FAILURE = "8"


class Way(StrEnum):
    """Which way data go, where they cross the border of the node. IN: who did it is who sent them."""

    NONE = "none"
    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class Kind:
    """One action as an event. types: EventTypeCode, where DICOM has one."""

    event: Code
    act: Act
    outcome: Outcome = Outcome.SUCCESS
    types: tuple[Code, ...] = ()
    way: Way = Way.NONE


def _dcm(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


OWN_SCHEME = "99DICOMAI"
LOG_USED = _dcm("110101", "Audit Log Used")
ACTIVITY = _dcm("110100", "Application Activity")
BEGINNING = _dcm("110102", "Begin Transferring DICOM Instances")
ACCESSED = _dcm("110103", "DICOM Instances Accessed")
TRANSFERRED = _dcm("110104", "DICOM Instances Transferred")
EXPORT = _dcm("110106", "Export")
IMPORT = _dcm("110107", "Import")
QUERY = _dcm("110112", "Query")
ALERT = _dcm("110113", "Security Alert")
AUTHENTICATION = _dcm("110114", "User Authentication")
START = _dcm("110120", "Application Start")
STOP = _dcm("110121", "Application Stop")
LOGIN = _dcm("110122", "Login")
LOGOUT = _dcm("110123", "Logout")
NODE = _dcm("110126", "Node Authentication")
NETWORK = _dcm("110128", "Network Configuration")
SOFTWARE = _dcm("110131", "Software Configuration")
ROLES = _dcm("110136", "Security Roles Changed")
USER = _dcm("110137", "User Security Attributes Changed")
_USER_CHANGED = Kind(ALERT, Act.EXECUTE, types=(USER,))

KINDS: Mapping[str, Kind] = {
    "started": Kind(ACTIVITY, Act.EXECUTE, types=(START,)),
    "stopped": Kind(ACTIVITY, Act.EXECUTE, types=(STOP,)),
    "association rejected": Kind(ALERT, Act.EXECUTE, Outcome.MINOR_FAILURE, types=(NODE,)),
    "images received": Kind(TRANSFERRED, Act.CREATE, way=Way.IN),
    "sending begun": Kind(BEGINNING, Act.EXECUTE, way=Way.OUT),
    "results sent": Kind(TRANSFERRED, Act.CREATE, way=Way.OUT),
    "queried": Kind(QUERY, Act.EXECUTE, way=Way.OUT),
    "backed up": Kind(EXPORT, Act.READ),
    "restored": Kind(IMPORT, Act.CREATE),
    "viewed": Kind(ACCESSED, Act.READ),
    "audit trail viewed": Kind(LOG_USED, Act.READ),
    "audit trail exported": Kind(LOG_USED, Act.READ),
    "images deleted": Kind(ACCESSED, Act.DELETE),
    "results deleted": Kind(ACCESSED, Act.DELETE),
    "downloaded": Kind(EXPORT, Act.READ),
    "delivery refused": Kind(TRANSFERRED, Act.READ, Outcome.SERIOUS_FAILURE, way=Way.OUT),
    "delivery failed": Kind(TRANSFERRED, Act.READ, Outcome.SERIOUS_FAILURE, way=Way.OUT),
    "delivery not confirmed": Kind(TRANSFERRED, Act.READ, Outcome.MINOR_FAILURE, way=Way.OUT),
    "signed in": Kind(AUTHENTICATION, Act.EXECUTE, types=(LOGIN,)),
    "log-in failed": Kind(AUTHENTICATION, Act.EXECUTE, Outcome.MINOR_FAILURE, types=(LOGIN,)),
    "signed out": Kind(AUTHENTICATION, Act.EXECUTE, types=(LOGOUT,)),
    "account added": _USER_CHANGED,
    "account disabled": _USER_CHANGED,
    "account enabled": _USER_CHANGED,
    "password changed": _USER_CHANGED,
    "token added": _USER_CHANGED,
    "token revoked": _USER_CHANGED,
    "role changed": Kind(ALERT, Act.EXECUTE, types=(ROLES,)),
    "neighbours saved": Kind(ALERT, Act.EXECUTE, types=(NETWORK,)),
    "rules saved": Kind(ALERT, Act.EXECUTE, types=(SOFTWARE,)),
    "model turned on": Kind(ALERT, Act.EXECUTE, types=(SOFTWARE,)),
    "model turned off": Kind(ALERT, Act.EXECUTE, types=(SOFTWARE,)),
}

OWN = frozenset(
    {
        "alarm acknowledged",
        "analysis asked for",
        "confirmation asked again",
        "deliveries given up",
        "deliveries hurried",
        "deliveries tried again",
        "delivery given up",
        "delivery tried again",
        "destination tried",
        "file missing",
        "held",
        "hold ended",
        "job given up",
        "job priority changed",
        "job tried again",
        "noticed",
        "pause renamed",
        "paused",
        "report failed",
        "report parked",
        "result accepted",
        "result corrected",
        "result rejected",
        "results withdrawn",
        "resumed",
        "run superseded",
        "sent again",
    }
)
"""Actions without an event in DICOM: their EventID is in the node's own scheme. What a later release adds is, too."""

FAILURES = frozenset({"file missing", "report failed"})
"""Those of OWN that are failures."""


def kind_of(action: str) -> Kind:
    """Return what an action is in DICOM's words; one that DICOM has no event for has a code of our own."""
    outcome = Outcome.SERIOUS_FAILURE if action in FAILURES else Outcome.SUCCESS
    return KINDS.get(action) or Kind(own_code(action), Act.EXECUTE, outcome)


def own_code(words: str) -> Code:
    """Return words as a code of our own."""
    return Code("-".join(words.split()), OWN_SCHEME, words)
