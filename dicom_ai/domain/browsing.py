"""What people look studies up by, and what a list of them says."""

from dataclasses import dataclass
from enum import StrEnum


class Progress(StrEnum):
    """How far a study is, in one word; the one that needs a person first wins.

    held: something waits for a person. failed: an analysis or a delivery was given up or refused. receiving: images
    come, or have not been routed. analysing: a report is on its way. sending: its results wait for a destination.
    sent: every destination has them. reported: a report that goes nowhere (shadow). unwanted: no rule took a series.
    """

    HELD = "held"
    FAILED = "failed"
    RECEIVING = "receiving"
    ANALYSING = "analysing"
    SENDING = "sending"
    SENT = "sent"
    REPORTED = "reported"
    UNWANTED = "unwanted"


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for; empty: anything. patient: part of name or ID. date_from, date_to: study dates, YYYYMMDD."""

    patient: str = ""
    accession: str = ""
    date_from: str = ""
    date_to: str = ""
    progress: Progress | None = None
    study_uid: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the list of studies, newest first: when the study's last image came, and its UID."""

    at: float
    study_uid: str

    @property
    def text(self) -> str:
        """The place as one word, for an address."""
        return f"{self.at!r}_{self.study_uid}"

    @classmethod
    def parse(cls, text: str) -> "Place | None":
        """Return the place that a word names; None for "" and for anything malformed."""
        at, _, study_uid = text.partition("_")
        try:
            return cls(float(at), study_uid) if study_uid else None
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class StudySummary:
    """A study in a list. modalities: of its series, each once."""

    study_uid: str
    patient_name: str
    patient_id: str
    accession: str
    study_date: str
    first_received_at: float
    last_received_at: float
    progress: Progress
    series: int
    modalities: tuple[str, ...]

    @property
    def place(self) -> Place:
        """Its place in the list."""
        return Place(self.last_received_at, self.study_uid)


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """A series of a study. images: kept ones; deleted: those whose files retention has deleted."""

    series_uid: str
    modality: str
    number: str
    description: str
    images: int
    deleted: int
    first_received_at: float
    last_received_at: float
    routed: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened to a study. kind: how it is shown, a state in words."""

    at: float
    what: str
    detail: str = ""
    kind: str = ""
