"""An earlier report of the same patient: whose it must be, and what its numbers are compared under."""

from dataclasses import dataclass, field
from enum import StrEnum


class Change(StrEnum):
    """What a change since an earlier examination means. unknown: nobody has measured how well the model repeats."""

    WITHIN_ERROR = "within_error"
    LARGER = "larger"
    SMALLER = "smaller"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Person:
    """Who an object says it is of. birth_date: YYYYMMDD."""

    patient_id: str = field(default="", repr=False)
    issuer: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    sex: str = field(default="", repr=False)

    @property
    def is_known(self) -> bool:
        """Whether it says enough to be told from others: an ID alone may be given twice."""
        return bool(self.patient_id and self.birth_date)

    def is_surely(self, other: "Person") -> bool:
        """Tell whether both are one person: everything is said alike, also what neither says."""
        return self.is_known and self == other


@dataclass(frozen=True, slots=True)
class Examination:
    """The study for which an earlier report is looked for. study_date: YYYYMMDD."""

    person: Person
    study_uid: str
    study_date: str


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What made the images of a series, as far as areas depend on it; "" where that is not known.

    scanner: maker, model and serial number. contrast: "T2w".
    """

    scanner: str = ""
    contrast: str = ""


@dataclass(frozen=True, slots=True)
class Maker:
    """The model that made a finding, as a report names it. family, digest: "" in reports that do not say them."""

    name: str
    version: str
    family: str = ""
    digest: str = ""
