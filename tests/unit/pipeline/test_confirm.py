"""When looking for a result at its destination is given up: time counts, and tries; a clock that was set does not."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dicom_ai.domain.destination import Destination
from dicom_ai.pipeline import confirm, send
from dicom_ai.pipeline.confirm import LONGEST_WAIT_S, Confirmer
from dicom_ai.storage import clock_jump, confirmations
from dicom_ai.storage.confirmations import Confirmation
from tests.unit.pipeline.lab import STUDY, Lab
from tests.unit.pipeline.test_report import analysed, reported

HOUR_S, DAY_S = 3600.0, 86_400.0
TRIES = 9
"""So many fit into a day that begins with a wait of ten minutes, which doubles up to six hours."""


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A node whose two results were put into a folder, from where somebody took one; made once, and copied."""
    lab = Lab(tmp_path_factory.mktemp("sent"))
    analysed(lab)
    reported(lab)
    (lab.folder / "out").mkdir()
    sender = lab.sender(folder(lab))
    turn = send.claim(sender, "s", 60)
    assert turn is not None
    assert send.run(sender, turn) == 2
    next((lab.folder / "out").iterdir()).unlink()
    lab.database.close()
    return lab


@pytest.fixture
def lab(sent: Lab, tmp_path: Path) -> Iterator[Lab]:
    """The same in a folder of its own."""
    shutil.copytree(sent.folder, tmp_path, dirs_exist_ok=True)
    lab = Lab(tmp_path, at=sent.at)
    yield lab
    lab.database.close()


def folder(lab: Lab) -> Destination:
    return Destination("pacs", "folder", {"folder": str(lab.folder / "out")})


def ask(lab: Lab) -> None:
    confirm.run(Confirmer(lab.database, {"pacs": folder(lab)}, report_wait_s=600, give_up_s=DAY_S), "clock")


def known(lab: Lab) -> set[tuple[Confirmation, str]]:
    return {(item.state, item.reason) for item in lab.look(confirmations.of_study, STUDY)}


FOUND = (Confirmation.CONFIRMED, "")
NOT_YET = (Confirmation.SENT, "not found yet")
GONE = (Confirmation.REFUSED, "it took the object and does not have it (file)")


def test_what_is_not_found_for_a_day_is_refused_when_it_was_looked_for_as_often_as_fits_into_a_day(lab: Lab) -> None:
    states = []
    for _ in range(TRIES):
        ask(lab)
        states.append(known(lab))
        lab.advance(LONGEST_WAIT_S * 1.2)

    assert states == [{FOUND, NOT_YET}] * (TRIES - 1) + [{FOUND, GONE}]


@pytest.mark.parametrize("days", [2, 400])
def test_a_clock_that_was_set_forward_or_a_node_that_was_off_gives_nothing_up(lab: Lab, days: float) -> None:
    ask(lab)
    lab.advance(days * DAY_S)
    ask(lab)

    assert known(lab) == {FOUND, NOT_YET}


def test_an_archive_that_was_away_for_long_is_asked_as_often_as_any(lab: Lab) -> None:
    (lab.folder / "out").rename(lab.folder / "away")
    for _ in range(TRIES - 1):
        ask(lab)
        lab.advance(400 * DAY_S)
    away = known(lab)
    (lab.folder / "away").rename(lab.folder / "out")
    ask(lab)

    assert away == {(Confirmation.SENT, f"{lab.folder / 'out'}: No such file or directory")}
    assert FOUND in known(lab)


def test_an_archive_that_stays_away_leaves_results_unconfirmed_and_refuses_none(lab: Lab) -> None:
    (lab.folder / "out").rename(lab.folder / "away")
    for _ in range(TRIES):
        ask(lab)
        lab.advance(LONGEST_WAIT_S * 1.2)

    reason = f"no answer: {lab.folder / 'out'}: No such file or directory"
    assert known(lab) == {(Confirmation.UNCONFIRMED, reason)}


def test_a_clock_that_was_set_back_delays_no_question(lab: Lab) -> None:
    ask(lab)
    year_s = 365 * DAY_S
    lab.advance(-year_s)
    with lab.database.write() as session:
        clock_jump.went_back(session, year_s)
    states = []
    for _ in range(TRIES - 1):
        lab.advance(LONGEST_WAIT_S * 1.2)
        ask(lab)
        states.append(known(lab))

    assert states == [{FOUND, NOT_YET}] * (TRIES - 2) + [{FOUND, GONE}]


def test_what_came_late_is_confirmed(lab: Lab) -> None:
    ask(lab)
    (there,) = (lab.folder / "out").iterdir()
    (missing,) = {item.sop_instance_uid for item in lab.look(confirmations.of_study, STUDY)} - {there.stem}
    (lab.folder / "out" / f"{missing}.dcm").touch()
    lab.advance(HOUR_S)
    with capture_logs() as logs:
        ask(lab)

    assert known(lab) == {FOUND}
    assert [(line["event"], line["way"], line["there"], line["missing"]) for line in logs] == [
        ("asked for results", "file", 1, 0)
    ]
