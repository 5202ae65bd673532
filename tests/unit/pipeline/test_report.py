import numpy as np
import pytest
import sqlalchemy as sa
from pydicom import dcmread
from structlog.testing import capture_logs

from dicom_ai.analysis.prior import Earlier
from dicom_ai.domain.destination import Destination
from dicom_ai.domain.findings import VertebraLabel
from dicom_ai.domain.job import JobState
from dicom_ai.domain.output import Output
from dicom_ai.domain.prior import Examination, Person
from dicom_ai.domain.verdict import Thresholds
from dicom_ai.errors import DicomAiError
from dicom_ai.pipeline import analyse, report, route
from dicom_ai.storage import holds, outbox, results, runs
from dicom_ai.storage.holds import HoldKind
from dicom_ai.storage.outbox import OutboxState
from dicom_ai.storage.tables import OutboxRow, ResultRow
from tests.predictors import BrightCord
from tests.unit.pipeline.lab import SERIES, STUDY, Lab


def analysed(lab: Lab, ordered: str = "", **rule: object) -> None:
    lab.rule(**rule)  # type: ignore[arg-type]
    lab.receive(StudyDescription=ordered)
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
    states = [(item["state"], item["reason"]) for item in lab.look(runs.findings, run.id)["on"]["series"]]
    assert sr.CompletionFlag == "PARTIAL"
    assert sorted(states) == [("done", ""), ("failed", "not finished when the report was due")]


def test_a_report_waits_for_the_disk_as_long_as_it_takes(lab: Lab) -> None:
    analysed(lab)
    lab.broken_disk = True
    with capture_logs() as logs:
        states = [reported(lab)]
    for _ in range(9):
        lab.advance(300)  # the longest wait
        states.append(report.run(lab.reporter, lab.claim("io")))
    lab.broken_disk = False
    lab.advance(300)

    assert [(line["event"], line["state"]) for line in logs] == [("report postponed", "queued")]
    assert states == [JobState.QUEUED] * 10
    assert report.run(lab.reporter, lab.claim("io")) is JobState.DONE


def test_a_report_waits_for_analyses_on_a_volume_that_is_away(lab: Lab) -> None:
    analysed(lab)
    analyses = lab.files.root / "analyses"
    analyses.rename(lab.folder / "away")
    states = [reported(lab)]
    (lab.folder / "away").rename(analyses)
    lab.advance(300)
    states.append(report.run(lab.reporter, lab.claim("io")))

    assert states == [JobState.QUEUED, JobState.DONE]


def kept_here(lab: Lab) -> str | None:
    (run,) = lab.look(runs.all_of, STUDY)
    reason: str | None = lab.look(runs.findings, run.id)["on"].get("kept_here")
    return reason


def find_nothing(lab: Lab, *, ordered: str) -> None:
    lab.predictor = BrightCord(error=DicomAiError("the model gives two cords"))
    analysed(lab, ordered=ordered)
    reported(lab)


def test_a_failure_is_sent_where_the_study_was_ordered_as_spine(lab: Lab) -> None:
    find_nothing(lab, ordered="MRI C SPINE")

    assert lab.look(outbox.counts) == {OutboxState.WAITING: 1}
    assert kept_here(lab) is None


@pytest.mark.parametrize("ordered", ["MRI BRAIN", ""])
def test_a_failure_is_only_shown_in_the_node_where_it_was_not(lab: Lab, ordered: str) -> None:
    find_nothing(lab, ordered=ordered)

    assert lab.look(outbox.counts) == {}
    assert [kind for kind, _ in objects(lab)] == ["sr"]
    assert (
        kept_here(lab) == "nothing was found, and the study was not ordered as spine: shown in the node, and not sent"
    )


def test_that_nothing_is_found_any_more_is_sent_where_something_was_sent_before(lab: Lab) -> None:
    analysed(lab, ordered="MRI BRAIN")
    reported(lab)
    with lab.database.write() as session:
        for row in session.scalars(sa.select(OutboxRow)):
            outbox.sent(session, row.id)
    lab.predictor = BrightCord(refuses="too thick")
    lab.receive(images=2, first=6)
    lab.advance(30)
    route.run(lab.router)
    analyse.run(lab.analyst, lab.claim("gpu"))
    reported(lab)

    assert lab.look(outbox.counts)[OutboxState.WAITING] == 1


