"""Corrections, holds and evidence on PostgreSQL: cases of the unit tests, with the other database."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicom_ai.storage import schema
from dicom_ai.storage.database import Database
from dicom_ai.storage.files import FileStore
from dicom_ai.storage.holds import Decision
from tests.integration.servers import postgres
from tests.unit.pipeline import test_compare as corrections
from tests.unit.pipeline import test_evidence as completeness


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.mark.parametrize(
    "case",
    [
        corrections.test_nothing_is_routed_or_sent_before_an_image_is_compared,
        corrections.test_a_correction_holds_unsent_results_and_is_reported_again,
        corrections.test_a_correction_that_is_taken_back_is_for_a_person,
        corrections.test_a_second_patient_who_was_the_first_corrected_ends_the_hold,
        corrections.test_an_image_that_moves_to_another_study_leaves_the_first,
        lambda desk: corrections.test_a_person_says_which_pixels_count(desk, Decision.NEWEST, True),
        lambda desk: corrections.test_a_person_says_which_patient_the_study_is_about(desk, Decision.NEWEST, 5),
        lambda desk: corrections.test_what_left_under_the_old_identity_is_listed_for_withdrawal(
            desk, "unknown", "maybe"
        ),
    ],
)
def test_corrections(database_url: str, tmp_path: Path, case: Callable[[corrections.Desk], None]) -> None:
    database = Database(database_url)
    schema.upgrade(database)
    case(corrections.Desk(database, FileStore(tmp_path / "data")))
    schema.downgrade(database, to="base")
    database.close()


@pytest.mark.parametrize(
    "case",
    [
        completeness.test_a_stack_from_a_sender_with_the_habit_is_complete_when_its_association_is_over,
        completeness.test_what_an_ian_names_is_complete_when_it_has_come_and_not_before,
        completeness.test_a_procedure_step_counts_when_it_is_completed,
    ],
)
def test_evidence(database_url: str, tmp_path: Path, case: Callable[[completeness.Desk], None]) -> None:
    desk = completeness.Desk(tmp_path, database_url=database_url)
    case(desk)
    schema.downgrade(desk.database, to="base")
    desk.database.close()
