"""dicom-ai results: what a person sees and says."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from dicom_ai.cli import results as command
from dicom_ai.domain.destination import Destination
from dicom_ai.errors import ConfigError
from dicom_ai.pipeline import send
from dicom_ai.storage import holds
from dicom_ai.storage.holds import HoldKind, NewHold
from dicom_ai.storage.outbox import OutboxState
from dicom_ai.storage.tables import OutboxRow
from tests.unit.pipeline.lab import STUDY, Lab
from tests.unit.pipeline.test_report import analysed, reported


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A node whose archive has a SEG and an SR of model cord."""
    lab = Lab(tmp_path)
    analysed(lab)
    reported(lab)
    (tmp_path / "out").mkdir()
    sender = lab.sender(Destination("pacs", "folder", {"folder": str(tmp_path / "out")}))
    claimed = send.claim(sender, "sender", 60)
    assert claimed is not None
    assert send.run(sender, claimed) == 2
    yield lab
    lab.database.close()


def run(lab: Lab, *arguments: str) -> Result:
    config = lab.folder / "dicom-ai.toml"
    config.write_text(
        f'[storage]\ndata_dir = "{lab.files.root}"\ndatabase_url = "{lab.database.url}"\n'
        f'[[destinations]]\nname = "pacs"\nkind = "folder"\nparameters = {{ folder = "{lab.folder / "out"}" }}\n'
    )
    return CliRunner().invoke(command.command, [*arguments, "--config", str(config)])


def hold(lab: Lab) -> int:
    new = NewHold(HoldKind.PATIENTS, STUDY, "two patients", detail={"PatientID": ["P1", "P2"]})
    with lab.database.write() as session:
        return holds.hold(session, new, who="node")


def test_what_is_held_is_listed_without_patient_data_and_shown_with_it(lab: Lab) -> None:
    number = hold(lab)
    listed, shown = run(lab, "list").output, json.loads(run(lab, "show", str(number)).output)

    assert f"patients  study {STUDY}" in listed
    assert "  0 deliveries wait\n" in listed
    assert f"dicom-ai results decide {number} first|newest" in listed
    assert "P1" not in listed
    assert shown["detail"] == {"PatientID": ["P1", "P2"]}


def test_a_decision_ends_it_with_who_and_why(lab: Lab) -> None:
    number = hold(lab)
    said = run(lab, "decide", str(number), "first", "--who", "anna", "--why", "asked the ward").output

    assert said == f"first: hold {number} of study {STUDY}; 0 deliveries were waiting for it\n"
    ended = lab.look(holds.find, number)
    assert (ended.decision, ended.who, ended.why) == ("first", "anna", "asked the ward")
    assert run(lab, "list").output == "held: none\nto withdraw: none\n"


def test_a_notice_what_may_be_at_a_destination_and_a_recall_without_a_reason_say_so(lab: Lab) -> None:
    notice = NewHold(HoldKind.CORRECTION, STUDY, "PatientID of the images changed", blocks=False)
    with lab.database.write() as session:
        holds.hold(session, notice, who="compare")
        session.execute(sa.update(OutboxRow).values(destination="gone"))
        session.execute(sa.update(OutboxRow).where(OutboxRow.id == 1).values(state=OutboxState.UNKNOWN))
    said = run(lab, "recall", "--model", "cord", "--withdraw").output
    lines = run(lab, "list").output.splitlines()

    assert f"study {STUDY}: 2 objects rejected, to no destination of the settings: results/1/recall/" in said
    assert lines[1].endswith("  a notice: nothing waits")
    assert sorted(line.split("  ")[-1] for line in lines[-2:]) == [
        "is there: model cord was withdrawn: no reason was given",
        "may be there: model cord was withdrawn: no reason was given",
    ]


def test_what_makes_no_sense_is_refused_in_words(lab: Lab) -> None:
    hold(lab)
    wrong = {
        ("decide", "99", "first"): "there is no open hold 99",
        ("decide", "1", "release"): "hold 1 (patients) is decided by first or newest",
        ("show", "99"): "there is no hold 99",
    }

    found = {arguments: run(lab, *arguments).exception for arguments in wrong}
    assert {arguments: str(error) for arguments, error in found.items()} == wrong
    assert {type(error) for error in found.values()} == {ConfigError}


def test_a_recall_lists_every_object_study_and_destination_and_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "recall.csv"
    said = run(lab, "recall", "--model", "cord", "--since", "1970-01-01", "--csv", str(file)).output

    with file.open(encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    assert [(row["study_uid"], row["destination"], row["kind"], row["there"]) for row in rows] == [
        (STUDY, "pacs", "sr", "yes"),
        (STUDY, "pacs", "seg", "yes"),
    ]
    assert said == "model cord: 2 objects of 1 studies; 2 of them are, or may be, at 1 destinations\n"
    assert "to withdraw: none" in run(lab, "list").output


def test_a_recall_that_withdraws_queues_a_rejection_note(lab: Lab) -> None:
    said = run(lab, "recall", "--model", "cord", "--withdraw", "--why", "wrong levels").output

    assert f"study {STUDY}: 2 objects rejected, to pacs: results/1/recall/" in said
    assert "to withdraw: 2" in run(lab, "list").output


def test_a_recall_of_what_made_no_report_says_what_did(lab: Lab) -> None:
    wrong = {"crod": (), "cord": ("--version", "9")}
    said = [run(lab, "recall", "--model", name, *more).stderr for name, more in wrong.items()]

    known = "models that had a part in a report: cord 1.0\n"
    assert said == [
        f"model crod: 0 objects of 0 studies; 0 of them are, or may be, at 0 destinations\n{known}",
        f"model cord 9: 0 objects of 0 studies; 0 of them are, or may be, at 0 destinations\n{known}",
    ]