def test_findings_in_grave_doubt_are_held_with_the_reason(lab: Lab) -> None:
    lab.thresholds = Thresholds(area_hold_mm2=(10.0, 50.0))
    analysed(lab)
    reported(lab)

    (hold,) = lab.look(holds.open_now)
    assert (hold.kind, hold.held, hold.decisions) == (HoldKind.FINDING, 2, ("discard", "release"))
    assert hold.reason.startswith("the cord seen: the mean CSA of 100.0 mm2 is outside of 10 to 50 mm2; ")


def test_doubtful_findings_of_a_rule_in_shadow_hold_nothing(lab: Lab) -> None:
    lab.thresholds = Thresholds(area_hold_mm2=(10.0, 50.0))
    analysed(lab, state="shadow")
    reported(lab)

    assert lab.look(holds.open_now) == ()


def test_a_destination_that_wants_notes_is_told_what_a_new_run_replaces(lab: Lab) -> None:
    notes = frozenset({Output.SEG, Output.SR, Output.REJECTION_NOTE})
    lab.destinations = {"pacs": Destination("pacs", "folder", outputs=notes), "lab": Destination("lab", "folder")}
    analysed(lab)
    reported(lab)
    assert [kind for kind, _ in objects(lab)].count("ko") == 0
    with lab.database.write() as session:
        session.execute(sa.update(OutboxRow).values(state=OutboxState.SENT))
    first = {item.identity.sop_instance_uid for item in lab.look(results.all_of, STUDY, lab.files.root)}
    lab.receive(images=12)
    lab.advance(30)
    route.run(lab.router)
    analyse.run(lab.analyst, lab.claim("gpu"))
    reported(lab)

    [note] = [dcmread(path) for kind, path in objects(lab) if kind == "ko"]
    rejected = {
        item.ReferencedSOPInstanceUID
        for series in note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert rejected == first
    texts = [item.get("TextValue") for item in note.ContentSequence]
    assert "run 2 of the study replaces what was sent before" in texts
    with lab.database.read() as session:
        places = session.scalars(
            sa.select(OutboxRow.destination)
            .join(ResultRow, ResultRow.id == OutboxRow.result_id)
            .where(ResultRow.kind == "ko")
        ).all()
    assert places == ["pacs"]


def with_levels(lab: Lab) -> None:
    """Let the model find C3 along all of the cord."""
    point = np.array([0.0, -60.0, 0.0])
    heights = {"centroid_mm": 64.0, "upper_mm": 84.0, "lower_mm": 44.0}
    places = {name: point + np.array([0.0, 0.0, height]) for name, height in heights.items()}
    lab.predictor = BrightCord("cord").with_vertebrae(VertebraLabel("C3", "C3 vertebra", 1, "counted", False, **places))


def test_an_earlier_report_is_looked_for_of_the_patient_and_before_the_study(lab: Lab) -> None:
    asked: list[Examination] = []

    def find(examination: Examination) -> Earlier:
        asked.append(examination)
        return Earlier(reason="pacs: no answer within 20 s", failed=True)

    lab.find_earlier = find
    with_levels(lab)
    analysed(lab)
    state = reported(lab)
    (run,) = lab.look(runs.all_of, STUDY)

    assert state is JobState.DONE
    assert asked == [Examination(Person("SYN001", "", "19700101", "O"), STUDY, "20260110")]
    entry = lab.look(runs.findings, run.id)["on"]
    assert entry["prior"] == {"state": "failed", "reason": "pacs: no answer within 20 s"}
    assert entry["notes"][0] == "no comparison with an earlier report: pacs: no answer within 20 s"


def test_nobody_is_asked_where_no_level_was_found(lab: Lab) -> None:
    asked: list[Examination] = []
    lab.find_earlier = lambda examination: asked.append(examination) or Earlier()
    analysed(lab)
    reported(lab)

    assert asked == []
