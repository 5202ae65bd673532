"""The recall of a model: what it touched, what is cancelled, and the notes that reject what has left."""

from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_ai.dicom.ko_writer import RejectionReason
from dicom_ai.domain.destination import Destination
from dicom_ai.domain.result import ResultKind
from dicom_ai.pipeline import recall, send
from dicom_ai.pipeline.recall import Note, Recall
from dicom_ai.storage import audit, holds, outbox, pauses, withdrawals
from dicom_ai.storage.holds import HoldKind, NewHold
from dicom_ai.storage.outbox import OutboxState
from dicom_ai.storage.pauses import PauseKind, Subject
from tests.unit.pipeline.lab import STUDY, Lab
from tests.unit.pipeline.test_report import analysed, reported

CORD = Recall("cord", "", 0.0, "anna", "wrong level")


@pytest.fixture
def waiting(lab: Lab) -> Lab:
    """A SEG and an SR of model cord wait for pacs."""
    analysed(lab)
    reported(lab)
    return lab


@pytest.fixture
def sent(waiting: Lab, tmp_path: Path) -> Lab:
    """They have arrived."""
    (tmp_path / "out").mkdir()
    assert turn(waiting, tmp_path) == 2
    return waiting


def turn(lab: Lab, folder: Path) -> int:
    sender = lab.sender(Destination("pacs", "folder", {"folder": str(folder / "out")}))
    claimed = send.claim(sender, "sender", 60)
    assert claimed is not None
    return send.run(sender, claimed)


def notes(lab: Lab) -> tuple[Note, ...]:
    found = recall.touched(lab.database, CORD)
    folder = lab.files.root
    return tuple(
        recall.notes(lab.database, folder, found, recall=CORD, reason=RejectionReason.UNSAFE, knows=lambda _: True)
    )


def test_every_object_at_every_destination_is_found(sent: Lab) -> None:
    found = recall.touched(sent.database, CORD)

    assert [(item.kind, item.study_uid, item.destination, item.there) for item in found] == [
        (ResultKind.SR, STUDY, "pacs", "yes"),
        (ResultKind.SEG, STUDY, "pacs", "yes"),
    ]


@pytest.mark.parametrize(
    "other", [Recall("spine", "", 0.0, "", ""), Recall("cord", "99.0", 0.0, "", ""), Recall("cord", "", 2e9, "", "")]
)
def test_another_model_version_or_time_is_not_touched(sent: Lab, other: Recall) -> None:
    assert recall.touched(sent.database, other) == ()


def test_what_has_not_left_is_found_too_and_rejected_nowhere(waiting: Lab) -> None:
    found = recall.touched(waiting.database, CORD)

    assert [(item.kind, item.destination, item.there) for item in found] == [
        (ResultKind.SR, "pacs", "no"),
        (ResultKind.SEG, "pacs", "no"),
    ]
    assert notes(waiting) == ()


def test_what_was_made_in_shadow_is_found_without_a_destination(lab: Lab) -> None:
    analysed(lab, state="shadow")
    reported(lab)

    found = recall.touched(lab.database, CORD)

    assert [(item.kind, item.destination, item.there) for item in found] == [
        (ResultKind.SR, "", "no"),
        (ResultKind.SEG, "", "no"),
    ]


def test_what_has_not_left_is_cancelled(waiting: Lab) -> None:
    assert recall.withdraw(waiting.database, CORD) == 0
    assert waiting.look(outbox.counts) == {OutboxState.CANCELLED: 2}


def test_what_has_left_is_listed_and_rejected_by_one_note_for_the_study(sent: Lab, tmp_path: Path) -> None:
    assert recall.withdraw(sent.database, CORD) == 2
    (note,) = notes(sent)

    assert [item.why for item in sent.look(withdrawals.listed)] == ["model cord was withdrawn: wrong level"] * 2
    told = [event for event in sent.look(audit.events) if event.action == "results withdrawn"]
    assert [(event.actor, event.subject) for event in told] == [("anna", "model cord")]
    assert (note.objects, note.destinations, note.error) == (2, ("pacs",), "")
    assert turn(sent, tmp_path) == 1
    (arrived,) = [read for path in (tmp_path / "out").iterdir() if (read := dcmread(path)).Modality == "KO"]
    assert arrived.StudyInstanceUID == STUDY
    assert arrived.ConceptNameCodeSequence[0].CodeMeaning == "Rejected for Patient Safety Reasons"
    assert "model cord was withdrawn" in [item.get("TextValue") for item in arrived.ContentSequence]


def test_a_note_leaves_although_the_study_is_held(sent: Lab, tmp_path: Path) -> None:
    recall.withdraw(sent.database, CORD)
    notes(sent)
    with sent.database.write() as session:
        holds.hold(session, NewHold(HoldKind.PATIENTS, STUDY, "two patients"), who="node")

    assert turn(sent, tmp_path) == 1


@pytest.mark.parametrize("kind", [PauseKind.MODEL, PauseKind.RULE])
def test_a_note_leaves_although_the_model_or_its_rule_is_paused(sent: Lab, tmp_path: Path, kind: PauseKind) -> None:
    with sent.database.write() as session:
        assert pauses.pause(session, Subject(kind, "cord"), who="anna", why="recalled")
    recall.withdraw(sent.database, CORD)
    notes(sent)

    assert turn(sent, tmp_path) == 1


def test_the_same_recall_again_makes_the_same_note_once(sent: Lab) -> None:
    recall.withdraw(sent.database, CORD)

    assert notes(sent) == notes(sent)
    assert sent.look(outbox.counts) == {OutboxState.SENT: 2, OutboxState.WAITING: 1}
