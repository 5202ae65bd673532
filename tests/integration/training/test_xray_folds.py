"""Folds of the radiograph model from files to table: films made from formulas, both networks after a single step."""

import json
import warnings

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra [train] is not installed")
pytest.importorskip("onnxscript", reason="the extra [train] is not installed")
pytest.importorskip("PIL", reason="Pillow reads the films")

from PIL import Image

from dicom_ai.training import vertxnet, vertxnet_evaluation
from dicom_ai.training.data.xray_cases import CORNERS
from dicom_ai.training.data.xray_phantom import phantom_film
from dicom_ai.training.folds import FoldPlan, evaluate_folds
from dicom_ai.training.recipes import EvaluateRequest

HIDDEN = {"C2": ("top_back", "top_front"), "S1": ("bottom_back", "bottom_front")}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two lateral films with their corners as a person marks them, and two AP films."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "radiographs" / "ap").mkdir(parents=True)
    marked = {}
    for number in (1, 2):
        film, name = phantom_film(number), f"lateral_{number:02d}.png"
        Image.fromarray(film.pixels).save(folder / "radiographs" / name)
        marked[name] = {
            level: {
                corner: [float(value) for value in point]
                for corner, point in zip(CORNERS, corners, strict=True)
                if corner not in HIDDEN.get(level, ())
            }
            for level, corners in zip(film.levels, film.corners, strict=True)
        }
        noise = np.random.default_rng(number).integers(0, 255, (300, 200)).astype(np.uint8)
        Image.fromarray(noise).save(folder / "radiographs" / "ap" / f"ap_{number:02d}.jpg")
    (folder / "radiographs" / "corners.json").write_text(json.dumps(marked), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def scored(data, tmp_path_factory):
    """The report of two folds, what was said, and the same again from what lies in the folder."""
    request = EvaluateRequest(data, data, device="cpu", threads=1, every=2)
    plan = FoldPlan(2, tmp_path_factory.mktemp("folds"), steps=1)
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter of torch 2.13 calls what torch 2.13 deprecates
        patch.setattr(vertxnet_evaluation, "VIEWS", {"full": ("C2", "S1")})
        return evaluate_folds(vertxnet, request, plan, say=said.append), said, (request, plan)


def test_every_film_is_scored_by_all_three_systems(scored):
    report, *_ = scored

    everything = [row for row in report.rows if row["view"] == "all"]
    assert [(row["fold"], row["system"]) for row in everything] == [
        (fold, system) for fold in ("fold-1", "fold-2") for system in ("ensemble", "U-Net alone", "Mask R-CNN alone")
    ]
    assert {row["bodies"] for row in everything} == {22}
    assert {row["AP films"] for row in everything} == {1}
    assert report.notes[0] == "fold-1: trained for: U-Net 1 steps, Mask R-CNN 1 steps."
    assert report.notes[2].startswith("by film: ensemble: 2 views")


def test_the_weights_of_a_fold_name_the_films_they_have_seen(scored):
    *_, (_, plan) = scored

    seen = [vertxnet.seen_films(plan.out / fold / "models" / "spine-xray") for fold in ("fold-1", "fold-2")]

    assert seen == [{"lateral_02", "ap_02"}, {"lateral_01", "ap_01"}]


def test_what_is_done_is_not_done_again(scored):
    report, said, (request, plan) = scored
    again: list[str] = []

    assert evaluate_folds(vertxnet, request, plan, say=again.append).rows == report.rows
    assert any("U-Net: step 1" in line for line in said)
    assert [line for line in again if "step" in line] == []
