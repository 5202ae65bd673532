"""The short part of `make faults`, with every run of the tests; and the books must see what is wrong."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from tests.faults.ledger import Expected, Ledger, Patient
from tests.faults.play import play
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.site import ONE, Site

SHORT = [(scenario, size) for scenario in SCENARIOS for size in scenario.short]
ANNA, BERTA = Patient("1", "A^Anna", "19700101"), Patient("2", "B^Berta", "19710101")


@pytest.mark.parametrize(("scenario", "size"), SHORT, ids=[f"{scenario.name}, {size}" for scenario, size in SHORT])
# pynetdicom drops a socket that was refused without closing it; the collector closes it, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nothing_is_lost_doubled_or_given_to_the_wrong_patient(scenario: Scenario, size: str) -> None:
    outcome = play(scenario, size)

    if outcome.skipped:
        pytest.skip(outcome.skipped)
    assert outcome.good, outcome


def test_a_scenario_that_never_ends_is_bad() -> None:
    def play_for_ever(folder: Path, size: str) -> Iterator[Site]:
        raise TimeoutError("not within 1 s: anything")
        yield

    outcome = play(Scenario("stuck", play_for_ever), ONE)

    assert not outcome.good
    assert outcome.verdict == "BAD: not within 1 s: anything"


def result(patient: Patient, kind: str, *, replaces: bool = False, study_uid: str = "1.2") -> Dataset:
    dataset = Dataset()
    dataset.StudyInstanceUID, dataset.SOPInstanceUID, dataset.Modality = study_uid, generate_uid(), kind
    dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate = patient.id, patient.name, patient.birth_date
    if replaces:
        dataset.PredecessorDocumentsSequence = Sequence([Dataset()])
    return dataset


@pytest.mark.parametrize(
    ("versions", "results", "missing", "doubled", "wrong_patient"),
    [
        (1, [("SEG", ANNA), ("SR", ANNA)], 0, 0, 0),
        (1, [("SEG", ANNA)], 1, 0, 0),
        (1, [("SEG", ANNA), ("SR", ANNA), ("SR", ANNA)], 0, 2, 0),
        (2, [("SEG", ANNA), ("SR", ANNA), ("SEG", ANNA), ("SR", ANNA)], 0, 1, 0),
        (1, [("SEG", ANNA), ("SR", BERTA)], 0, 0, 1),
    ],
)
def test_the_books_see_what_is_wrong(
    versions: int, results: list[tuple[str, Patient]], missing: int, doubled: int, wrong_patient: int
) -> None:
    ledger = Ledger()
    ledger.expect(Expected("1.2", ANNA, versions))

    tally = ledger.compare([result(patient, kind) for kind, patient in results], kept=frozenset())

    assert (tally.missing, tally.doubled, tally.wrong_patient) == (missing, doubled, wrong_patient)


def test_a_later_report_that_names_the_earlier_is_no_double() -> None:
    ledger = Ledger()
    ledger.expect(Expected("1.2", ANNA, versions=2))
    results = [result(ANNA, kind, replaces=replaces) for replaces in (False, True) for kind in ("SEG", "SR")]

    assert ledger.compare(results, kept=frozenset()).doubled == 0


def test_a_result_of_a_study_nobody_sent_is_of_the_wrong_patient() -> None:
    tally = Ledger().compare([result(ANNA, "SR", study_uid="9")], kept=frozenset())

    assert (tally.wrong_patient, tally.good) == (1, False)


def test_an_acknowledged_image_that_is_not_kept_is_lost(tmp_path: Path) -> None:
    ledger = Ledger(acknowledged={("1", "a"): tmp_path, ("2", "b"): tmp_path})

    assert ledger.compare([], kept={("1", "a"), ("2", "other bytes")}).lost == 1
