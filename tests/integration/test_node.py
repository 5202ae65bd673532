"""A whole node in one process: real images in by C-STORE, a real (tiny) model, results into a folder."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID

from dicom_ai.domain.job import JobState
from dicom_ai.domain.run import RunState
from dicom_ai.node import Node
from dicom_ai.settings import Brakes, DestinationSettings, Models, Peer, Rules, Settings, Storage, Timing
from dicom_ai.settings import Node as NodeSettings
from dicom_ai.storage import decisions, holds, jobs, outbox, results, runs, withdrawals
from dicom_ai.storage.outbox import OutboxState
from dicom_ai.storage.runs import RunStatus
from tests import builders
from tests.integration.listening import CALLING, store
from tests.integration.sizes import QUICK
from tests.peers import free_port
from tests.unit.inference.models import bright_ball, model_folder, threshold_graph

RULE = """
[[rule]]
name = "bright"
model = "{model}"
destinations = ["{destination}"]
outputs = ["seg", "sr"]
state = "{state}"
all = [{{ keyword = "Modality", equals = "MR" }}, {{ fact = "plane", equals = "axial" }}]
"""
OUT = "out"


@contextmanager
def running(
    folder: Path,
    *,
    model: str = "bright",
    state: str = "on",
    destination: DestinationSettings | None = None,
    timing: Timing = QUICK,
    installed: bool = True,
) -> Iterator[Node]:
    """Run a node whose data, model, rule and destination lie in a folder. installed: whether the model is there."""
    (folder / "models").mkdir(exist_ok=True)
    if installed:
        model_folder(folder / "models" / "bright", threshold_graph(500.0), options='activation = "sigmoid"')
    (folder / OUT).mkdir(exist_ok=True)
    destination = destination or DestinationSettings(name=OUT, kind="folder", parameters={"folder": str(folder / OUT)})
    rules = folder / "rules.toml"
    rules.write_text(RULE.format(model=model, destination=destination.name, state=state))
    node = Node(
        Settings(
            node=NodeSettings(address="127.0.0.1", port=0),
            peers=(Peer(ae_title=CALLING),),
            destinations=(destination,),
            storage=Storage(data_dir=folder / "data", reserve_bytes=0),
            models=Models(directory=folder / "models", device="cpu", threads=1),
            rules=Rules(seed=rules),
            timing=timing,
            brakes=Brakes(max_study_age_days=0),
        ),
        rules_on=True,
    )
    node.start()
    try:
        yield node
    finally:
        node.stop()


def study(folder: Path, slices: int = 8) -> list[Path]:
    """Write an axial series with a bright ball; the same UIDs every time."""
    voxels = (bright_ball((12, 40, 48), (3.0, 1.0, 1.0)).voxels > 0) * 1000
    datasets = builders.mr_series(
        voxels.astype(np.uint16)[:slices],
        spacing_mm=(3.0, 1.0, 1.0),
        study_uid="1.2.826.1",
        series_uid="1.2.826.1.1",
    )
    for number, dataset in enumerate(datasets):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.826.1.1.{number + 1}")
    folder.mkdir(parents=True, exist_ok=True)
    return builders.write(datasets, folder)


def arrived(folder: Path) -> list[Dataset]:
    return [dcmread(path) for path in sorted((folder / OUT).rglob("*.dcm"))]


def modalities(datasets: Sequence[Dataset]) -> list[str]:
    return sorted(dataset.Modality for dataset in datasets)


def run_states(node: Node) -> list[RunStatus]:
    with node.app.database.read() as session:
        return list(runs.all_of(session, "1.2.826.1"))


def outbox_counts(node: Node) -> dict[OutboxState, int]:
    with node.app.database.read() as session:
        return dict(outbox.counts(session))


def wait_for(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def settled(node: Node, number: int) -> bool:
    """Whether so many runs are there, the last is reported, and nothing waits to be sent."""
    states = run_states(node)
    counts = outbox_counts(node)
    return (
        len(states) == number
        and states[-1].state is RunState.REPORTED
        and not counts.get(OutboxState.WAITING)
        and not counts.get(OutboxState.UNKNOWN)
    )


def test_a_study_comes_and_one_seg_and_one_sr_go_back(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        assert [status.Status for status in store(node.port, *study(tmp_path / "in"))] == [0] * 8
        wait_for(lambda: settled(node, 1))
        with node.app.database.read() as session:
            (decision,) = decisions.all_of(session, "1.2.826.1")
            (analysis, report) = jobs.all_of(session, "1.2.826.1")
            objects = results.all_of(session, "1.2.826.1", node.app.files.root)

    assert modalities(arrived(tmp_path)) == ["SEG", "SR"]
    assert {dataset.StudyInstanceUID for dataset in arrived(tmp_path)} == {"1.2.826.1"}
    assert {dataset.SOPInstanceUID for dataset in arrived(tmp_path)} == {
        item.identity.sop_instance_uid for item in objects
    }
    assert (decision.rule, decision.taken) == ("bright", True)
    assert decision.reasons
    assert (analysis.state, report.state) == (JobState.DONE, JobState.DONE)


def test_the_same_images_again_make_no_second_result(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        paths = study(tmp_path / "in")
        store(node.port, *paths)
        wait_for(lambda: settled(node, 1))
        store(node.port, *paths)
        time.sleep(2)

        assert settled(node, 1)
        assert modalities(arrived(tmp_path)) == ["SEG", "SR"]


def test_results_that_come_back_open_nothing(tmp_path: Path) -> None:
    from pynetdicom import AE

    with running(tmp_path) as node:
        store(node.port, *study(tmp_path / "in"))
        wait_for(lambda: settled(node, 1))
        ae = AE(ae_title=CALLING)
        for dataset in arrived(tmp_path):
            ae.add_requested_context(dataset.SOPClassUID)
        association = ae.associate("127.0.0.1", node.port, ae_title="DICOM_AI")
        answers = [association.send_c_store(dataset).Status for dataset in arrived(tmp_path)]
        association.release()
        time.sleep(2)

        assert answers == [0, 0]
        assert settled(node, 1)


def test_a_late_image_supersedes_and_names_what_was_sent(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        store(node.port, *study(tmp_path / "in", slices=8))
        wait_for(lambda: settled(node, 1))
        first = {dataset.Modality: dataset for dataset in arrived(tmp_path)}
        store(node.port, *study(tmp_path / "in", slices=10))
        wait_for(lambda: settled(node, 2))
        second = {
            dataset.Modality: dataset
            for dataset in arrived(tmp_path)
            if dataset.SOPInstanceUID not in {known.SOPInstanceUID for known in first.values()}
        }
        states = [run.state for run in run_states(node)]

    assert states == [RunState.SUPERSEDED, RunState.REPORTED]
    assert sorted(second) == ["SEG", "SR"]
    (named,) = second["SR"].PredecessorDocumentsSequence
    (series,) = named.ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first["SR"].SOPInstanceUID


def test_a_rule_in_shadow_runs_and_stores_and_sends_nothing(tmp_path: Path) -> None:
    with running(tmp_path, state="shadow") as node:
        store(node.port, *study(tmp_path / "in"))
        wait_for(lambda: settled(node, 1))
        (run,) = run_states(node)
        with node.app.database.read() as session:
            found = runs.findings(session, run.id)

        assert set(found) == {"shadow"}
        assert outbox_counts(node) == {}
        assert arrived(tmp_path) == []


def test_a_series_waits_for_a_model_whose_folder_is_missing_and_is_reported_when_it_is_back(tmp_path: Path) -> None:
    def analysis(node: Node) -> jobs.JobStatus | None:
        with node.app.database.read() as session:
            return next(iter(jobs.all_of(session, "1.2.826.1")), None)

    with running(tmp_path, model="away") as node:
        store(node.port, *study(tmp_path / "in"))
        wait_for(lambda: bool((job := analysis(node)) and job.state is JobState.QUEUED and job.reason))
        waiting = analysis(node)
        with node.app.database.read() as session:
            (decision,) = decisions.all_of(session, "1.2.826.1")
        (tmp_path / "models" / "bright").rename(tmp_path / "models" / "away")
        manifest = tmp_path / "models" / "away" / "model.toml"
        manifest.write_text(manifest.read_text().replace('"bright"', '"away"'))
        wait_for(lambda: settled(node, 1))

    assert waiting is not None
    assert waiting.reason == f"{tmp_path / 'models'}: no model 'away'; there is bright"
    assert decision.taken
    assert decision.reasons[-1] == f"its analysis waits: {manifest}: no such file; a model folder needs one"
    assert modalities(arrived(tmp_path)) == ["SEG", "SR"]


def test_a_series_the_model_refuses_is_reported_as_refused(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        paths = study(tmp_path / "in")
        store(node.port, *paths[:3], *paths[5:])
        wait_for(lambda: settled(node, 1))
        with node.app.database.read() as session:
            analysis = jobs.all_of(session, "1.2.826.1")[0]

    assert analysis.state is JobState.REFUSED
    assert "gap" in analysis.reason
    assert modalities(arrived(tmp_path)) == ["SR"]


# pynetdicom drops a socket that was refused without closing it; the collector closes it, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_destination_that_is_down_gets_everything_when_it_is_back(tmp_path: Path) -> None:
    from dicom_ai.demo.archive import DemoArchive

    port = free_port()
    parameters: dict[str, str | int | float | bool] = {"host": "127.0.0.1", "port": port, "called_ae_title": "ARCHIVE"}
    with running(tmp_path, destination=DestinationSettings(name="pacs", kind="c_store", parameters=parameters)) as node:
        store(node.port, *study(tmp_path / "in"))
        wait_for(lambda: bool(outbox_counts(node)))
        time.sleep(2)
        with node.app.database.read() as session:
            (status,) = outbox.statuses(session)
        assert status.failures > 1
        assert status.pending == 2
        with DemoArchive(tmp_path / "archive", port=port) as archive:
            wait_for(lambda: outbox_counts(node) == {OutboxState.SENT: 2})
            assert len(archive.files) == 2


def test_a_restart_takes_up_what_was_waiting(tmp_path: Path) -> None:
    patient = QUICK.model_copy(update={"study_quiet_s": 5.0})
    with running(tmp_path, timing=patient) as node:
        store(node.port, *study(tmp_path / "in"))
        wait_for(lambda: bool(run_states(node)))
    with running(tmp_path) as node:
        wait_for(lambda: settled(node, 1))

    assert modalities(arrived(tmp_path)) == ["SEG", "SR"]


@pytest.mark.parametrize(("installed", "models"), [(True, "bright on CPU"), (False, "none installed")])
def test_the_description_says_what_listens_and_what_runs_the_models(
    tmp_path: Path, installed: bool, models: str
) -> None:
    with running(tmp_path, installed=installed) as node:
        assert node.description == f"DICOM_AI listening on 127.0.0.1:{node.port}; models: {models}"


def test_a_corrected_patient_is_reported_anew_and_the_old_results_are_listed(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        paths = study(tmp_path / "in")
        store(node.port, *paths)
        wait_for(lambda: settled(node, 1))
        for path in paths:
            dataset = dcmread(path)
            dataset.PatientID, dataset.PatientName = "NEW1", "Phantom^Corrected"
            dataset.save_as(path)
        assert [status.Status for status in store(node.port, *paths)] == [0] * 8
        wait_for(lambda: settled(node, 2))
        with node.app.database.read() as session:
            (told,) = holds.open_now(session)
            listed = withdrawals.listed(session)

    by_patient = {(dataset.PatientID, dataset.Modality) for dataset in arrived(tmp_path)}
    assert by_patient == {("SYN001", "SEG"), ("SYN001", "SR"), ("NEW1", "SEG"), ("NEW1", "SR")}
    assert told.reason.startswith("PatientName, PatientID of the images changed")
    withdrawn = {item.sop_instance_uid for item in listed}
    assert withdrawn == {dataset.SOPInstanceUID for dataset in arrived(tmp_path) if dataset.PatientID == "SYN001"}
