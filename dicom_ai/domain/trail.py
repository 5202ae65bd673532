"""What people look for in the audit trail."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrailSearch:
    """What to look for; empty: anything. who, action: as the trail has them.

    begin, end: seconds since 1970, end not included. study_uid: what happened to a study or its runs, and
    who looked at a list in which it stood.
    """

    who: str = ""
    action: str = ""
    study_uid: str = ""
    begin: float | None = None
    end: float | None = None
