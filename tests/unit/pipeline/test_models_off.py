"""A model that is off: its rules say so, its jobs wait; and a second version beside it in shadow."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_ai.domain.job import JobState
from dicom_ai.pipeline import analyse, route
from dicom_ai.storage import audit, decisions, jobs, model_runs, models_off
from tests.unit.pipeline.lab import STUDY, Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A study that waits for routing."""
    lab = Lab(tmp_path)
    lab.rule()
    lab.receive()
    lab.advance(60)
    yield lab
    lab.database.close()


def turn(lab: Lab, state: str) -> bool:
    change = models_off.turn_on if state == "on" else models_off.turn_off
    with lab.database.write() as session:
        return change(session, "cord", who="ada", why="it draws the canal")


def test_a_rule_whose_model_is_off_takes_nothing_and_says_why(lab: Lab) -> None:
    turn(lab, "off")
    route.run(lab.router)

    (decision,) = lab.look(decisions.all_of, STUDY)
    assert not decision.taken
    (reason,) = decision.reasons
    assert reason.startswith("model cord is off since ")
    assert reason.endswith("by ada: it draws the canal")
    assert lab.look(jobs.counts) == {}


def test_a_job_that_was_queued_waits_and_begins_when_the_model_is_on(lab: Lab) -> None:
    route.run(lab.router)
    turn(lab, "off")
    with lab.database.write() as session:
        job = jobs.claim_next(session, "gpu", "worker", 60)
    assert job is not None
    state = analyse.run(lab.analyst, job)
    with lab.database.write() as session:
        while_off = jobs.claim_next(session, "gpu", "worker", 60)
    turn(lab, "on")
    with lab.database.write() as session:
        again = jobs.claim_next(session, "gpu", "worker", 60)

    assert (state, while_off) == (JobState.QUEUED, None)
    assert again is not None
    assert analyse.run(lab.analyst, again) is JobState.DONE


def test_turning_is_audited_once(lab: Lab) -> None:
    turns = [turn(lab, state) for state in ("off", "off", "on", "on")]

    assert turns == [True, False, True, False]
    with lab.database.read() as session:
        actions = [event.action for event in audit.events(session) if event.subject == "model cord"]
    assert actions == ["model turned off", "model turned on"]


def test_what_a_model_did_is_counted(lab: Lab) -> None:
    route.run(lab.router)
    with lab.database.write() as session:
        job = jobs.claim_next(session, "gpu", "worker", 60)
    assert job is not None
    lab.advance(5)
    analyse.run(lab.analyst, job)

    work = lab.look(model_runs.work_of, "cord")
    (run,) = lab.look(lambda session: model_runs.last_runs(session, "cord", most=5))
    assert (work.by_state, work.waiting, work.typical_s) == ({"done": 1}, 0, 5.0)
    assert (run.study_uid, run.state, run.seconds) == (STUDY, JobState.DONE, 5.0)
