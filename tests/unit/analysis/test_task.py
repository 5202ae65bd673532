from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicom_ai.analysis import kept, task
from dicom_ai.analysis.identities import plan_identities
from dicom_ai.analysis.study import report_study
from dicom_ai.analysis.task import WAYS_ON_GPU, Task
from dicom_ai.dicom.headers import read_paths
from dicom_ai.dicom.sr_reader import read_sr
from dicom_ai.errors import DeviceFull, ModelError
from dicom_ai.inference.predictor import Way
from tests.predictors import BrightCord, OneModel
from tests.unit.analysis.conftest import write_cord_series


def the_task(tmp_path: Path) -> Task:
    write_cord_series(tmp_path / "in")
    (series,) = read_paths([tmp_path / "in"]).series
    paths = tuple(item.path for item in series.instances if item.path)
    return Task(series.study_uid, series.series_uid, paths, "cord", "rule", tmp_path / "kept")


def test_a_task_leaves_its_analysis_in_its_folder_and_the_model_loaded(tmp_path):
    models = OneModel()

    assert task.do(the_task(tmp_path), models) == ""
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"analysis.json", "masks.npz"}
    assert (models.asked, models.forgotten) == ([Way.USUAL], [])


def test_without_room_on_the_gpu_smaller_patches_are_tried_before_the_cpu(tmp_path):
    models = OneModel(full=(Way.USUAL, Way.SMALL))

    assert task.do(the_task(tmp_path), models) == "run on the CPU (cord: no room for a run on CUDA:0)"
    assert models.asked == [Way.USUAL, Way.SMALL, Way.CPU]


def test_what_a_full_gpu_made_necessary_is_let_go_for_the_next_series(tmp_path):
    models = OneModel(full=(Way.USUAL,))
    task.do(the_task(tmp_path), models)

    assert models.forgotten == [Way.USUAL, Way.SMALL]


def test_the_cpu_is_not_taken_where_it_is_not_allowed(tmp_path):
    models = OneModel(full=(Way.USUAL, Way.SMALL))

    with pytest.raises(DeviceFull, match="no room for a run on CUDA:0"):
        task.do(the_task(tmp_path), models, ways=WAYS_ON_GPU)
    assert not (tmp_path / "kept").exists()


class FixedPatch(OneModel):
    """A model whose weights take patches of one size only."""

    def load(self, name: str, way: Way = Way.USUAL) -> BrightCord:
        predictor = super().load(name, way)
        if way is Way.SMALL:
            raise ModelError("the run failed: Got invalid dimensions for input: image")
        return predictor


def test_weights_that_take_no_smaller_patch_go_to_the_cpu(tmp_path):
    models = FixedPatch(full=(Way.USUAL,))

    assert task.do(the_task(tmp_path), models).startswith("run on the CPU")


def test_a_model_error_without_a_full_gpu_is_the_models(tmp_path):
    with pytest.raises(ModelError, match="digest"):
        task.do(the_task(tmp_path), OneModel(error=ModelError("wrong digest")))


def test_the_report_says_that_the_model_was_not_run_as_usual(tmp_path):
    made = the_task(tmp_path)
    task.do(made, OneModel(full=(Way.USUAL, Way.SMALL)))
    (series,) = read_paths([tmp_path / "in"]).series
    analysis = kept.load(made.folder, series)
    (tmp_path / "out").mkdir()
    identities = plan_identities([analysis], run=1, created_at=datetime(2026, 3, 1, 12, tzinfo=UTC))

    report_study([analysis], [], identities=identities, out=tmp_path / "out", complete=True)

    report = read_sr(tmp_path / "out" / "sr.dcm")
    assert any("run on the CPU" in note for note in report.notes)
