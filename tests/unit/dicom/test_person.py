"""Whose a data set is, so that no report of another patient is ever compared with."""

from dataclasses import replace

import pytest
from pydicom import Dataset

from dicom_ai.dicom.person import date_of, person_of
from dicom_ai.domain.prior import Person

ANNA = Person("P1", "CLINIC", "19700131", "F")


def data_set(**attributes: str) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def test_a_person_is_read_without_padding():
    said = data_set(PatientID=" P1 ", IssuerOfPatientID="CLINIC", PatientBirthDate="19700131", PatientSex="F")

    assert person_of(said) == ANNA
    assert person_of(Dataset()) == Person()


@pytest.mark.parametrize(
    "other",
    [{"patient_id": "P2"}, {"issuer": ""}, {"birth_date": "19700130"}, {"sex": "M"}, {"birth_date": ""}],
)
def test_any_difference_is_another_person(other: dict[str, str]):
    assert ANNA.is_surely(ANNA)
    assert not ANNA.is_surely(replace(ANNA, **other))


@pytest.mark.parametrize("unknown", [Person("", "", "19700131", "F"), Person("P1", "", "", "F"), Person()])
def test_who_is_not_known_is_nobody(unknown: Person):
    assert not unknown.is_surely(unknown)


@pytest.mark.parametrize(("said", "date"), [("20260110", "20260110"), ("20261399", ""), ("2026", ""), ("", "")])
def test_a_date_that_is_none_is_empty(said: str, date: str):
    dataset = Dataset()
    dataset.add_new("StudyDate", "LO", said)

    assert date_of(dataset) == date
