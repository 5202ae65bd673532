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


def test_a_model_that_does_not_load_fails_its_own_jobs(lab: Lab) -> None:
    lab.predictor = BrightCord(error=ModelError("weights.onnx: SHA-256 differs"))

    assert analyse.run(lab.analyst, claimed(lab)) is JobState.FAILED
    assert status(lab).reason == "weights.onnx: SHA-256 differs"


def test_what_is_unavailable_is_tried_again_later_and_not_for_ever(lab: Lab) -> None:
    lab.predictor = BrightCord(error=Unavailable("GPU lost"))
    states = [analyse.run(lab.analyst, claimed(lab))]
    for _ in range(2):
        lab.advance(1000)
        states.append(analyse.run(lab.analyst, lab.claim("gpu")))

    assert states == [JobState.QUEUED, JobState.QUEUED, JobState.FAILED]
    assert status(lab).reason == "given up after 3 tries: GPU lost"


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

    states = [analyse.run(lab.analyst, claimed(lab)), analyse.run(lab.analyst, lab.claim("gpu"))]

    assert states == [JobState.QUEUED, JobState.FAILED]
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

    assert analyse.run(lab.analyst, claimed(lab)) is JobState.QUEUED
    assert status(lab).reason == "cord: no room for a run on CUDA:0"
