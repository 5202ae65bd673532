"""What the page says of patient and examination, in the words of the images' own headers."""

from collections.abc import Iterable

from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from dicom_ai.domain.study import Series


def identity_lines(header: Dataset) -> tuple[str, ...]:
    """Return who the patient is. header: of a source image, normalised."""
    facts = {
        "": _name(header.PatientName),
        "ID": _text(header, "PatientID"),
        "issuer": _text(header, "IssuerOfPatientID"),
        "born": _date(header, "PatientBirthDate"),
        "sex": _text(header, "PatientSex"),
    }
    return (_joined(facts),)


def study_lines(header: Dataset) -> tuple[str, ...]:
    """Return which examination it is, without a word that says of whom."""
    return (_joined({"": _text(header, "StudyDescription"), "examination of": _date(header, "StudyDate")}),)


def series_names(series: Iterable[Series]) -> dict[str, str]:
    """Return series UID -> "series 3 t2_sag", as people find it in a viewer."""
    names = {}
    for one in series:
        parts = ["series", *(e.text for k in ("SeriesNumber", "SeriesDescription") if (e := one.header.get(k)))]
        names[one.series_uid] = " ".join(part for part in parts if part)
    return names


def _name(name: PersonName | str) -> str:
    """Return a name for people: "Yamada Tarou (山田 太郎)", the phonetic group left out."""
    groups = [group.replace("^", " ").strip() for group in str(name or "").split("=")]
    letters, *others = groups or [""]
    signs = others[0] if others else ""
    if letters and signs:
        return f"{' '.join(letters.split())} ({' '.join(signs.split())})"
    return " ".join((letters or signs).split())


def _text(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "").strip()


def _date(header: Dataset, keyword: str) -> str:
    digits = _text(header, keyword)
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}" if len(digits) == 8 and digits.isdigit() else digits


def _joined(facts: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}".strip() for name, value in facts.items() if value)
