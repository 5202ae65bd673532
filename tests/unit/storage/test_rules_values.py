from dataclasses import replace

import pytest

from dicom_ai.routing.candidate import candidate_of, kept_header, kept_rest
from dicom_ai.storage import rules_values
from dicom_ai.storage.database import Database
from dicom_ai.storage.rules_values import Occurred
from dicom_ai.storage.tables import SeriesRow, StudyRow
from tests.unit.routing.headers import AXIAL, SAGITTAL, mr


def keep(database: Database, uid: str, at: float, **values: object) -> None:
    """Keep what rules see of a series, as routing would."""
    orientation = str(values.pop("orientation", AXIAL))
    seen = replace(candidate_of(mr("t2", orientation, **values)), study_uid=uid, series_uid=f"{uid}.1")
    with database.write() as session:
        session.add(
            StudyRow(
                study_uid=uid, patient_id="", accession="", study_date="", first_received_at=at, last_received_at=at
            )
        )
        session.flush()
        session.add(
            SeriesRow(
                study_uid=uid,
                series_uid=seen.series_uid,
                modality="MR",
                first_received_at=at,
                last_received_at=at,
                revision=1,
                routed_revision=1,
                facts=kept_header(seen),
                derived=kept_rest(seen),
            )
        )


@pytest.fixture
def seen(database: Database) -> Database:
    keep(
        database,
        "1",
        100,
        StationName="MR02",
        PatientName="Doe^Jane",
        PatientID="7",
        PatientComments="twin of P-8",
        orientation=SAGITTAL,
    )
    keep(database, "2", 200, StationName="MR02", ImageType="ORIGINAL\\PRIMARY")
    keep(database, "3", 300, StationName="MR01", ImageType="DERIVED\\PRIMARY")
    return database


def found(database: Database, *names: str, since: float = 0) -> rules_values.Occurrences:
    return rules_values.occurrences(database, names, days=(database.clock() - since) / 86_400)


def test_values_that_occurred_are_counted_the_most_frequent_first(seen: Database) -> None:
    occurred = found(seen, "StationName", "ImageType", "plane", "EchoTime")

    assert occurred.series == 3
    assert occurred.values["StationName"] == (Occurred("MR02", 2), Occurred("MR01", 1))
    assert occurred.values["ImageType"][0] == Occurred("PRIMARY", 3)
    assert occurred.values["plane"] == (Occurred("axial", 2), Occurred("sagittal", 1))
    assert occurred.values["EchoTime"] == ()
    assert Occurred("StationName", 3) in occurred.keywords


def test_only_series_that_came_since_a_time_count(seen: Database) -> None:
    assert found(seen, "StationName", since=300).values["StationName"] == (Occurred("MR01", 1),)


@pytest.mark.parametrize(
    "name", ["PatientName", "PatientID", "AccessionNumber", "SeriesInstanceUID", "StudyDate", "PatientComments"]
)
def test_what_may_tell_a_patient_is_not_listed(seen: Database, name: str) -> None:
    occurred = found(seen, name)

    assert occurred.values[name] == ()
    assert name not in {one.value for one in occurred.keywords}


def test_codes_are_listed_by_their_meaning_and_what_no_rule_can_name_is_not() -> None:
    assert rules_values.is_listed("AnatomicRegionSequence")
    assert rules_values.is_listed("plane")
    assert not rules_values.is_listed("ContributingManufacturers")
