"""The short part of `make faults`, with every run of the tests; and the books must see what is wrong."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid
from rich.console import Console

from tests import builders
from tests.faults.ledger import ON_THE_WAY_S, Expected, Ledger, Patient, Tally, left_too_late, whole
from tests.faults.play import Outcome, play, show, verdict_of, write_json, write_markdown
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.site import ONE, Site
from tests.integration.listening import as_sent

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
    shutil.rmtree(outcome.kept)


def test_a_scenario_that_breaks_is_bad_and_leaves_its_folder() -> None:
    def break_off(folder: Path, size: str) -> Iterator[Site]:
        (folder / "log").write_text("why")
        raise ConnectionRefusedError("nobody listens")
        yield

    outcome = play(Scenario("broken", break_off), ONE)

    assert outcome.verdict == "BAD: ConnectionRefusedError: nobody listens"
    assert (Path(outcome.kept) / "log").read_text() == "why"
    shutil.rmtree(outcome.kept)


EVEN = Tally(acknowledged=8, lost=0, results=2, missing=0, doubled=0, wrong_patient=0)


def test_a_scenario_of_which_no_fault_struck_is_no_trial() -> None:
    outcomes = [Outcome("a", ONE, 1.0, EVEN, faults=3, struck=struck) for struck in (3, 0)]

    assert [outcome.verdict for outcome in outcomes] == ["good", "BAD: no fault struck"]
    assert verdict_of(outcomes) == "1 BAD"


def test_what_was_skipped_is_said_and_not_called_good(tmp_path: Path) -> None:
    outcomes = [Outcome("a", ONE, 1.0, EVEN, faults=1, struck=1), Outcome("b", ONE, 0.0, skipped="no root")]

    show(outcomes, Console(file=(shown := StringIO()), width=180))
    assert "b (one process): skipped: no root" in shown.getvalue()
    write_json(outcomes, tmp_path / "rows.json")
    write_markdown(outcomes, tmp_path / "table.md")

    written = json.loads((tmp_path / "rows.json").read_text())
    assert written["verdict"] == "good, 1 skipped"
    assert [row["verdict"] for row in written["rows"]] == ["good", "skipped: no root"]
    assert (tmp_path / "table.md").read_text().splitlines()[2:] == [
        "| a | one process | 1 of 1 | 8 | 0 | 2 | 0 | 0 | 0 |",
        "| b | one process | skipped: no root |",
        "| **all** |  | 1 of 1 | 8 | 0 | 2 | 0 | 0 | 0 |",
    ]


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


def test_a_result_of_which_the_archive_has_a_part_has_not_arrived(tmp_path: Path) -> None:
    (path,) = builders.write(builders.mr_series(builders.ramp((1, 16, 16))), tmp_path)
    uid, digest = str(dcmread(path).SOPInstanceUID), hashlib.sha256(as_sent(path)).hexdigest()

    assert whole(path, {uid: digest})
    path.write_bytes(path.read_bytes()[:-100])  # in the pixels: the header can still be read
    assert whole(path, {uid: digest}) is None


def test_what_leaves_long_after_a_correction_is_not_excused(tmp_path: Path) -> None:
    path = tmp_path / "result"
    path.touch()
    os.utime(path, (1000.0, 1000.0))

    assert not left_too_late(path, 1000.0 - ON_THE_WAY_S)
    assert left_too_late(path, 999.0 - ON_THE_WAY_S)
    assert not left_too_late(path, None)
