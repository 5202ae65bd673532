from dataclasses import replace
from pathlib import Path

import pytest

from dicom_ai.domain.destination import Destination
from dicom_ai.pipeline import send
from dicom_ai.storage import audit, deliveries, holds, outbox
from dicom_ai.storage.holds import HELD_AGAIN_S, HoldKind, NewHold
from dicom_ai.storage.outbox import OutboxState
from tests.peers import free_port
from tests.unit.pipeline.lab import RETRIES, STUDY, Lab
from tests.unit.pipeline.test_report import analysed, reported


@pytest.fixture
def destination(lab: Lab, tmp_path: Path) -> Destination:
    """A folder that is not there yet, for which a SEG and an SR wait."""
    analysed(lab)
    reported(lab)
    return Destination("pacs", "folder", {"folder": str(tmp_path / "out")})


def turn(lab: Lab, destination: Destination) -> int | None:
    """Take a turn and send; return how many objects arrived, or None when nothing was due."""
    sender = lab.sender(destination)
    claimed = send.claim(sender, "sender", 60)
    return None if claimed is None else send.run(sender, claimed)


def test_what_waits_arrives_and_is_not_sent_again(lab: Lab, destination: Destination, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    assert turn(lab, destination) == 2
    assert turn(lab, destination) is None
    assert lab.look(outbox.counts) == {OutboxState.SENT: 2}


def test_a_destination_that_is_away_is_tried_again_after_a_while(
    lab: Lab, destination: Destination, tmp_path: Path
) -> None:
    assert turn(lab, destination) == 0
    assert turn(lab, destination) is None
    lab.advance(37)
    (tmp_path / "out").mkdir()

    assert turn(lab, destination) == 2


def test_what_cannot_be_delivered_for_too_long_is_given_up_and_says_so(lab: Lab, destination: Destination) -> None:
    tried_at = []
    while lab.look(outbox.counts) == {OutboxState.WAITING: 2}:
        if turn(lab, destination) is not None:
            tried_at.append(lab.at)
        lab.advance(1)

    assert tried_at[-2] - tried_at[0] <= RETRIES.give_up_s < tried_at[-1] - tried_at[0]
    assert lab.look(outbox.counts) == {OutboxState.FAILED: 2}
    (status,) = lab.look(outbox.statuses)
    assert status.last_error.startswith("given up: ")


@pytest.mark.parametrize("tries", [0, 3])
def test_a_clock_set_forward_gives_nothing_up_that_was_hardly_tried(
    lab: Lab, destination: Destination, tmp_path: Path, tries: int
) -> None:
    """The sender may look before the clock has noticed; and a node that was off cannot know what time has passed."""
    for _ in range(tries):
        turn(lab, destination)
        lab.advance(600)
    lab.advance(30 * 86_400)

    assert turn(lab, destination) == 0
    assert lab.look(outbox.counts) == {OutboxState.WAITING: 2}

    (tmp_path / "out").mkdir()
    lab.advance(3600)
    assert turn(lab, destination) == 2


def test_a_destination_with_wrong_settings_waits_for_them_to_be_mended(lab: Lab, destination: Destination) -> None:
    wrong = Destination("pacs", "folder", {"fodler": "/tmp"})

    assert turn(lab, wrong) == 0
    assert lab.look(outbox.counts) == {OutboxState.WAITING: 2}
    (status,) = lab.look(outbox.statuses)
    assert "fodler" in status.last_error


def test_a_turn_that_broke_is_given_back_and_what_it_held_sent_again(
    lab: Lab, destination: Destination, tmp_path: Path
) -> None:
    sender = lab.sender(destination)
    claimed = send.claim(sender, "sender", 60)
    assert claimed is not None
    send.abandon(sender, claimed, "unexpected KeyError")
    assert lab.look(outbox.counts) == {OutboxState.UNKNOWN: 2}
    lab.advance(37)
    (tmp_path / "out").mkdir()

    assert turn(lab, destination) == 2


def test_a_destination_gets_no_more_within_an_hour_than_its_cap(
    lab: Lab, destination: Destination, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    capped = replace(destination, most_per_hour=1)
    first = [turn(lab, capped), turn(lab, capped)]
    lab.advance(3600)

    assert first == [1, None]
    assert [turn(lab, capped), turn(lab, capped)] == [1, None]


def test_the_audit_trail_tells_of_a_sending_when_it_begins_and_when_it_has_arrived(
    lab: Lab, destination: Destination, tmp_path: Path
) -> None:
    turn(lab, destination)
    lab.advance(37)
    (tmp_path / "out").mkdir()
    turn(lab, destination)

    told = [(event.action, event.detail) for event in lab.look(audit.events) if event.actor == "sender"]
    detail = {"destination": "pacs", "objects": 2}
    assert told == [("sending begun", detail), ("results sent", detail)]


def test_what_waits_for_a_destination_that_is_removed_meanwhile_waits_on(lab: Lab, destination: Destination) -> None:
    sender = lab.sender(destination)
    claimed = send.claim(sender, "sender", 60)
    assert claimed is not None

    assert send.run(replace(sender, destinations={}), claimed) == 0
    assert lab.look(outbox.counts) == {OutboxState.WAITING: 2}
    again = send.claim(sender, "sender", 60)
    assert again is not None
    assert [item.attempts for item in again.deliveries] == [0, 0]


def test_where_the_check_is_off_every_object_says_so_and_what_it_held_goes(lab: Lab, destination: Destination) -> None:
    who = {"host": "127.0.0.1", "port": free_port(), "called_ae_title": "AWAY", "check_identity": "off"}
    off = Destination("pacs", "c_store", who)
    held = NewHold(HoldKind.DESTINATION, STUDY, "the study is unknown there", destination="pacs")

    assert turn(lab, off) == 0
    assert {item.checked for item in lab.look(deliveries.of_study, STUDY)} == {"unchecked: check_identity is off"}

    with lab.database.write() as session:
        number = holds.hold(session, held, who="sender")
    lab.advance(HELD_AGAIN_S)
    assert send.ask_again(lab.sender(off))
    ended = lab.look(holds.find, number)
    assert (ended.decision, ended.why) == (holds.LAPSED, "the destination is not asked any more")
