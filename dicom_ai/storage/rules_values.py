"""The values that really occurred in the series of the last days, so that a rule is written from what there is."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.routing.condition import vr_of
from dicom_ai.routing.facts import FACTS
from dicom_ai.storage.database import Database
from dicom_ai.storage.tables import SeriesRow, StudyRow

MOST_SERIES = 2000
"""The newest so many are looked at."""

MOST_VALUES = 100
"""Values offered of one element, the most frequent first."""

_LONGEST = 120

_PERSONAL_VRS = frozenset({"PN", "UI", "DA", "DT", "TM", "LT", "ST", "UT", "UR", "AT"})
_PERSONAL = frozenset(
    {
        "AccessionNumber",
        "AdditionalPatientHistory",
        "AdmissionID",
        "AdmittingDiagnosesDescription",
        "Allergies",
        "ClinicalTrialSubjectID",
        "ClinicalTrialSubjectReadingID",
        "CountryOfResidence",
        "CurrentPatientLocation",
        "DeviceSerialNumber",
        "EthnicGroup",
        "FillerOrderNumberImagingServiceRequest",
        "ImageComments",
        "IssuerOfPatientID",
        "MedicalAlerts",
        "MedicalRecordLocator",
        "MilitaryRank",
        "Occupation",
        "OtherPatientIDs",
        "PatientAddress",
        "PatientComments",
        "PatientID",
        "PatientReligiousPreference",
        "PatientState",
        "PatientTelephoneNumbers",
        "PerformedProcedureStepID",
        "PlacerOrderNumberImagingServiceRequest",
        "PregnancyStatus",
        "ReasonForPerformedProcedureCodeSequence",
        "ReasonForStudy",
        "ReasonForTheImagingServiceRequest",
        "ReasonForTheRequestedProcedure",
        "ReasonForVisit",
        "RegionOfResidence",
        "RequestedProcedureID",
        "ResponsibleOrganization",
        "ScheduledProcedureStepID",
        "ServiceEpisodeID",
        "SmokingStatus",
        "SpecialNeeds",
        "StudyID",
    }
)
"""What may tell a patient, free text included: a rule may ask for it, and its values are not listed."""


@dataclass(frozen=True, slots=True)
class Occurred:
    """A value, and in how many series it occurred."""

    value: str
    series: int


@dataclass(frozen=True, slots=True)
class Occurrences:
    """What there was. series: how many were looked at. keywords: elements that had a value, the most frequent first.

    values: by keyword or fact, the most frequent first.
    """

    series: int
    keywords: tuple[Occurred, ...] = field(repr=False)
    values: Mapping[str, tuple[Occurred, ...]] = field(repr=False)


@cache
def is_listed(name: str) -> bool:
    """Say whether values of a keyword or fact are listed: none that could tell a patient, or that no rule can name."""
    vr = vr_of(name)
    return bool(vr) and vr not in _PERSONAL_VRS and name not in _PERSONAL


def occurrences(database: Database, names: Collection[str], *, days: float) -> Occurrences:
    """Return the values that some keywords and facts had in the newest series of some days, at most a minute old."""
    minute = int((database.clock() - days * 86_400) // 60)
    lately = _lately(database, minute)
    return Occurrences(lately.series, lately.keywords, {name: lately.values.get(name, ()) for name in names})


@lru_cache(maxsize=1)
def _lately(database: Database, minute: int) -> Occurrences:
    """Return everything that is listed, since a minute; kept, because an editor asks again at every button."""
    elements: Counter[str] = Counter()
    counts: dict[str, Counter[str]] = {name: Counter() for name in FACTS}
    series = 0
    with database.read() as session:
        for header, derived in _newest(session, minute * 60):
            series += 1
            for name in (*header, *derived):
                if found := set(_values(name, header, derived)):
                    elements[name] += 1
                    counts.setdefault(name, Counter()).update(found)
    keywords = [Occurred(name, number) for name, number in elements.most_common() if name not in FACTS]
    values = {
        name: tuple(Occurred(value, number) for value, number in _by_count(count)[:MOST_VALUES])
        for name, count in counts.items()
    }
    return Occurrences(series, tuple(one for one in keywords if is_listed(one.value)), values)


def _newest(session: Session, since: float) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    query = (
        sa.select(SeriesRow.facts, SeriesRow.derived)
        .join(StudyRow, StudyRow.study_uid == SeriesRow.study_uid)
        .where(StudyRow.last_received_at >= since, SeriesRow.routed_revision > 0)
        .order_by(StudyRow.last_received_at.desc())
        .limit(MOST_SERIES)
    )
    for header, derived in session.execute(query):
        if header is not None:
            yield header, (derived or {}).get("facts", {})


def _values(name: str, header: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    """Return the values of a keyword or fact that are listed."""
    if not is_listed(name):
        return []
    if name in FACTS:
        value = facts.get(name, [None])[0]
        return [] if value is None else [_told(value)]
    return [value for value in header.get(name, [""])[1:] if value and len(value) <= _LONGEST]


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float | int) else str(value)


def _by_count(count: Counter[str]) -> list[tuple[str, int]]:
    return sorted(count.items(), key=lambda item: (-item[1], item[0]))
