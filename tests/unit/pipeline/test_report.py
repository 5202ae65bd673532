from pydicom import dcmread

from dicom_ai.domain.job import JobState
from dicom_ai.pipeline import analyse, report, route
from dicom_ai.storage import outbox, results, runs
from dicom_ai.storage.outbox import OutboxState
from tests.predictors import BrightCord
from tests.unit.pipeline.lab import SERIES, STUDY, Lab


def analysed(lab: Lab, **rule: object) -> None:
    lab.rule(**rule)  # type: ignore[arg-type]
    lab.receive()
    lab.advance(30)
    route.run(lab.router)
    analyse.run(lab.analyst, lab.claim("gpu"))


def reported(lab: Lab) -> JobState:
    lab.advance(600)
    lab.begin_reports()
    return report.run(lab.reporter, lab.claim("io"))


def objects(lab: Lab) -> list[tuple[str, str]]:
    with lab.database.read() as session:
        return [(item.identity.kind.value, str(item.path)) for item in results.all_of(session, STUDY, lab.files.root)]


def test_a_study_gets_a_seg_for_its_series_and_an_sr_each_queued_once(lab: Lab) -> None:
    analysed(lab)

    assert reported(lab) is JobState.DONE
    assert sorted(kind for kind, _ in objects(lab)) == ["seg", "sr"]
    assert lab.look(outbox.counts) == {OutboxState.WAITING: 2}


def test_what_was_saved_before_the_crash_is_what_is_written_after_it(lab: Lab) -> None:
    analysed(lab)
    lab.advance(600)
    (run_id,) = lab.begin_reports()
    job = lab.claim("io")
    lab.broken_disk = True
    assert report.run(lab.reporter, job) is JobState.QUEUED
    with lab.database.write() as session:
        planned = results.save_identities(session, run_id, {}, shadow=False)
    lab.broken_disk = False
    lab.advance(100)
    report.run(lab.reporter, lab.claim("io"))

    written = {dcmread(path).SOPInstanceUID for _, path in objects(lab)}
    assert written == {identity.sop_instance_uid for identity in planned.values()}


def test_a_rule_without_destinations_sends_to_all_of_them_and_one_with_some_to_those(lab: Lab) -> None:
    analysed(lab, destinations=["research"], outputs=["sr"])
    reported(lab)

    assert [item.name for item in lab.look(outbox.statuses)] == ["research"]
    assert lab.look(outbox.counts) == {OutboxState.WAITING: 1}


def test_what_only_a_shadow_rule_asked_for_is_written_and_not_sent(lab: Lab) -> None:
    analysed(lab, state="shadow")
    reported(lab)
    (run,) = lab.look(runs.all_of, STUDY)

    assert sorted(kind for kind, _ in objects(lab)) == ["seg", "sr"]
    assert list(lab.look(runs.findings, run.id)) == ["shadow"]
    assert lab.look(outbox.counts) == {}


def test_a_refused_series_is_reported_with_its_reason(lab: Lab) -> None:
    lab.predictor = BrightCord(refuses="too thick")
    analysed(lab)
    reported(lab)
    (run,) = lab.look(runs.all_of, STUDY)

    assert [kind for kind, _ in objects(lab)] == ["sr"]
    (series,) = lab.look(runs.findings, run.id)["on"]["series"]
    assert (series["series_uid"], series["state"], series["reason"]) == (SERIES, "refused", "too thick")


def test_a_report_with_what_there_is_says_partial(lab: Lab) -> None:
    lab.rule(take="all")
    lab.receive()
    lab.receive(series="1.2.826.2.2")
    lab.advance(30)
    route.run(lab.router)
    analyse.run(lab.analyst, lab.claim("gpu"))
    lab.advance(600 + 3600)
    lab.begin_reports()
    report.run(lab.reporter, lab.claim("io"))

    (sr,) = [dcmread(path) for kind, path in objects(lab) if kind == "sr"]
    (run,) = lab.look(runs.all_of, STUDY)
    states = [item["state"] for item in lab.look(runs.findings, run.id)["on"]["series"]]
    assert sr.CompletionFlag == "PARTIAL"
    assert sorted(states) == ["done", "failed"]


def test_a_report_that_keeps_failing_ends_its_run_with_the_reason(lab: Lab) -> None:
    analysed(lab)
    lab.broken_disk = True
    states = [reported(lab)]
    for _ in range(2):
        lab.advance(1000)
        states.append(report.run(lab.reporter, lab.claim("io")))
    (run,) = lab.look(runs.all_of, STUDY)

    assert states == [JobState.QUEUED, JobState.QUEUED, JobState.FAILED]
    assert run.state.value == "reported"
    assert run.reason.startswith("given up after 3 tries")
