"""Retention: what goes, what never goes, and what happens to what comes after it."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from dicom_ai.domain.destination import Destination
from dicom_ai.domain.job import JobState
from dicom_ai.pipeline import confirm, retain, route, send
from dicom_ai.pipeline.confirm import Confirmer
from dicom_ai.pipeline.retain import Removed
from dicom_ai.storage import audit, decisions, holdings, jobs, outbox, results, retention, runs
from dicom_ai.storage.database import Session
from dicom_ai.storage.outbox import OutboxState
from dicom_ai.storage.retention import DAY_S, Limits, Why
from dicom_ai.storage.tables import InstanceRow, JobRow
from tests.unit.pipeline.lab import SERIES, STUDY, Lab
from tests.unit.pipeline.test_report import analysed, reported

LIMITS = Limits(unwanted_s=DAY_S, analysed_s=7 * DAY_S, results_s=90 * DAY_S)
LATE = "1.2.826.2.2"


def retained(lab: Lab, limits: Limits = LIMITS) -> Removed:
    return retain.run(lab.database, lab.files, limits)


def standings(lab: Lab) -> set[str]:
    with lab.database.read() as session:
        return set(session.scalars(sa.select(InstanceRow.standing)))


def on_disk(lab: Lab, folder: str) -> int:
    return sum(path.is_file() for path in (lab.files.root / folder).rglob("*"))


def why(lab: Lab) -> list[Why]:
    return [item.why for item in lab.look(retention.holdings)]


def unwanted(lab: Lab) -> None:
    lab.rule(state="off")
    lab.receive()
    lab.advance(30)
    route.run(lab.router)


def sent(lab: Lab) -> None:
    """One study, analysed and reported, both results of which are at the archive, which was asked."""
    unasked(lab)
    confirm.run(Confirmer(lab.database, {"pacs": archive(lab)}, 600, DAY_S), "clock")


def unasked(lab: Lab) -> None:
    analysed(lab)
    reported(lab)
    (lab.folder / "out").mkdir()
    sender = lab.sender(archive(lab))
    turn = send.claim(sender, "sender", 60)
    assert turn is not None
    assert send.run(sender, turn) == 2


def archive(lab: Lab) -> Destination:
    return Destination("pacs", "folder", {"folder": str(lab.folder / "out")})


def lost(lab: Lab) -> None:
    """The archive took both results and has one of them."""
    unasked(lab)
    next((lab.folder / "out").iterdir()).unlink()
    for _ in range(9):  # as many tries as fit into a day
        confirm.run(Confirmer(lab.database, {"pacs": archive(lab)}, 600, DAY_S), "clock")
        lab.advance(DAY_S / 2)


def deleted(lab: Lab) -> None:
    sent(lab)
    lab.advance(7 * DAY_S)
    assert retained(lab).images == 6


def test_images_no_rule_wants_go_after_a_day_and_not_before(lab: Lab) -> None:
    unwanted(lab)
    lab.advance(DAY_S - 31)
    assert retained(lab).images == 0
    assert why(lab) == ["no rule wants them"]
    lab.advance(1)

    assert retained(lab).images == 6
    assert (standings(lab), on_disk(lab, "received")) == ({"deleted"}, 0)


def test_analysed_images_go_a_week_after_their_results_were_sent(lab: Lab) -> None:
    sent(lab)
    lab.advance(7 * DAY_S - 1)
    assert retained(lab).images == 0
    assert why(lab) == ["analysed, every result sent"]
    lab.advance(1)

    assert retained(lab).images == 6
    assert on_disk(lab, "received") == 0


def test_analysed_images_stay_until_every_result_was_confirmed(lab: Lab) -> None:
    unasked(lab)
    lab.advance(7 * DAY_S)
    assert retained(lab).images == 0
    assert why(lab) == ["results sent, to be confirmed"]
    confirm.run(Confirmer(lab.database, {"pacs": archive(lab)}, 600, DAY_S), "clock")
    lab.advance(7 * DAY_S - 1)
    assert retained(lab).images == 0
    lab.advance(1)

    assert retained(lab).images == 6


def test_rows_decisions_and_headers_stay(lab: Lab) -> None:
    deleted(lab)

    assert [decision.taken for decision in lab.look(decisions.all_of, STUDY)] == [True]
    assert [run.state.value for run in lab.look(runs.all_of, STUDY)] == ["reported"]
    assert standings(lab) == {"deleted"}


def test_what_is_deleted_stands_in_the_audit_trail(lab: Lab) -> None:
    deleted(lab)

    with lab.database.read() as session:
        (event,) = [event for event in audit.events(session) if event.action == "images deleted"]
    assert event.subject == f"study {STUDY}"
    assert event.detail == {"images": 6, "bytes": 6, "why": "analysed, every result sent"}


def test_images_go_from_a_study_whose_rule_is_in_shadow_a_week_after_the_report(lab: Lab) -> None:
    analysed(lab, state="shadow")
    reported(lab)
    lab.advance(7 * DAY_S)

    assert retained(lab).images == 6


def not_routed(lab: Lab) -> None:
    lab.rule()
    lab.receive()


def queued(lab: Lab) -> None:
    not_routed(lab)
    lab.advance(30)
    route.run(lab.router)


def unsent(lab: Lab) -> None:
    analysed(lab)
    reported(lab)


def refused(lab: Lab) -> None:
    unsent(lab)
    with lab.database.write() as session:
        outbox.stop(session, 1, OutboxState.REFUSED, error="0x0122")
        outbox.sent(session, 2)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (not_routed, "not routed yet"),
        (queued, "analysis or report to come"),
        (analysed, "analysis or report to come"),
        (unsent, "results wait to be sent"),
        (refused, "a result was refused or given up: a person must look"),
        (lost, "a result was refused or given up: a person must look"),
    ],
)
def test_nothing_pending_is_ever_deleted(lab: Lab, state: object, reason: str) -> None:
    state(lab)  # type: ignore[operator]
    lab.advance(1000 * DAY_S)

    assert retained(lab).images == 0
    assert why(lab) == [reason]
    assert on_disk(lab, "received") == 6


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        (holdings.OWN, "made by this node and came back"),
        (holdings.ASKED, "asked for, to compare with"),
        (holdings.CONFLICT, "same UID with other pixels: a person must look"),
        (holdings.SPARE, "another version of the image counts"),
        (holdings.AGAIN, "not routed yet"),
    ],
)
def test_what_is_kept_beside_the_images_that_count_says_why(lab: Lab, standing: str, reason: str) -> None:
    lab.record(SERIES, 1, "received/1.dcm")
    with lab.database.write() as session:
        session.execute(sa.update(InstanceRow).values(standing=standing))

    assert why(lab) == [reason]


def test_results_of_a_run_stay_until_they_are_sent(lab: Lab) -> None:
    unsent(lab)
    lab.advance(1000 * DAY_S)

    assert retained(lab).runs == 0
    assert on_disk(lab, "results") == 3  # SEG, SR, and the page of the report


def test_results_go_after_ninety_days(lab: Lab) -> None:
    sent(lab)
    lab.advance(90 * DAY_S - 1)
    assert retained(lab).runs == 0
    lab.advance(1)

    assert retained(lab).runs == 1
    assert on_disk(lab, "results") == 0
    assert lab.look(results.all_of, STUDY, lab.files.root) == ()
    told = [(event.actor, event.detail) for event in lab.look(audit.events) if event.action == "results deleted"]
    assert told == [("clock", {"objects": 2})]


def test_a_result_that_went_as_another_kind_of_object_holds_nothing(lab: Lab) -> None:
    sent(lab)
    with lab.database.write() as session:
        outbox.stop(session, 1, OutboxState.REPLACED, error="no Comprehensive 3D SR")
    lab.advance(90 * DAY_S)

    assert retained(lab) == Removed(images=6, runs=1, analyses=1)


def test_a_refused_result_keeps_its_file_until_a_newer_report_takes_its_place(lab: Lab) -> None:
    refused(lab)
    lab.advance(90 * DAY_S)
    assert retained(lab).runs == 0
    lab.receive(images=2, first=6)
    lab.advance(30)
    route.run(lab.router)
    lab.advance(90 * DAY_S)

    assert retained(lab).runs == 1


def test_masks_go_with_the_images_they_were_made_of(lab: Lab) -> None:
    sent(lab)
    assert on_disk(lab, "analyses") > 0
    lab.advance(7 * DAY_S)

    assert retained(lab).analyses == 1
    assert on_disk(lab, "analyses") == 0
    assert "its images and masks were deleted by retention" in {job.reason for job in lab.look(jobs.all_of, STUDY)}


def test_a_limit_of_zero_keeps_for_ever(lab: Lab) -> None:
    sent(lab)
    lab.advance(1000 * DAY_S)

    assert retained(lab, Limits(0, 0, 0)) == Removed(0, 0, 0)


def begin(lab: Lab) -> None:
    """Do the first step, and be killed."""
    with lab.database.write() as session:
        assert retention.begin(session, STUDY, LIMITS) == 6


def test_killed_between_row_and_file_it_is_finished_later(lab: Lab) -> None:
    unwanted(lab)
    lab.advance(DAY_S)
    begin(lab)
    assert standings(lab) == {"deleting"}

    assert retained(lab).images == 6
    assert (standings(lab), on_disk(lab, "received")) == ({"deleted"}, 0)


def test_killed_between_file_and_row_it_is_finished_later_and_no_image_counts_as_lost(lab: Lab) -> None:
    unwanted(lab)
    lab.advance(DAY_S)
    begin(lab)
    paths = [f"received/{SERIES}/{number}.dcm" for number in range(6)]
    for path in paths[:3]:
        lab.files.withdraw(path)
    with lab.database.write() as session:
        assert holdings.mark_missing(session, paths[:3]) == 0

    assert retained(lab).images == 6
    assert standings(lab) == {"deleted"}


def test_an_interrupted_deletion_is_finished_even_where_retention_was_turned_off(lab: Lab) -> None:
    unwanted(lab)
    lab.advance(DAY_S)
    begin(lab)

    assert retained(lab, Limits(0, 0, 0)).images == 6


def test_the_same_study_sent_again_is_kept_again_and_makes_no_second_result(lab: Lab) -> None:
    deleted(lab)
    lab.receive()
    assert standings(lab) == {"kept"}
    lab.advance(30)
    route.run(lab.router)

    assert [run.number for run in lab.look(runs.all_of, STUDY)] == [1]
    assert JobState.QUEUED not in lab.states()
    lab.advance(7 * DAY_S - 31)
    assert retained(lab).images == 0


def test_a_part_of_a_deleted_series_is_kept_and_explained_and_not_analysed(lab: Lab) -> None:
    deleted(lab)
    lab.receive(images=2)
    lab.advance(30)
    assert route.run(lab.router) == STUDY

    assert [run.state.value for run in lab.look(runs.all_of, STUDY)] == ["reported"]
    partly, rule = lab.look(decisions.all_of, STUDY)
    assert partly.reasons == ("4 of its 6 images were deleted by retention: send the whole series again",)
    assert (rule.rule, rule.taken) == ("cord", True)


def test_a_new_series_of_a_study_whose_analysed_images_are_deleted_takes_no_report_away(lab: Lab) -> None:
    deleted(lab)
    lab.receive(series=LATE)
    lab.advance(30)
    route.run(lab.router)

    assert [run.state.value for run in lab.look(runs.all_of, STUDY)] == ["reported"]
    late = [decision for decision in lab.look(decisions.all_of, STUDY) if decision.series_uid == LATE]
    assert [decision.taken for decision in late] == [False]
    assert late[0].reasons == (
        "images of this study that were analysed before have been deleted by retention, so that no whole report can "
        "be made: send the whole study again",
    )


def test_the_whole_study_sent_again_with_a_new_series_is_analysed_whole(lab: Lab) -> None:
    deleted(lab)
    lab.rule(take="all")
    lab.receive()
    lab.receive(series=LATE)
    lab.advance(30)
    route.run(lab.router)

    with lab.database.read() as session:
        assert waiting(session) == [SERIES, LATE]


def waiting(session: Session) -> list[str]:
    return list(session.scalars(sa.select(JobRow.series_uid).where(JobRow.state == "queued").order_by(JobRow.id)))


def test_a_series_that_nobody_wanted_and_is_deleted_does_not_stop_the_others(lab: Lab) -> None:
    unwanted(lab)
    lab.advance(DAY_S)
    retained(lab)
    lab.rule()
    lab.receive(series=LATE)
    lab.advance(30)
    route.run(lab.router)

    with lab.database.read() as session:
        assert waiting(session) == [LATE]


def test_the_rates_count_what_came_and_what_went(lab: Lab) -> None:
    deleted(lab)
    found = lab.look(retention.rates)

    assert found.deleted == pytest.approx(6 / 7, rel=0.01)


def test_empty_folders_go_too(lab: Lab) -> None:
    deleted(lab)

    assert not Path(lab.files.root / "received" / SERIES).exists()


def test_results_whose_rows_were_let_go_before_a_kill_go_at_the_next_look(lab: Lab) -> None:
    sent(lab)
    lab.advance(90 * DAY_S)
    (run,) = lab.look(runs.all_of, STUDY)
    with lab.database.write() as session:  # and the process dies before it removes the folder
        assert retention.release_results(session, run.id, LIMITS)

    assert on_disk(lab, "results") > 0
    assert retained(lab).runs == 1
    assert on_disk(lab, "results") == 0
