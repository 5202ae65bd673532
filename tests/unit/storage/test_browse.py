import pytest

from dicom_ai.domain.browsing import Place, Progress, Search
from dicom_ai.storage import browse
from dicom_ai.storage.database import Database
from dicom_ai.storage.tables import StudyRow

STUDIES = 30


@pytest.fixture
def unwanted(database: Database) -> list[str]:
    """Studies of which no rule took anything, newest first; some came at the same moment."""
    names = ["MÜLLER^ANNA", "Müller^Jan", "Doe^Jane", "O'Neil_100%^Pat"]
    with database.write() as session:
        for number in range(STUDIES):
            row = StudyRow(study_uid=f"1.2.{number:02}", patient_name=names[number % 4], study_date="20260131")
            row.patient_id, row.accession = f"P{number:03}", f"RAD{number:04}"
            row.first_received_at = row.last_received_at = 1000.0 + number // 3
            session.add(row)
    return [f"1.2.{number:02}" for number in reversed(range(STUDIES))]


def walk(database: Database, wanted: Search) -> list[str]:
    """Return what all pages show, from the newest to the oldest."""
    seen: list[str] = []
    place: Place | None = None
    while True:
        with database.read() as session:
            page = browse.search(session, wanted, before=place, most=7)
        seen += [study.study_uid for study in page.studies]
        if page.older is None:
            return seen
        place = page.older


@pytest.mark.parametrize("progress", [None, Progress.UNWANTED])
def test_pages_show_every_study_once_newest_first(
    database: Database, unwanted: list[str], progress: Progress | None
) -> None:
    assert walk(database, Search(progress=progress)) == unwanted


def test_the_way_back_shows_the_same(database: Database, unwanted: list[str]) -> None:
    with database.read() as session:
        second = browse.search(session, Search(), before=Place(1000.0 + 22 // 3, "1.2.23"), most=7)
        first = browse.search(session, Search(), after=second.newer, most=7)

    assert [study.study_uid for study in second.studies] == unwanted[7:14]
    assert [study.study_uid for study in first.studies] == unwanted[:7]


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        (Search(patient="doe jane"), 7),
        (Search(patient="müller"), 16),
        (Search(patient="P012"), 1),
        (Search(patient="%"), 7),
        (Search(patient="_"), 7),
        (Search(accession="0012"), 1),
        (Search(accession="rad"), 30),
        (Search(patient="nobody"), 0),
        (Search(patient="doe", date_from="20260201"), 0),
    ],
)
def test_a_part_of_a_name_or_number_finds_its_studies(
    database: Database, unwanted: list[str], wanted: Search, number: int
) -> None:
    assert len(walk(database, wanted)) == number


@pytest.mark.parametrize("progress", [word for word in Progress if word is not Progress.UNWANTED])
def test_no_other_state_finds_them(database: Database, unwanted: list[str], progress: Progress) -> None:
    assert walk(database, Search(progress=progress)) == []
