"""docs/howto/add-a-model.md, followed to the letter with a tiny ONNX model: a folder and a rule, no change of code."""

import hashlib
import re
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest

from dicom_ai.dicom.headers import read_paths
from dicom_ai.dicom.series_reader import read_volume
from dicom_ai.errors import UnsuitableImage
from dicom_ai.inference.registry import ModelStore
from dicom_ai.routing.explain import route_study
from dicom_ai.routing.rule import parse_rules
from tests import builders
from tests.unit.inference.models import bright_ball, threshold_graph

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "add-a-model.md"


@pytest.fixture(scope="module")
def tables() -> list[str]:
    """The two TOML texts of the page: the manifest and the rule."""
    return re.findall(r"```toml\n(.*?)```", HOWTO.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def store(tmp_path, tables) -> ModelStore:
    folder = tmp_path / "models" / "kidney"
    folder.mkdir(parents=True)
    # After the z-score the ball is far above 1 and the background below.
    onnx.save(threshold_graph(1.0, steepness=10.0), folder / "weights.onnx")
    digest = hashlib.sha256((folder / "weights.onnx").read_bytes()).hexdigest()
    text = tables[0].replace("PUT THE OUTPUT OF sha256sum weights.onnx HERE", digest)
    (folder / "model.toml").write_text(text, encoding="utf-8")
    (folder / "MODEL_CARD.md").write_text("# Kidney\n", encoding="utf-8")
    return ModelStore(tmp_path / "models", device="cpu")


def study(folder: Path, **attributes: object):
    voxels = bright_ball((16, 40, 48), (3.0, 1.0, 1.0)).voxels.astype(np.uint16)
    datasets = builders.mr_series(voxels, spacing_mm=(3.0, 1.0, 1.0), BodyPartExamined="ABDOMEN", **attributes)
    builders.write(datasets, folder)
    return read_paths([folder]).series


def test_the_model_of_the_page_is_checked_routed_and_run(tmp_path, store, tables):
    series = study(tmp_path / "in")
    rules = parse_rules(tomllib.loads(tables[1]))

    report = store.check("kidney")
    (decision,) = route_study(series, rules)
    source = read_volume(series[0])
    predictor = store.load(decision.model)
    predictor.accepts(source, modality=series[0].modality)
    result = predictor.predict(source)

    assert report.problems == ()
    assert (decision.taken, decision.model, decision.shadow) == (True, "kidney", True)
    truth = source.image.voxels > 50
    assert 2 * np.count_nonzero(truth & (result.labels > 0)) / (truth.sum() + (result.labels > 0).sum()) > 0.9
    assert result.segments[0].structure.code == ("64033007", "SCT", "Kidney")


def test_other_series_do_not_go_to_it(tmp_path, tables):
    rules = parse_rules(tomllib.loads(tables[1]))

    (decision,) = route_study(study(tmp_path / "in", plane="coronal"), rules)

    assert not decision.taken


def test_its_own_input_checks_hold_without_a_rule(tmp_path, store):
    source = read_volume(study(tmp_path / "in", plane="sagittal")[0])

    with pytest.raises(UnsuitableImage, match="sagittal slices where the model takes axial"):
        store.load("kidney").accepts(source, modality="MR")
