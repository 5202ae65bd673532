"""Who a data set says it is of, in a form that can be compared."""

from datetime import datetime

from pydicom.dataset import Dataset

from dicom_ai.domain.prior import Person


def person_of(dataset: Dataset) -> Person:
    """Return the patient of a data set. A birth date in the form of ACR-NEMA (1970.01.31) counts as the same."""
    return Person(
        patient_id=_text(dataset, "PatientID"),
        issuer=_text(dataset, "IssuerOfPatientID"),
        birth_date=_text(dataset, "PatientBirthDate").replace(".", ""),
        sex=_text(dataset, "PatientSex").upper(),
    )


def date_of(dataset: Dataset) -> str:
    """Return the StudyDate as YYYYMMDD; "" where it is absent or malformed."""
    date = _text(dataset, "StudyDate").replace(".", "")
    try:
        return f"{datetime.strptime(date, '%Y%m%d'):%Y%m%d}" if len(date) == 8 else ""
    except ValueError:
        return ""


def _text(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip(" \0")
