"""Pauses and retention on PostgreSQL: the cases of the unit tests, with the other database."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicom_ai.domain.destination import Destination
from dicom_ai.pipeline import send
from dicom_ai.storage import pauses, schema
from dicom_ai.storage.pauses import PauseKind, Subject
from tests.integration.servers import postgres
from tests.unit.pipeline import test_retain as cases
from tests.unit.pipeline.lab import Lab


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture
def lab(database_url: str, tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path, database_url=database_url)
    yield lab
    schema.downgrade(lab.database, to="base")
    lab.database.close()


@pytest.mark.parametrize(
    "case",
    [
        cases.test_images_no_rule_wants_go_after_a_day_and_not_before,
        cases.test_analysed_images_go_a_week_after_their_results_were_sent,
        cases.test_what_is_deleted_stands_in_the_audit_trail,
        cases.test_results_go_after_ninety_days,
        cases.test_masks_go_with_the_images_they_were_made_of,
        cases.test_killed_between_row_and_file_it_is_finished_later,
        cases.test_the_same_study_sent_again_is_kept_again_and_makes_no_second_result,
        cases.test_the_whole_study_sent_again_with_a_new_series_is_analysed_whole,
        cases.test_the_rates_count_what_came_and_what_went,
    ],
    ids=lambda case: case.__name__,
)
def test_retention(lab: Lab, case: Callable[[Lab], None]) -> None:
    case(lab)


@pytest.mark.parametrize(
    "subject",
    [
        Subject(PauseKind.ALL),
        Subject(PauseKind.RULE, "cord"),
        Subject(PauseKind.MODEL, "cord"),
        Subject(PauseKind.DESTINATION, "pacs"),
    ],
    ids=lambda subject: subject.text,
)
def test_a_pause_holds_until_it_ends(lab: Lab, subject: Subject) -> None:
    cases.unsent(lab)
    sender = lab.sender(Destination("pacs", "folder", {"folder": str(lab.folder)}))
    with lab.database.write() as session:
        assert pauses.pause(session, subject, who="anna", why="")
    assert send.claim(sender, "sender", 60) is None
    with lab.database.write() as session:
        assert [item.held for item in pauses.all_of(session)] == [2]
        assert pauses.resume(session, subject, who="anna", why="")

    turn = send.claim(sender, "sender", 60)
    assert turn is not None
    assert len(turn.deliveries) == 2


def test_a_pause_that_two_people_set_at_once_is_set_once(lab: Lab) -> None:
    set_by = []

    def pause(who: str) -> None:
        with lab.database.write() as session:
            set_by.append(pauses.pause(session, Subject(PauseKind.ALL), who=who, why=""))

    people = [threading.Thread(target=pause, args=(who,)) for who in ("anna", "ben")]
    for person in people:
        person.start()
    for person in people:
        person.join()

    assert sorted(set_by) == [False, True]
