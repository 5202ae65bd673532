"""The shipped cord weights: on a neck whose area is known in closed form, and on a person they have never seen."""

import numpy as np
import pytest

from dicom_ai.dicom.nifti import read_nifti
from dicom_ai.domain.image import SourceImage
from dicom_ai.imaging.neck_phantom import NeckShape, neck_phantom, sagittal_grid
from dicom_ai.imaging.orient import axial_first
from dicom_ai.inference.registry import ModelStore, default_models_folder
from dicom_ai.measurements.spinal_cord_csa import measure_cord
from tests.peers import need_data

pytest.importorskip("onnxruntime", reason="no model runtime is installed")


@pytest.fixture(scope="module")
def predictor():
    return ModelStore(default_models_folder(), device="cpu", threads=2).load("spinal-cord")


def test_the_area_of_the_phantom_is_found_at_every_position(predictor):
    phantom = neck_phantom(NeckShape(), sagittal_grid(NeckShape()), contrast="T2")

    result = predictor.predict(SourceImage("1", "2", phantom.image, ()))
    profile = measure_cord(phantom.image.with_voxels(result.soft))
    measured = [s for s in profile.slices if s.measured]
    places = np.array([s.section.centroid_mm for s in measured])
    found = np.array([s.section.area_mm2 for s in measured])
    below = places[:, 2] < -2  # the top of the cord is at height 0

    assert result.segments
    assert below.sum() > 150
    assert found[below] == pytest.approx(phantom.truth.csa_at(places[below]), rel=0.05)


def test_a_neck_that_was_never_seen(predictor):
    from dicom_ai.training.cord_evaluation import on_grid_of, seen_people
    from dicom_ai.training.cord_scores import cord_scores

    folder = need_data("spinal_cord_mr")
    source = read_nifti(folder / "errsm30_t2.nii.gz")
    truth = axial_first(read_nifti(folder / "errsm30_t2_crop_cord.nii.gz").image)

    result = predictor.predict(source)
    scores = cord_scores(on_grid_of(source.image.with_voxels(result.soft), truth), truth)

    assert "errsm30" not in seen_people(default_models_folder() / "spinal-cord")
    assert scores.dice >= 0.85
    assert scores.csa_worst_percent <= 10
    assert scores.slices_missed == 0
