from structlog.testing import capture_logs

from dicom_ai.domain.job import Job, JobState
from dicom_ai.errors import ModelError, Unavailable
from dicom_ai.inference.predictor import Way
from dicom_ai.pipeline import analyse, route
from dicom_ai.storage import jobs
from dicom_ai.storage.jobs import JobStatus
from tests.predictors import BrightCord
from tests.unit.pipeline.lab import STUDY, Lab


def claimed(lab: Lab) -> Job:
    lab.rule()
    lab.receive()
    lab.advance(30)
    route.run(lab.router)
    return lab.claim("gpu")


def status(lab: Lab) -> JobStatus:
    (job,) = lab.look(jobs.all_of, STUDY)
    return job


def test_an_analysis_is_kept_in_a_folder_of_its_attempt(lab: Lab) -> None:
    job = claimed(lab)

    assert analyse.run(lab.analyst, job) is JobState.DONE
    assert status(lab).state is JobState.DONE
    assert [path.name for path in lab.analyst.folder.iterdir()] == [f"{job.id}-1"]


def test_images_the_model_refuses_are_refused_with_its_reason(lab: Lab) -> None:
    lab.predictor = BrightCord(refuses="slices are 9 mm apart where 6 are allowed")

    assert analyse.run(lab.analyst, claimed(lab)) is JobState.REFUSED
    assert status(lab).reason == "slices are 9 mm apart where 6 are allowed"


def test_a_model_that_breaks_over_a_series_fails_the_job(lab: Lab) -> None:
    lab.predictor = BrightCord(error=ModelError("cord: the network gives values that are not finite"))

    assert analyse.run(lab.analyst, claimed(lab)) is JobState.FAILED
    assert status(lab).reason == "cord: the network gives values that are not finite"


def test_what_is_no_fault_of_the_study_is_waited_for_as_long_as_it_takes(lab: Lab) -> None:
    lab.predictor = BrightCord(error=Unavailable("file store: No space left on device"))
    states = [analyse.run(lab.analyst, claimed(lab))]
    for _ in range(19):
        lab.advance(300)  # the longest wait
        states.append(analyse.run(lab.analyst, lab.claim("gpu")))
    lab.predictor = BrightCord()
    lab.advance(300)

    assert states == [JobState.QUEUED] * 20
    assert status(lab).reason == "file store: No space left on device"
    assert analyse.run(lab.analyst, lab.claim("gpu")) is JobState.DONE


def test_a_gpu_without_room_for_a_study_is_not_tried_for_ever(lab: Lab) -> None:
    lab.full = tuple(Way)
    states = [analyse.run(lab.analyst, claimed(lab))]
    for _ in range(2):
        lab.advance(1000)
        states.append(analyse.run(lab.analyst, lab.claim("gpu")))

    assert states == [JobState.QUEUED, JobState.QUEUED, JobState.FAILED]
    assert status(lab).reason == "given up after 3 tries: cord: no room for a run on CUDA:0"


def test_a_wait_for_the_world_uses_up_no_try_and_a_person_gives_all_of_them_back(lab: Lab) -> None:
    """Two tries without room, three waits for the disk, a third try; then, asked for again, three more."""
    troubles = [tuple(Way), tuple(Way), (), (), (), tuple(Way)]
    job = claimed(lab)
    states = []
    for full in troubles:
        lab.full, lab.predictor = full, BrightCord(error=None if full else Unavailable("file store: full"))
        states.append(analyse.run(lab.analyst, job))
        lab.advance(1000)
        job = lab.claim("gpu") if states[-1] is JobState.QUEUED else job
    with lab.database.write() as session:
        jobs.requeue(session, job.id)

    assert states == [JobState.QUEUED] * 5 + [JobState.FAILED]
    assert analyse.run(lab.analyst, lab.claim("gpu")) is JobState.QUEUED


def test_a_volume_that_goes_while_a_series_is_read_refuses_nothing(lab: Lab) -> None:
    job = claimed(lab)
    volume = lab.files.root / "received"
    volume.rename(lab.folder / "away")

    assert analyse.run(lab.analyst, job) is JobState.QUEUED
    assert status(lab).reason == "file store: a kept image: No such file or directory"

    (lab.folder / "away").rename(volume)
    lab.advance(300)
    assert analyse.run(lab.analyst, lab.claim("gpu")) is JobState.DONE


def test_a_disk_that_fails_while_the_analysis_is_kept_leaves_nothing_and_is_tried_again(lab: Lab) -> None:
    lab.broken_disk = True

    assert analyse.run(lab.analyst, claimed(lab)) is JobState.QUEUED
    assert not (lab.files.root / "analyses").exists()


def test_an_analysis_that_was_superseded_meanwhile_ends_nothing(lab: Lab) -> None:
    job = claimed(lab)
    with lab.database.write() as session:
        jobs.supersede(session, [job.id], reason="newer images")

    assert analyse.run(lab.analyst, job) is JobState.SUPERSEDED
    assert status(lab).state is JobState.SUPERSEDED


def test_a_job_that_took_two_processes_down_is_parked_with_the_reason(lab: Lab) -> None:
    lab.lost = "running cord took longer than 600 s: its process was ended"

    first = claimed(lab)
    with capture_logs() as logs:
        states = [analyse.run(lab.analyst, first), analyse.run(lab.analyst, lab.claim("gpu"))]

    assert states == [JobState.QUEUED, JobState.FAILED]
    assert [(line["event"], line["state"], line["reason"]) for line in logs] == [
        ("analysis lost", "queued", lab.lost),
        ("analysis lost", "failed", lab.lost),
    ]
    assert (status(lab).attempts, status(lab).lost) == (2, 2)
    assert status(lab).reason == f"parked after taking down 2 workers; the last time: {lab.lost}"


def test_a_lost_process_ends_nothing_that_was_superseded_meanwhile(lab: Lab) -> None:
    lab.lost = "signal SIGSEGV"
    job = claimed(lab)
    with lab.database.write() as session:
        jobs.supersede(session, [job.id], reason="newer images")

    assert analyse.run(lab.analyst, job) is JobState.SUPERSEDED
    assert status(lab).lost == 0


def test_a_job_says_that_the_memory_of_the_gpu_did_not_suffice(lab: Lab) -> None:
    lab.full = (Way.USUAL,)

    assert analyse.run(lab.analyst, claimed(lab)) is JobState.DONE
    assert status(lab).reason == "run with smaller patches (cord: no room for a run on CUDA:0)"


def test_a_gpu_that_has_no_room_in_any_way_is_tried_again_later(lab: Lab) -> None:
    lab.full = tuple(Way)

    job = claimed(lab)
    with capture_logs() as logs:
        assert analyse.run(lab.analyst, job) is JobState.QUEUED
    assert status(lab).reason == "cord: no room for a run on CUDA:0"
    assert [(line["event"], line["reason"]) for line in logs if line["log_level"] == "warning"][-1:] == [
        ("analysis postponed", "cord: no room for a run on CUDA:0")
    ]
