import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from dicom_ai.domain.job import JobState
from dicom_ai.pipeline import analyse, route
from dicom_ai.storage import audit, decisions, pauses, retention, runs, studies
from dicom_ai.storage.pauses import PauseKind, Subject
from dicom_ai.storage.tables import JobRow
from tests.unit.pipeline.lab import PATIENCE, SERIES, STUDY, Lab


def routed(lab: Lab) -> str | None:
    lab.advance(30)
    return route.run(lab.router)


def test_a_taken_series_becomes_one_analysis_with_the_reasons(lab: Lab) -> None:
    lab.rule()
    lab.receive()

    assert routed(lab) == STUDY
    (decision,) = lab.look(decisions.all_of, STUDY)
    assert (decision.series_uid, decision.taken) == (SERIES, True)
    assert any("Modality" in reason for reason in decision.reasons)
    assert lab.states() == [JobState.QUEUED]


def test_a_series_that_still_comes_is_not_routed(lab: Lab) -> None:
    lab.rule()
    lab.receive()
    lab.advance(29)

    assert route.run(lab.router) is None


def test_without_rules_everything_is_looked_at_and_nothing_taken(lab: Lab) -> None:
    lab.receive()

    assert routed(lab) == STUDY
    assert lab.states() == []
    assert not lab.look(studies.is_open, STUDY)


def test_routing_again_changes_nothing(lab: Lab) -> None:
    lab.rule()
    lab.receive()
    routed(lab)

    assert routed(lab) is None
    assert lab.states() == [JobState.QUEUED]


def test_a_late_image_supersedes_the_analysis(lab: Lab) -> None:
    lab.rule()
    lab.receive(images=6)
    routed(lab)
    lab.receive(images=2, first=6)
    routed(lab)

    assert lab.states() == [JobState.SUPERSEDED, JobState.QUEUED]


def test_a_study_waits_while_images_come_for_a_series_that_was_routed(lab: Lab) -> None:
    lab.rule()
    lab.receive(images=6)
    routed(lab)
    lab.receive(series="1.2.826.2.2")
    lab.advance(20)
    lab.receive(images=2, first=6)
    lab.advance(20)

    assert route.run(lab.router) is None
    lab.advance(10)
    assert route.run(lab.router) == STUDY


def test_a_series_with_an_unreadable_image_is_not_routed_and_says_why(lab: Lab) -> None:
    lab.rule()
    lab.receive()
    lab.files.save(b"not an image", "received/broken.dcm")
    lab.record(SERIES, 99, "received/broken.dcm")
    routed(lab)

    (decision,) = lab.look(decisions.all_of, STUDY)
    assert not decision.taken
    assert "one of its 7 images cannot be read" in decision.reasons[0]


def test_one_bad_series_does_not_stop_its_neighbour(lab: Lab) -> None:
    lab.rule(take="all")
    lab.receive()
    lab.files.save(b"not an image", "received/broken.dcm")
    lab.record("1.2.826.2.2", 99, "received/broken.dcm")
    routed(lab)

    assert lab.states() == [JobState.QUEUED]


def test_an_analysis_waits_for_a_model_whose_folder_is_missing_and_is_made_when_it_is_back(lab: Lab) -> None:
    lab.models = ()
    lab.rule()
    lab.receive()
    routed(lab)

    (decision,) = lab.look(decisions.all_of, STUDY)
    assert decision.taken
    assert decision.reasons[-1] == "its analysis waits: no model 'cord'"
    assert lab.states() == [JobState.QUEUED]
    lab.models = ("cord",)
    assert analyse.run(lab.analyst, lab.claim("gpu")) is JobState.DONE


def test_a_series_that_the_rule_of_a_missing_model_does_not_take_waits_for_nothing(lab: Lab) -> None:
    lab.models = ()
    lab.rule(all=[{"keyword": "Modality", "equals": "CT"}])
    lab.receive()
    routed(lab)

    (decision,) = lab.look(decisions.all_of, STUDY)
    assert not decision.taken
    assert decision.reasons == ("all[1]: Modality equals CT is not true; seen: MR",)
    assert lab.states() == []


def test_nothing_waits_for_the_missing_model_of_a_rule_in_shadow(lab: Lab) -> None:
    lab.models = ()
    lab.rule(state="shadow")
    lab.receive()
    routed(lab)

    (decision,) = lab.look(decisions.all_of, STUDY)
    assert not decision.taken
    assert decision.reasons == ("model 'cord' is not installed", "no model 'cord'")
    assert lab.states() == []


def test_images_that_wait_for_a_model_are_kept(lab: Lab) -> None:
    lab.models = ()
    lab.rule()
    lab.receive()
    routed(lab)

    assert [item.why for item in lab.look(retention.holdings)] == [retention.Why.PENDING]


def test_a_rule_may_shorten_the_quiet_time_of_the_study(lab: Lab) -> None:
    lab.rule(study_quiet_s=60)
    lab.receive()
    routed(lab)
    with lab.database.read() as session:
        assert not studies.is_quiet(session, STUDY, quiet_s=PATIENCE.study_quiet_s, stale_s=60)
    lab.advance(30)
    with lab.database.read() as session:
        assert studies.is_quiet(session, STUDY, quiet_s=PATIENCE.study_quiet_s, stale_s=60)


