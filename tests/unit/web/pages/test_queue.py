import pytest
import sqlalchemy as sa

from dicom_ai.app import App
from dicom_ai.domain.job import JobState
from dicom_ai.storage import audit, holds, jobs, outbox, pauses, runs
from dicom_ai.storage.holds import HoldKind, NewHold
from dicom_ai.storage.outbox import OutboxState
from dicom_ai.storage.tables import JobRow, OutboxRow
from dicom_ai.web.application import create
from dicom_ai.web.pages.queue import CHOICES, DOUBTS, plain
from tests.unit.pipeline.lab import STUDY
from tests.unit.web.browser import Browser


@pytest.fixture
def operator(own_study: App) -> Browser:
    return Browser(create(own_study)).log_in("operator")


def states(app: App) -> list[str]:
    with app.database.read() as session:
        return sorted(set(session.scalars(sa.select(OutboxRow.state))))


def test_what_waits_for_a_destination_is_listed(operator: Browser) -> None:
    text = operator.get("/queue").text

    assert text.count('<span class="state waiting">waiting</span>') == 4


def test_a_result_that_was_given_up_is_sent_again(own_study: App, operator: Browser) -> None:
    with own_study.database.write() as session:
        session.execute(sa.update(OutboxRow).values(state="failed", last_error="the association timed out"))

    assert "The destination did not answer in time." in operator.get("/queue").text
    operator.post("/queue/deliveries/1", {"act": "retry"})

    with own_study.database.read() as session:
        assert session.get_one(OutboxRow, 1).state == OutboxState.WAITING
        assert audit.events(session)[-1].action in ("delivery tried again", "viewed")


def test_a_result_that_is_given_up_is_no_failure_any_more(own_study: App, operator: Browser) -> None:
    with own_study.database.write() as session:
        session.execute(sa.update(OutboxRow).values(state="refused"))

    for number in range(1, 5):
        operator.post(f"/queue/deliveries/{number}", {"act": "give-up", "why": "old"})

    assert states(own_study) == ["cancelled"]
    assert "Nothing has failed." in operator.get("/queue").text


def test_a_failed_analysis_that_is_tried_again_will_be_reported_again(own_study: App, operator: Browser) -> None:
    with own_study.database.write() as session:
        session.execute(sa.update(JobRow).where(JobRow.id == 1).values(state="failed"))

    operator.post("/queue/jobs/1", {"act": "retry"})

    with own_study.database.read() as session:
        assert jobs.all_of(session, STUDY)[0].state is JobState.QUEUED
    with own_study.database.write() as session:
        session.execute(sa.update(JobRow).where(JobRow.id == 1).values(state="done"))
        assert len(runs.reopen_partial(session)) == 1


def test_a_job_that_is_done_cannot_be_given_up(operator: Browser) -> None:
    answer = operator.post("/queue/jobs/1", {"act": "give-up"})

    assert answer.status_code == 422
    assert "job 1 is done: this is for one that is queued or failed or refused" in answer.text


def test_a_waiting_job_goes_first(own_study: App, operator: Browser) -> None:
    with own_study.database.write() as session:
        session.execute(sa.update(JobRow).where(JobRow.id == 1).values(state="queued"))

    operator.post("/queue/jobs/1", {"act": "first"})

    with own_study.database.read() as session:
        assert session.get_one(JobRow, 1).priority == 999


def test_a_pause_is_seen_and_ends(own_study: App, operator: Browser) -> None:
    operator.post("/queue/pause", {"kind": "destination", "name": "pacs", "why": "archive is moved"})
    paused = operator.get("/queue").text
    operator.post("/queue/resume", {"kind": "destination", "name": "pacs"})

    assert "Paused: destination pacs" in paused
    assert "archive is moved" in paused
    with own_study.database.read() as session:
        assert pauses.all_of(session) == ()


def test_a_destination_that_is_not_there_cannot_be_paused(operator: Browser) -> None:
    assert operator.post("/queue/pause", {"kind": "destination", "name": "nowhere"}).status_code == 422


def test_what_is_held_says_why_and_what_each_answer_does_and_no_time_of_a_try(
    own_study: App, operator: Browser
) -> None:
    with own_study.database.write() as session:
        holds.hold(session, NewHold(HoldKind.FINDING, STUDY, "the area is outside physiology"), who="test")

    text = operator.get("/queue").text
    destination = operator.get("/destinations/one?name=pacs").text

    assert text.index("numbers in doubt") < text.index("Send it …") < text.index("Never send it …")
    assert "What is held is not sent, now or later." in text
    assert text.count("when a person lets it go") == 4
    assert '<span class="state waiting">waiting</span>' not in text
    assert "4 held for a person" in destination


@pytest.mark.parametrize("kind", HoldKind)
def test_every_doubt_and_every_answer_has_words(kind: HoldKind) -> None:
    assert DOUBTS[kind]
    assert holds.DECISIONS[kind] <= CHOICES.keys()


def test_a_held_result_is_released_with_a_reason(own_study: App, operator: Browser) -> None:
    with own_study.database.write() as session:
        number = holds.hold(session, NewHold(HoldKind.FINDING, STUDY, "the area is outside physiology"), who="test")

    refused = operator.post(f"/queue/holds/{number}", {"decision": "release"})
    operator.post(f"/queue/holds/{number}", {"decision": "release", "why": "seen on the images"})

    assert refused.status_code == 422
    with own_study.database.read() as session:
        assert (holds.open_now(session), holds.find(session, number).why) == ((), "seen on the images")


def test_a_viewer_sees_no_button_and_changes_nothing(own_study: App) -> None:
    viewer = Browser(create(own_study)).log_in("viewer")

    assert "/queue/pause" not in viewer.get("/queue").text
    assert viewer.post("/queue/pause", {"kind": "all"}).status_code == 403
    with own_study.database.read() as session:
        assert outbox.counts(session) == {OutboxState.WAITING: 4}


def test_a_text_that_nobody_knows_has_no_plain_words() -> None:
    assert plain("something else") == ""
