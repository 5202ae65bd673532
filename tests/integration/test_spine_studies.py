"""Spine studies that no rule took are counted alike on both kinds of database, and alarm where they are most."""

from pathlib import Path

import pytest

from dicom_ai.alarms.conditions import Limits, Node, spine_missed
from dicom_ai.storage import decisions, rules, schema, signs
from dicom_ai.storage.database import Database, Session, now
from dicom_ai.storage.decisions import StoredDecision
from dicom_ai.storage.disk import Disk
from dicom_ai.storage.signs import SpineStudies
from dicom_ai.storage.tables import SeriesRow, StudyRow
from tests.integration.sizes import SIZES
from tests.integration.test_migrations import database_of

HOUR_S = 3600.0
AGE = "brakes: the study is of 2020-01-01; brakes.max_study_age_days is 7"


def study(
    session: Session,
    uid: str,
    *,
    region: str | None = "spine",
    modality: str = "MR",
    localizer: bool | None = False,
    taken: bool = False,
    reason: str = "Modality equals MR is not true",
    hours_ago: float = 2,
) -> None:
    at = now(session) - hours_ago * HOUR_S
    names = {"patient_id": "", "accession": "", "study_date": "", "patient_name": ""}
    session.add(StudyRow(study_uid=uid, first_received_at=at, last_received_at=at, **names))
    session.flush()
    derived = {"facts": {"region": [region, "seen"], "localizer": [localizer, "seen"]}}
    row = SeriesRow(study_uid=uid, series_uid=f"{uid}.1", modality=modality, first_received_at=at, last_received_at=at)
    row.revision, row.derived = 1, derived
    session.add(row)
    session.flush()
    decided = StoredDecision(f"{uid}.1", "neck", "cord", taken, False, (reason,))
    decisions.replace(session, uid, [decided], rules_version=1)


def fill(session: Session) -> None:
    """Two spine studies that a rule took, four that none did, and what is none or does not count."""
    for uid in ("1.1", "1.2"):
        study(session, uid, taken=True)
    for uid in ("2.1", "2.2", "2.3"):
        study(session, uid)
    study(session, "2.4", localizer=None, modality="DX")
    study(session, "3.1", region="brain")
    study(session, "3.2", region=None)
    study(session, "3.3", localizer=True)
    study(session, "3.4", modality="CT")
    study(session, "3.5", reason=AGE)
    study(session, "3.6", hours_ago=30)
    study(session, "3.7", hours_ago=0.5)


def alarms(database: Database, percent: float) -> list[str]:
    limits = Limits(0, 0, 0, 0, 0, 0, 0, 1, spine_missed_percent=percent)
    with database.read() as session:
        node = Node(session, limits, (), Disk(total=100, free=50), reserve_bytes=10)
        return [found.text for found in spine_missed(node)]


@pytest.mark.parametrize("size", SIZES)
def test_spine_studies_that_no_rule_took_alarm_where_they_are_most(tmp_path: Path, size: str) -> None:
    with database_of(size, tmp_path) as database:
        schema.upgrade(database)
        with database.write() as session:
            fill(session)
            at = now(session)
            counted = signs.spine_studies(session, since=at - 24 * HOUR_S, until=at - HOUR_S)
        without_rules = alarms(database, 50)
        with database.write() as session:
            rules.save(session, {"rule": [{"name": "neck", "model": "cord", "state": "on"}]}, author="anna", note="")
        found = [alarms(database, percent) for percent in (50, 70, 0)]

    assert counted == SpineStudies(number=6, missed=4)
    assert without_rules == []
    assert found == [["4 of 6 spine studies of the last day were taken by no rule"], [], []]