def test_a_rule_may_let_a_series_wait_longer(lab: Lab) -> None:
    lab.rule(series_quiet_s=100)
    lab.receive()
    routed(lab)
    with lab.database.write() as session:
        assert route.runs.jobs.claim_next(session, "gpu", "w", 60) is None
    lab.advance(70)

    assert lab.claim("gpu").series_uid == SERIES


def test_a_series_that_no_rule_takes_any_more_ends_its_run(lab: Lab) -> None:
    lab.rule()
    lab.receive()
    routed(lab)
    lab.rule(state="off")
    lab.receive(images=1, first=6)
    routed(lab)

    (run,) = lab.look(runs.all_of, STUDY)
    assert (run.state.value, run.reason) == ("superseded", "no rule takes a series of the study any more")
    assert lab.states() == [JobState.SUPERSEDED]


@pytest.mark.parametrize(
    ("study_date", "analyses"),
    [
        ("19700112", 1),  # the clock of the lab stands at 1970-01-12
        ("19700105", 1),
        ("19700104", 0),
        ("19690101", 0),
        ("1969.01.01", 0),  # how ACR-NEMA wrote it
        ("19700201", 1),  # in the future
        ("", 1),
        ("soon", 1),
    ],
)
def test_a_study_older_than_the_limit_is_not_analysed(lab: Lab, study_date: str, analyses: int) -> None:
    lab.max_study_age_days = 7
    lab.rule()
    lab.receive(study_date=study_date)
    routed(lab)

    assert len(lab.states()) == analyses


def old_study(lab: Lab) -> None:
    lab.max_study_age_days = 7
    lab.rule()
    lab.receive(study_date="19690101")
    routed(lab)


def test_an_old_study_is_explained(lab: Lab) -> None:
    old_study(lab)

    (decision,) = lab.look(decisions.all_of, STUDY)
    assert (decision.rule, decision.taken) == ("cord", False)
    assert "376 days before it came; brakes.max_study_age_days is 7" in decision.reasons[0]


def test_an_old_study_that_is_asked_for_is_analysed_and_late_images_too(lab: Lab) -> None:
    old_study(lab)
    with lab.database.write() as session:
        assert studies.ask_for(session, STUDY, who="anna")
        last = audit.events(session)[-1]
    routed(lab)
    assert (last.actor, last.action, last.subject) == ("anna", "analysis asked for", f"study {STUDY}")
    assert lab.states() == [JobState.QUEUED]
    lab.receive(images=2, first=6, study_date="19690101")
    routed(lab)

    assert lab.states() == [JobState.SUPERSEDED, JobState.QUEUED]


def test_asking_for_what_is_analysed_already_changes_nothing(lab: Lab) -> None:
    lab.rule()
    lab.receive()
    routed(lab)
    with lab.database.write() as session:
        studies.ask_for(session, STUDY, who="anna")

    assert routed(lab) == STUDY
    assert lab.states() == [JobState.QUEUED]


def test_a_study_ages_until_it_comes_and_no_longer(lab: Lab) -> None:
    lab.max_study_age_days = 7
    lab.rule()
    lab.receive(images=6, study_date="19700110")
    routed(lab)
    lab.advance(30 * 86_400)
    lab.receive(images=2, first=6, study_date="19700110")
    routed(lab)

    assert lab.states() == [JobState.SUPERSEDED, JobState.QUEUED]


def test_a_study_nobody_sent_cannot_be_asked_for(lab: Lab) -> None:
    with lab.database.write() as session:
        assert not studies.ask_for(session, "1.2.3.4", who="anna")


def flood(lab: Lab) -> None:
    """A rule whose results may leave takes three series within an hour, where two are let pass in any case."""
    lab.rule_rate_factor = 3
    lab.rule(take="all")
    for number in range(3):
        lab.receive(images=2, series=f"{STUDY}.{number}")
    routed(lab)


def test_a_rule_that_suddenly_takes_far_more_is_paused_and_a_person_is_asked(lab: Lab) -> None:
    with capture_logs() as logs:
        flood(lab)

    (pause,) = lab.look(pauses.all_of)
    (line,) = [line for line in logs if line["event"] == "rule paused"]
    assert (line["rule"], line["reason"]) == ("cord", pause.why)
    assert (pause.subject.text, pause.who) == ("rule cord", pauses.BRAKE)
    assert pause.why == (
        "it took 3 series within an hour, and 0 in the busiest hour of 14 days; "
        "dicom-ai resume rule cord lets the results go"
    )
    assert lab.states() == [JobState.QUEUED] * 3


def test_what_a_person_let_go_is_usual_from_then_on(lab: Lab) -> None:
    flood(lab)
    with lab.database.write() as session:
        assert pauses.resume(session, Subject(PauseKind.RULE, "cord"), who="anna", why="a new scanner")
    lab.receive(images=2, series=f"{STUDY}.9")
    routed(lab)

    assert lab.look(pauses.all_of) == ()


def test_a_rule_in_shadow_is_not_paused(lab: Lab) -> None:
    lab.rule_rate_factor = 3
    lab.rule(state="shadow", take="all")
    for number in range(3):
        lab.receive(images=2, series=f"{STUDY}.{number}")
    routed(lab)

    assert lab.look(pauses.all_of) == ()


def test_a_study_that_was_ordered_as_urgent_goes_first(lab: Lab) -> None:
    lab.rule(priority=20)
    lab.receive(RequestedProcedurePriority="STAT")
    routed(lab)

    with lab.database.read() as session:
        assert session.scalars(sa.select(JobRow.priority)).all() == [260]
